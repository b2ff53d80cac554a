package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// livePulse is how often the page is looked at although nothing was said to
	// have changed: days pass, and whoever is between must see life.
	livePulse = 15 * time.Second
	// liveWait is how long an event may take to leave. Who reads more slowly is
	// cut off, and comes back by itself.
	liveWait = 30 * time.Second
	// maxLive is how many pages are kept live: each change is rendered for each.
	maxLive = 32
)

// fragments are the ids of the elements that change, which are the names of their
// templates too.
var fragments = []string{"headline", "attention", "now", "controls", "datasets", "hour", "days", "hosts", "history"}

// live sends what has changed of the page, as Server-Sent Events: JSON objects of
// ids and HTML. The first one has everything, for a reader that was away.
func (d *dashboard) live(w http.ResponseWriter, r *http.Request) {
	select {
	case d.readers <- struct{}{}:
		defer func() { <-d.readers }()
	default:
		http.Error(w, "too many pages of this daemon are open", http.StatusServiceUnavailable)
		return
	}
	changed, stop := d.watch()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // else the server's would end the stream
	pulse := time.NewTicker(livePulse)
	defer pulse.Stop()
	sent := map[string][]byte{}
	for {
		event, err := d.news(r, sent)
		if err != nil {
			d.Logger.ErrorContext(r.Context(), "read what the page shows", "err", err)
			return
		}
		_ = rc.SetWriteDeadline(time.Now().Add(liveWait)) // a writer without deadlines is one of a test
		if _, err := w.Write(event); err != nil {
			return // the reader is gone
		}
		if err := rc.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-pulse.C:
		}
	}
}

// news is an event with the fragments that are not as sent has them, and a comment
// if all are.
func (d *dashboard) news(r *http.Request, sent map[string][]byte) ([]byte, error) {
	s, err := d.look()
	if err != nil {
		return nil, err
	}
	p := newPage(s, d.MayChange(r.Context()))
	changed := map[string]string{}
	for _, id := range fragments {
		html := bytes.TrimSpace(render(id, p))
		if !bytes.Equal(html, sent[id]) {
			sent[id], changed[id] = html, string(html)
		}
	}
	if len(changed) == 0 {
		return []byte(":\n\n"), nil
	}
	b, err := json.Marshal(changed)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "data: %s\n\n", b), nil
}
