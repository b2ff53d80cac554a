package daemon_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// garbage replaces data on its way, as a proxy does that says text/plain.
func garbage(o *source.Object) {
	_ = o.Body.Close()
	const text = "please accept the terms of use\n"
	o.Body, o.Size, o.Validator = io.NopCloser(strings.NewReader(text)), int64(len(text)), ""
}

func status(code int, after time.Duration) error {
	return &source.StatusError{URL: "https://physionet.org/files/demo/", Code: code, RetryAfter: after}
}

// Ten seconds of trouble, of one kind after the other, in a mirror that is refreshed
// once a week: each is over when it is over, and costs a handful of requests.
func TestTenSecondsOfTrouble(t *testing.T) {
	takesTime(t)
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	kinds := []struct {
		name string
		err  error // nil: garbage
	}{
		{"a web page", source.ErrWebPage},
		{"garbage", nil},
		{"a password that is doubted", denial(source.BadCredentials, ref(t, "demo"))},
		{"a refusal", denial(source.Forbidden, ref(t, "demo"))},
		{"no login", denial(source.NoCredentials, ref(t, "demo"))},
		{"a gateway without its server", status(502, 0)},
		{"an error", status(500, 0)},
		{"unavailable", status(503, 4*time.Second)},
		{"too many requests", status(429, 7*time.Second)},
		{"resets", &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}},
		{"cut answers", io.ErrUnexpectedEOF},
		{"no connection", dial},
		{"a proxy that wants a password", &source.ProxyError{Code: http.StatusProxyAuthRequired}},
		{"a proxy without a way", &source.ProxyError{Code: http.StatusBadGateway}},
		{"no name", &net.DNSError{Err: "no such host", Name: "physionet.org"}},
		{"a portal", denial(source.Moved, ref(t, "demo"))},
	}
	weekly := func(t *testing.T) daemon.Settings {
		return daemon.Settings{Datasets: []daemon.Dataset{{Ref: ref(t, "demo"), Schedule: schedule(t, "@weekly")}}}
	}
	for _, begins := range []time.Duration{-3 * time.Second, 9 * time.Second} { // with the question for the newest version, or in mid-pass
		t.Run(fmt.Sprint(begins), func(t *testing.T) {
			scene(t, weekly, func(t *testing.T, r *rig) {
				r.library.slow(20)
				after(time.Hour)
				for i, kind := range kinds {
					version := fmt.Sprintf("demo@%d.0", i+2)
					r.library.publish(ref(t, version), numbered("demo", 100, kind.name))
					after(time.Until(r.dataset("demo").Next) + begins)
					var asked atomic.Int64
					r.library.hit(&asked, kind.err)
					after(10 * time.Second)
					r.library.hit(nil, nil)
					ended := time.Now()
					for r.dataset("demo").Condition != daemon.Idle || !r.dataset("demo").Complete || r.dataset("demo").Version != version[5:] {
						if time.Since(ended) > 30*time.Minute {
							break
						}
						after(2 * time.Second)
					}
					t.Logf("%s: %d requests in it, all here %v after", kind.name, asked.Load(), time.Since(ended))
					if n := asked.Load(); n == 0 || n > 20 {
						t.Errorf("%s: %d requests in ten seconds of it, want at most 20", kind.name, n)
					}
					if late := time.Since(ended); late > 2*time.Minute {
						t.Errorf("%s: all is here %v after its end, want at most two minutes: %+v", kind.name, late, r.dataset("demo").Why)
					}
				}
				for _, kind := range r.inbox.take() {
					if kind != "complete demo" {
						t.Errorf("people were told of %q", kind)
					}
				}
			})
		})
	}
}

// hit answers all requests with an error, or data with garbage if that is nil, and
// counts them; no counter ends it.
func (l *library) hit(asked *atomic.Int64, err error) {
	l.befall(nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spoil = nil
	if asked == nil {
		return
	}
	if err == nil {
		l.spoil = garbage
	}
	l.trouble = func(manifest.Ref) error {
		asked.Add(1)
		return err
	}
}
