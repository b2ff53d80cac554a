package lookalike

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// buffers are what bodies are copied through: as large as is useful to TLS, and shared, because most files are small.
var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// strikeOnArrival lets a fault strike a request that has just come in, and reports whether that was the request's end.
func (h *Host) strikeOnArrival(w *response, r *http.Request, f *Fault, s site) bool {
	if f.Kind == Delay || f.Duration > 0 {
		h.pause(r.Context(), f.Duration)
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // returning would send an empty 200
		}
	}
	switch f.Kind {
	case DropSession:
		s.DropSessions()
	case Reset:
		reset(w)
		return true
	case Status:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		w.reason = f.Reason
		s.refuse(w, f.Code)
		return true
	}
	return false
}

// sendSpan sends a part of c, with the fault that strikes it.
func (h *Host) sendSpan(w *response, r *http.Request, c *content, part span) {
	var f *Fault
	if r.Method == http.MethodGet {
		f = h.faults.claim(onSend, r, part)
	}
	if f == nil {
		f = &Fault{} // no kind, no harm
	}
	if f.Kind == WrongRange {
		part.start = f.After
	}
	header := w.Header()
	if f.Kind != NoLength {
		header["Content-Length"] = []string{strconv.FormatInt(part.length(), 10)}
	}
	code := http.StatusOK
	if part.partial {
		code = http.StatusPartialContent
		header["Content-Range"] = []string{part.contentRange()}
	}
	if part.start > 0 {
		if _, err := c.body.Seek(part.start, io.SeekStart); err != nil {
			nginxPage(w, http.StatusInternalServerError)
			return
		}
	}
	w.WriteHeader(code)
	if r.Method == http.MethodHead {
		return
	}
	if f.Kind == NoLength {
		w.flush() // or net/http adds a Content-Length to what is small
	}
	h.sendBody(w, r, c.body, part, f)
}

// sendBody sends the bytes of a part, up to where the fault ends them. Errors mean that the client has gone.
func (h *Host) sendBody(w *response, r *http.Request, body io.Reader, part span, f *Fault) {
	ctx := r.Context()
	p := pump{w: w, host: h, src: body, flip: -1, perConn: h.connPace(r)}
	switch f.Kind {
	case Corrupt:
		p.flip = f.After - part.start
	case Slow:
		p.slow = newPace(f.Rate)
	case Stall, Reset, ShortBody:
		if p.copy(ctx, f.After) != nil {
			return
		}
		w.flush()
		switch f.Kind {
		case Stall:
			if !h.pause(ctx, f.Duration) {
				panic(http.ErrAbortHandler) // the client, or the server, has given up
			}
			_ = p.copy(ctx, part.length()-f.After)
		case Reset:
			reset(w)
		}
		return // of a ShortBody, net/http sees that bytes are missing and closes the connection
	}
	_ = p.copy(ctx, part.length())
}

// pump copies a body, damaged and slowed down as it should be.
type pump struct {
	w       *response
	host    *Host
	src     io.Reader
	done    int64
	flip    int64 // the position of the byte to invert, or -1
	slow    *pace // of this response, or nil
	perConn *pace // of its connection, or nil
}

func (p *pump) copy(ctx context.Context, n int64) error {
	buf, _ := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for n > 0 {
		b := (*buf)[:min(n, int64(len(*buf)), p.slow.step(), p.perConn.step())]
		if _, err := io.ReadFull(p.src, b); err != nil {
			return err
		}
		if i := p.flip - p.done; p.flip >= 0 && i >= 0 && i < int64(len(b)) {
			b[i] ^= 0xff
		}
		if err := p.wait(ctx, int64(len(b))); err != nil {
			return err
		}
		if _, err := p.w.Write(b); err != nil {
			return err
		}
		if p.slow != nil || p.perConn != nil {
			p.w.flush()
		}
		p.done += int64(len(b))
		n -= int64(len(b))
	}
	return nil
}

// wait until n bytes may be sent.
func (p *pump) wait(ctx context.Context, n int64) error {
	for _, limit := range []*pace{p.slow, p.perConn} {
		if d := limit.reserve(n); d > 0 {
			p.host.pause(ctx, d)
		}
	}
	return ctx.Err()
}

// reset drops the connection so that the client's system reports a reset. HTTP/2 resets the stream instead.
func reset(w *response) {
	conn, _, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn() // closing the tls.Conn would say goodbye first
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // else Close below is an ordinary one, which is as good as this can get
	}
	_ = raw.Close()
}
