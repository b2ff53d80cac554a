package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"mimicsync/daemon/sse"
	"mimicsync/internal/plainjson"
	"mimicsync/store"
)

var errBusy = errors.New("too many streams of events are open")

// events streams Server-Sent Events: "status" with a daemon.Status, immediately and soon
// after each change, and "pass" with a daemon.PassStatus and its result when a pass ends. A
// slow reader gets fewer of the former.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return errBusy
	}
	changed, stop := s.daemon.Watch()
	defer stop()
	stream := &stream{s: s, out: sse.Start(w, writeWait)}
	stream.begin()
	tick := time.NewTicker(sse.KeepAlive)
	defer tick.Stop()
	for err := stream.update(); err == nil; {
		select {
		case <-r.Context().Done():
			return nil
		case <-changed:
			err = stream.update()
		case <-tick.C:
			err = stream.out.Comment()
		}
	}
	return nil // the reader is gone, or too slow
}

// stream is the stream of one reader.
type stream struct {
	s   *Server
	out *sse.Writer

	open []int64 // passes that have not ended, as far as known
	last int64   // the last known pass
}

// begin notes which passes exist already.
func (t *stream) begin() { t.open, t.last = t.s.daemon.Open() }

// update sends the status, and the passes that have ended. It finds them by their
// consecutive numbers: a pass may begin and end between two changes.
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
	return t.out.Event(event, plainjson.Escape(data))
}
