package pace

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Bandwidth limits what all connections that it has dialed receive together: bytes on the
// wire, including TLS and headers. Each gets its share: what a connection receives at once
// shrinks with the limit and with their number, so that each gets something several times a
// second, however low the limit is. Without a limit, reads pass straight through. Safe for
// concurrent use.
type Bandwidth struct {
	dialer net.Dialer
	open   atomic.Int64                 // connections
	limit  atomic.Pointer[rate.Limiter] // nil: none
	varies atomic.Bool                  // the limit depends on the time
	second atomic.Int64                 // wall clock second at which the timetable was last consulted

	mu        sync.Mutex // held to change any of the above except open
	timetable Timetable
}

const (
	// Turn is the time in which each waiting connection receives something. It limits the
	// wait of a read, and with it how late a change of the limit takes effect and how long
	// a closed connection lingers; it is also the length of a burst after silence.
	Turn = time.Second / 4
	// maxPiece limits what one read receives under a high limit.
	maxPiece = 64 << 10
	// recordSize is the size of a full TLS record, which can't be used before its last byte
	// arrived.
	recordSize = 16 << 10
)

// NewBandwidth returns a Bandwidth with a timetable.
func NewBandwidth(t Timetable) *Bandwidth {
	b := &Bandwidth{dialer: net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}}
	b.Set(t)
	return b
}

// Set changes the timetable, for open connections too; reads that are waiting continue to
// do so for at most a quarter of a second.
func (b *Bandwidth) Set(t Timetable) {
	b.mu.Lock()
	b.timetable = slices.Clone(t)
	b.varies.Store(len(t) > 1)
	b.mu.Unlock()
	b.consult(time.Now())
}

// Connections returns how many of n connections the timetable, at its lowest, can keep from
// looking stalled to a reader with the time-out idle: over TLS, bytes arrive 16 KiB at a
// time. It is at least 1.
func (b *Bandwidth) Connections(n int, idle time.Duration) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	lowest := b.timetable.lowest()
	if lowest == 0 {
		return n
	}
	const margin = 3
	records := float64(lowest) * idle.Seconds() / recordSize
	return max(1, int(min(float64(n), records/margin)))
}

// DialContext connects as net.Dialer does. What the connection receives counts.
func (b *Bandwidth) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := b.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return b.meter(conn), nil
}

func (b *Bandwidth) meter(conn net.Conn) net.Conn {
	b.open.Add(1)
	return &meteredConn{Conn: conn, b: b, leave: sync.OnceFunc(func() { b.open.Add(-1) })}
}

// limiter returns the current limit, nil if there is none.
func (b *Bandwidth) limiter() *rate.Limiter {
	if b.varies.Load() {
		// A timer to the next slot would be wrong if the clock was set, or the machine
		// slept.
		if now := time.Now(); now.Unix() != b.second.Load() {
			b.consult(now)
		}
	}
	return b.limit.Load()
}

// consult looks up the limit in the timetable.
func (b *Bandwidth) consult(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.second.Store(now.Unix())
	allowed := b.timetable.Rate(now)
	if allowed == 0 {
		b.limit.Store(nil)
		return
	}
	allowed = max(allowed, minRate)
	limit := rate.Limit(allowed)
	if old := b.limit.Load(); old == nil || old.Limit() != limit {
		const most = 1 << 30 // fits an int everywhere
		b.limit.Store(rate.NewLimiter(limit, int(min(Turn.Seconds()*float64(allowed), most))))
	}
}

// piece is the most that one read may receive, so that every connection has its turn.
func (b *Bandwidth) piece(limit *rate.Limiter) int {
	share := Turn.Seconds() * float64(limit.Limit()) / float64(max(b.open.Load(), 1))
	return int(min(max(share, 1), maxPiece))
}

// meteredConn is a connection whose reads count.
type meteredConn struct {
	net.Conn
	b     *Bandwidth
	leave func()
}

// Read receives a piece and then waits until its bytes are allowed, in order of arrival.
func (c *meteredConn) Read(p []byte) (int, error) {
	limit := c.b.limiter()
	if limit == nil {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.b.piece(limit))])
	time.Sleep(limit.ReserveN(time.Now(), n).Delay()) // a turn at most, see piece
	return n, err
}

// Close closes the connection, which then has no share.
func (c *meteredConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
