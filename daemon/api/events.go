package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"mimicsync/internal/plainjson"
	"mimicsync/store"
)

// keepAlive is how often a stream says something, so that whoever is between does
// not take it for dead.
const keepAlive = 15 * time.Second

var errBusy = errors.New("too many streams of events are open")

// events streams what happens, as Server-Sent Events: "status" with a
// daemon.Status at once and soon after each change, "pass" with a
// daemon.PassStatus and its result when a pass ends. One who reads slowly gets
// fewer of the former, and is cut off when a write takes longer than writeWait:
// the daemon never waits for anybody.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return errBusy
	}
	changed, stop := s.daemon.Watch()
	defer stop()
	stream := &stream{s: s, w: w, rc: http.NewResponseController(w)}
	_ = stream.rc.SetReadDeadline(time.Time{}) // else ReadTimeout would end it
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	stream.begin()
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for err := stream.update(); err == nil; {
		select {
		case <-r.Context().Done():
			return nil
		case <-changed:
			err = stream.update()
		case <-tick.C:
			err = stream.write([]byte(":\n\n"))
		}
	}
	return nil // the reader is gone, or as good as that
}

// stream is one reader of events.
type stream struct {
	s  *Server
	w  http.ResponseWriter
	rc *http.ResponseController

	open []int64 // passes that have not ended, as far as it knows
	last int64   // the last one that it knows of
}

// begin takes note of what is there already.
func (t *stream) begin() { t.open, t.last = t.s.daemon.Open() }

// update sends what is, and the passes that have ended. It finds them by their
// numbers, which follow each other: a pass may begin and end between two changes
// that the stream hears of.
func (t *stream) update() error {
	for _, last := t.s.daemon.Open(); t.last < last; {
		t.last++
		t.open = append(t.open, t.last)
	}
	var failed error
	t.open = slices.DeleteFunc(t.open, func(id int64) bool {
		p, err := t.s.daemon.Pass(id)
		if err == nil && p.State == store.Running {
			return false
		}
		if err == nil && failed == nil {
			failed = t.send("pass", p)
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return t.send("status", t.s.daemon.Status())
}

func (t *stream) send(event string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", event, plainjson.Escape(data))
	return t.write(b.Bytes())
}

func (t *stream) write(b []byte) error {
	if err := t.rc.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	if _, err := t.w.Write(b); err != nil {
		return err
	}
	return t.rc.Flush()
}
