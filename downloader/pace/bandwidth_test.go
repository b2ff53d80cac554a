package pace

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// flood is a metered connection to somebody who sends as fast as he can, until
// the test ends.
func flood(t *testing.T, b *Bandwidth) net.Conn {
	here, there := net.Pipe()
	var sender sync.WaitGroup
	sender.Go(func() {
		for _, err := there.Write(make([]byte, 256<<10)); err == nil; _, err = there.Write(make([]byte, 256<<10)) {
		}
	})
	conn := b.meter(here)
	t.Cleanup(func() {
		_ = conn.Close()
		_ = there.Close()
		sender.Wait()
	})
	return conn
}

// received reads connections for a time and returns how much came on each and
// the longest silence on any.
func received(t *testing.T, conns []io.Reader, d time.Duration) (amounts []int64, silence time.Duration) {
	t.Helper()
	amounts = make([]int64, len(conns))
	var longest atomic.Int64
	var readers sync.WaitGroup
	start := time.Now()
	for i, conn := range conns {
		readers.Go(func() {
			buf := make([]byte, 512<<10)
			for last := start; time.Since(start) < d; {
				n, err := conn.Read(buf)
				if err != nil {
					t.Errorf("Read: %v", err)
					return
				}
				now := time.Now()
				if quiet := int64(now.Sub(last)); quiet > longest.Load() {
					longest.Store(quiet) // another's may get lost, and comes again
				}
				last = now
				if now.Sub(start) <= d {
					amounts[i] += int64(n)
				}
			}
		})
	}
	readers.Wait()
	return amounts, time.Duration(longest.Load())
}

func constant(rate int64) Timetable { return Timetable{{Rate: rate}} }

// However low the limit and however many the connections: the sum is the limit,
// each has its share, and none is silent for long.
func TestBandwidthIsSharedFairly(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rate  int64
		conns int
	}{
		{"one connection", 1 << 20, 1},
		{"10k and 16 connections", 10 << 10, 16},
		{"1k and 64 connections", 1 << 10, 64},
		{"100M and 64 connections", 100 << 20, 64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBandwidth(constant(tt.rate))
				conns := make([]io.Reader, tt.conns)
				for i := range conns {
					conns[i] = flood(t, b)
				}
				received(t, conns, 3*time.Second) // the burst is anybody's
				const seconds = 20
				amounts, silence := received(t, conns, seconds*time.Second)
				var sum int64
				share := float64(tt.rate) * seconds / float64(tt.conns)
				for i, n := range amounts {
					sum += n
					if float64(n) < 0.9*share || float64(n) > 1.1*share {
						t.Errorf("connection %d received %d, want about %.0f", i, n, share)
					}
				}
				if want := tt.rate * seconds; sum < want*95/100 || sum > want+tt.rate/2 {
					t.Errorf("all received %d, want %d", sum, want)
				}
				if silence > time.Second {
					t.Errorf("a connection was silent for %v", silence)
				}
			})
		})
	}
}

// A full TLS record is the least that a transfer hears of. As many connections
// as Bandwidth advises never look stalled.
func TestALowLimitIsNoStall(t *testing.T) {
	site := httptest.NewTLSServer(nil)
	site.Close()
	server := &tls.Config{Certificates: site.TLS.Certificates, DynamicRecordSizingDisabled: true}
	client := &tls.Config{InsecureSkipVerify: true}
	synctest.Test(t, func(t *testing.T) {
		const idle = time.Minute
		b := NewBandwidth(constant(10 << 10))
		conns := b.Connections(16, idle)
		if conns < 8 {
			t.Fatalf("Connections = %d of 16 at 10k, want most of them", conns)
		}
		var all sync.WaitGroup
		for range conns {
			here, there := net.Pipe()
			all.Go(func() {
				sender := tls.Server(there, server)
				for err := error(nil); err == nil; {
					_, err = sender.Write(make([]byte, recordSize))
				}
			})
			all.Go(func() {
				defer func() { _, _ = here.Close(), there.Close() }() // ends the sender
				var stalled atomic.Bool
				timer := time.AfterFunc(idle, func() { stalled.Store(true) })
				defer timer.Stop()
				reader := tls.Client(b.meter(here), client)
				buf := make([]byte, 512<<10)
				for start := time.Now(); time.Since(start) < 10*time.Minute; timer.Reset(idle) {
					if _, err := reader.Read(buf); err != nil {
						t.Errorf("Read: %v", err)
						return
					}
					if stalled.Load() {
						t.Error("taken for a stall")
						return
					}
				}
			})
		}
		all.Wait()
	})
}

