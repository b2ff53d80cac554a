package progress

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/pace"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// host is one whose connections a Budget knows.
type host struct {
	*pace.Budget
	name string
}

func (h host) Name() string { return h.name }

// A pass whose host asked another one for a pause has heard of no refusal of its
// own, and waits all the same.
func TestAPauseOfTheHostIsAWaitOfEveryPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pace.NewBudget(1)
		p := new(Progress)
		p.Asks(host{b, "physionet"}, nil)
		if got := p.Waits(); len(got) > 0 {
			t.Errorf("before any refusal: %+v", got)
		}
		for range pace.RepeatedBusy + 1 {
			if err := b.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.Release(pace.TooFast, 25*time.Minute)
			time.Sleep(time.Second)
		}
		began := time.Now()
		for range 2 {
			want := Wait{
				For: "physionet", Why: "it refused 4 requests in a row and asked for a pause",
				Since: began, Until: began.Add(25*time.Minute - time.Second),
			}
			if got := p.Waits(); len(got) != 1 || got[0] != want {
				t.Errorf("after %v: %+v, want %+v", time.Since(began), got, want)
			}
			time.Sleep(10 * time.Minute)
		}
		p.Connections.Store(1)
		if got := p.Waits(); len(got) > 0 {
			t.Errorf("with a request on its way: %+v", got)
		}
		p.Connections.Store(0)
		time.Sleep(5 * time.Minute)
		if got := p.Waits(); len(got) > 0 {
			t.Errorf("when it is over: %+v", got)
		}
	})
}

// What is free at one source is not waited for at another.
func TestAPassIsHeldOnlyIfAllItsSourcesAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy, free := pace.NewBudget(1), pace.NewBudget(1)
		if err := busy.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		go func() { _ = busy.Acquire(t.Context()) }() // and another one waits
		defer busy.Release(pace.NoAnswer, 0)
		synctest.Wait()
		p := new(Progress)
		p.Asks(host{free, "physionet"},
			[]Host{host{busy, "gcs"}, host{free, "physionet"}})
		p.Enter(PhaseTransfer)
		if got := p.Waits(); len(got) > 0 {
			t.Errorf("with a source that is free: %+v", got)
		}
		p.Asks(host{free, "physionet"}, []Host{host{busy, "gcs"}})
		if got := p.Waits(); len(got) > 0 {
			t.Errorf("at first: %+v", got)
		}
		time.Sleep(itsTurn)
		got := p.Waits()
		if len(got) != 1 || got[0].For != "gcs" || !got[0].Until.IsZero() || got[0].Why != "other passes have all the connections that it allows" {
			t.Errorf("without: %+v", got)
		}
	})
}

func TestForemost(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	whole := Wait{For: "physionet", Why: "status 502", Until: at(50)}
	turn := Wait{For: "physionet", Why: "other passes have all the connections"}
	late, soon := Wait{For: "gcs", Object: "a", Until: at(90)}, Wait{For: "s3", Object: "b", Until: at(20)}
	unknown := Wait{For: "s3", Object: manifest.Name}
	for _, tt := range []struct {
		waits    []Wait
		requests int64
		flows    bool
		want     Wait
	}{
		{nil, 0, false, Wait{}},
		{[]Wait{late, soon}, 0, true, soon}, // bytes came a moment ago
		{[]Wait{unknown, late}, 0, false, late},
		{[]Wait{unknown}, 0, false, unknown},
		{[]Wait{late, soon}, 3, false, Wait{}},
		{[]Wait{whole, soon}, 3, false, whole}, // those are on their way that ask whether it is over
		{[]Wait{whole, soon}, 0, true, whole},
		{[]Wait{whole, soon}, 1, true, Wait{}},
		{[]Wait{turn}, 0, false, turn},
		{[]Wait{turn}, 0, true, Wait{}},
	} {
		if got, ok := Foremost(tt.waits, tt.requests, tt.flows); got != tt.want || ok != (tt.want != Wait{}) {
			t.Errorf("Foremost(%+v, %d, %v) = %+v, %v, want %+v", tt.waits, tt.requests, tt.flows, got, ok, tt.want)
		}
	}
}

// The line names the source; the reason does not repeat its address.
func TestTheReasonOfAWaitIsBrief(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 443}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&source.StatusError{URL: "https://physionet.org/files/demo/1.0/a.csv?x=1", Code: 503}, "status 503 (busy)"},
		{&source.StatusError{URL: "https://physionet.org/api/v1/project/published/demo/", Code: 429}, "status 429 (too many requests)"},
		{&source.StatusError{URL: "https://physionet.org/x", Code: 599}, "status 599"},
		{&source.StatusError{URL: "s3://physionet-open/demo/1.0/a.csv", Code: 503}, "status 503 (busy)"},
		{&source.StatusError{URL: "gs://demo-1.0.physionet.org/a b.csv", Code: 502}, "status 502 (bad gateway)"},
		{&url.Error{Op: "Get", URL: "https://physionet.org/files/", Err: refused}, "10.0.0.7:443 refuses connections"},
		{&url.Error{Op: "Get", URL: "https://physionet.org/files/", Err: &net.OpError{Op: "proxyconnect", Net: "tcp", Err: refused}}, "the proxy 10.0.0.7:443 refuses connections"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "physionet.lab", Server: "10.0.0.1:53", IsNotFound: true}}, "no address is known of physionet.lab"},
		{&net.OpError{Op: "dial", Net: "tcp", Addr: refused.Addr, Err: os.ErrDeadlineExceeded}, "10.0.0.7:443 does not answer"},
		{&net.OpError{Op: "dial", Net: "tcp", Addr: refused.Addr, Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, "10.0.0.7:443 cannot be reached (no route to host)"},
		{&url.Error{Op: "Get", URL: "https://physionet.org/files/", Err: fmt.Errorf("the server closed the connection without an answer: %w", io.EOF)}, "it closed the connection without an answer"},
		{fmt.Errorf("read the manifest: %w", io.ErrUnexpectedEOF), "read the manifest: the connection was cut"},
		{&source.ProxyError{Proxy: "http://proxy.lab:3128", Host: "physionet.org:443", Code: 407}, "the proxy http://proxy.lab:3128 refuses to connect to physionet.org:443: status 407 (Proxy Authentication Required)"},
		{errors.New("physionet sends a web page instead of files; it is asked again"), "it sends a web page instead of files; it is asked again"},
	} {
		p := new(Progress)
		p.Await(Wait{For: "physionet", Why: tt.err.Error()})
		if got := p.Waits()[0].Why; got != tt.want {
			t.Errorf("%v is told as %q, want %q", tt.err, got, tt.want)
		}
	}
}
