package dashboard

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"mimicsync/daemon/sse"
)

const (
	// liveWait is how long an event may take to leave. A slower reader is cut off, and
	// reconnects by itself.
	liveWait = 30 * time.Second
	// maxLive is how many pages are live at once: each change is rendered for each.
	maxLive = 32
)

// fragments are the ids of the elements that change, which are also the names of their
// templates.
var fragments = []string{"headline", "attention", "now", "controls", "datasets", "hour", "days", "hosts", "history"}

// live sends changes of the page as Server-Sent Events: JSON objects of ids and HTML. The
// first one has everything, for a reader that was away.
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
	out := sse.Start(w, liveWait)
	pulse := time.NewTicker(sse.KeepAlive) // also because days pass without a change
	defer pulse.Stop()
	sent := map[string][]byte{}
	for {
		news, err := d.news(r, sent)
		if err != nil {
			d.Logger.ErrorContext(r.Context(), "read what the page shows", "err", err)
			return
		}
		if news == nil {
			err = out.Comment()
		} else {
			err = out.Event("", news)
		}
		if err != nil {
			return // the reader is gone, or too slow
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-pulse.C:
		}
	}
}

// news is the JSON of the fragments that differ from sent, nil if none do.
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
		return nil, nil
	}
	return json.Marshal(changed)
}
