package api

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mimicsync/internal/hostiletest"
	"mimicsync/store"
)

// A process of somebody else listens at the socket of root's mirror, whose name is root's
// as it was: as after a daemon gave up its rights, or a name was moved. It says that all
// is well. It is not asked.
func TestAStrangerWhoAnswersIsNotBelieved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	asked := 0
	for _, c := range []struct {
		name     string
		owner    int // of the mirror's folder
		uid      int // who listens
		believed bool
	}{
		{"a stranger", 0, hostiletest.Stranger, false},
		{"the owner of the mirror", hostiletest.Stranger, hostiletest.Stranger, true},
		{"root", hostiletest.Stranger, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			mirror := t.TempDir()
			must(t, os.Mkdir(filepath.Join(mirror, store.Dir), 0o700))
			must(t, os.Chown(mirror, c.owner, -1))
			server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == Prefix+"/status" {
					asked++
				}
				_, _ = w.Write([]byte(`{"program":"1.0"}`))
			})}
			l := listenAs(t, c.uid, filepath.Join(mirror, store.Dir, socketName))
			go func() { _ = server.Serve(l) }()
			t.Cleanup(func() { _ = server.Close() })
			client, err := Dial(t.Context(), mirror)
			if c.believed {
				must(t, err)
				_, err = client.Status(t.Context())
				must(t, err)
				client.Close()
				return
			}
			if foreign, ok := errors.AsType[*store.ForeignError](err); !ok || foreign.Owner != "user 4242" || !strings.Contains(err.Error(), socketName) || errors.Is(err, ErrNoDaemon) {
				t.Errorf("Dial = %v, want that user 4242 answers at %s", err, socketName)
			}
		})
	}
	if asked != 2 {
		t.Errorf("%d were asked, want the two that are believed", asked)
	}
}

// listenAs listens at a socket as another user; the socket itself is root's. The kernel
// remembers who called listen(2), which is one thread here, that ends with this.
func listenAs(t *testing.T, uid int, path string) net.Listener {
	t.Helper()
	type result struct {
		l   net.Listener
		err error
	}
	listening := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		}
		if err == nil {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
				err = errno
			}
		}
		if err == nil {
			err = unix.Listen(fd, 8)
		}
		var l net.Listener
		if err == nil {
			f := os.NewFile(uintptr(fd), path)
			l, err = net.FileListener(f)
			_ = f.Close()
		}
		listening <- result{l, err}
	}()
	r := <-listening
	must(t, r.err)
	return r.l
}
