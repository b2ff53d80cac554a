//go:build unix

package secret_test

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"mimicsync/internal/secret"
)

func TestAFIFOWithoutAWriterIsNotWaitedFor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "netrc")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() {
		f, err := secret.Open(name)
		if err != nil {
			read <- err.Error()
			return
		}
		defer func() { _ = f.Close() }()
		text, err := io.ReadAll(f)
		if err != nil {
			text = []byte(err.Error())
		}
		read <- string(text)
	}()
	select {
	case text := <-read:
		if text != "" {
			t.Errorf("read %q, want nothing", text)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it is waited for")
	}
}

// A shell's <(command) is a pipe that is read to its end, however slow.
func TestAPipeIsReadToItsEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	go func() {
		for range 3 {
			time.Sleep(50 * time.Millisecond)
			_, _ = w.WriteString("line\n")
		}
		_ = w.Close()
	}()
	f, err := secret.Open(filepath.Join("/dev/fd", fd(r)))
	if err != nil {
		t.Skipf("no /dev/fd here: %v", err)
	}
	defer func() { _ = f.Close() }()
	if text, err := io.ReadAll(f); err != nil || string(text) != "line\nline\nline\n" {
		t.Errorf("read %q, %v", text, err)
	}
}

func fd(f *os.File) string { return strconv.Itoa(int(f.Fd())) }
