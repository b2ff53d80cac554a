//go:build unix

package notify_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mimicsync/daemon/notify"
)

func TestAHookThatHangsIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	pipe := namedPipe(t)
	h, _ := hook(t, notify.HookOptions{Timeout: 500 * time.Millisecond}, "hook-hangs", pipe.path)
	begin := time.Now()
	err := h.Notify(t.Context(), signAgain)
	if err == nil || !strings.Contains(err.Error(), "didn't end within 500ms") {
		t.Errorf("Notify = %v, want a time limit", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("that took %s", took)
	}
	pipe.wantEnd(t)
}

func TestAHookEndsWithTheDaemon(t *testing.T) {
	pipe := namedPipe(t)
	h, _ := hook(t, notify.HookOptions{}, "hook-hangs", pipe.path)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := errors.New("the daemon stops")
	go func() {
		_, _ = io.ReadFull(pipe.reader, make([]byte, len("asleep")))
		cancel(stopping)
	}()
	if err := h.Notify(ctx, signAgain); !errors.Is(err, stopping) {
		t.Errorf("Notify = %v, want %v", err, stopping)
	}
	pipe.wantEnd(t)
}

func TestWhatAHookLeavesBehindEnds(t *testing.T) {
	t.Parallel()
	pipe := namedPipe(t)
	h, _ := hook(t, notify.HookOptions{}, "hook-leaves", pipe.path)
	if err := h.Notify(t.Context(), signAgain); err != nil {
		t.Errorf("Notify = %v; the program itself ended well", err)
	}
	pipe.wantEnd(t)
}

// pipe is a named pipe that tells whether processes live.
type pipe struct {
	path           string
	reader, writer *os.File
}

func namedPipe(t *testing.T) *pipe {
	t.Helper()
	p := &pipe{path: filepath.Join(t.TempDir(), "pipe")}
	if err := unix.Mkfifo(p.path, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.reader, err = os.OpenFile(p.path, os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.reader.Close() })
	if p.writer, err = os.OpenFile(p.path, os.O_WRONLY, 0); err != nil { // without a writer, a read would not wait for one
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.writer.Close() })
	return p
}

// wantEnd waits until no process has the pipe open for writing.
func (p *pipe) wantEnd(t *testing.T) {
	t.Helper()
	_ = p.writer.Close()
	if err := p.reader.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, p.reader); err != nil {
		t.Errorf("a child of the hook lives on: %v", err)
	}
}