func TestConnectionsUnderALimit(t *testing.T) {
	for _, tt := range []struct {
		table string
		n     int
		idle  time.Duration
		want  int
	}{
		{"off", 64, time.Minute, 64},
		{"10M", 64, time.Minute, 64},
		{"10k", 8, time.Minute, 8},
		{"10k", 16, time.Minute, 12},
		{"1k", 16, time.Minute, 1},
		{"08:00,10k 19:00,off", 16, time.Minute, 12},
		{"10k", 16, time.Second, 1},
	} {
		table, err := ParseTimetable(tt.table)
		if err != nil {
			t.Fatal(err)
		}
		if got := NewBandwidth(table).Connections(tt.n, tt.idle); got != tt.want {
			t.Errorf("%s: Connections(%d, %v) = %d, want %d", tt.table, tt.n, tt.idle, got, tt.want)
		}
	}
}

// Set reaches a read that waits for its bytes, within a second and both ways.
func TestBandwidthChangesWhileReadsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBandwidth(constant(2 << 10))
		conns := []io.Reader{flood(t, b), flood(t, b)}
		time.AfterFunc(10*time.Second, func() { b.Set(constant(1 << 20)) })
		amounts, _ := received(t, conns, 10*time.Second)
		if sum := amounts[0] + amounts[1]; sum > 22<<10 {
			t.Errorf("received %d in 10 s at 2k", sum)
		}
		amounts, _ = received(t, conns, 5*time.Second)
		if sum := amounts[0] + amounts[1]; sum < 4<<20 {
			t.Errorf("received %d in 5 s, want 1M a second within the first", sum)
		}
		b.Set(constant(2 << 10))
		amounts, _ = received(t, conns, 10*time.Second)
		if sum := amounts[0] + amounts[1]; sum > 22<<10 {
			t.Errorf("received %d in 10 s at 2k again", sum)
		}
		b.Set(nil)
		buf := make([]byte, 256<<10)
		time.Sleep(time.Second)
		start := time.Now()
		for range 100 {
			if _, err := conns[0].Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("reads took %v without a limit", took)
		}
	})
}

// The slot changes in the middle of a read loop, with nobody calling Set.
func TestBandwidthFollowsTheTimetable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		midnight := time.Date(2026, 5, 4, 0, 0, 0, 0, time.Local)
		time.Sleep(time.Until(midnight.Add(-time.Minute)))
		table, err := ParseTimetable("00:00,10k 23:00,2k")
		if err != nil {
			t.Fatal(err)
		}
		b := NewBandwidth(table)
		conns := []io.Reader{flood(t, b)}
		for _, rate := range []int64{2 << 10, 10 << 10} {
			amounts, _ := received(t, conns, time.Minute)
			if want := rate * 60; amounts[0] < want*9/10 || amounts[0] > want*11/10 {
				t.Errorf("received %d in a minute at %d a second", amounts[0], rate)
			}
		}
	})
}

// A connection that is closed leaves its share to the others, once.
func TestClosedConnectionsLeaveTheirShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBandwidth(constant(1 << 20))
		idle := flood(t, b)
		flood(t, b)
		_, _ = idle.Close(), idle.Close()
		if got := b.open.Load(); got != 1 {
			t.Errorf("%d connections are open, want 1", got)
		}
	})
}

func TestBandwidthDials(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // nobody else asks
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()
	conn, err := NewBandwidth(constant(1<<20)).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // read to its end
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Errorf("received %q, %v", got, err)
	}
}
