// Package sse writes Server-Sent Events, see the HTML Standard, section 9.2.
package sse

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// KeepAlive is how often a stream should say something, so that no proxy takes it for dead.
const KeepAlive = 15 * time.Second

// Writer writes the events of one response. A reader that doesn't take an event within the
// limit is cut off: the daemon waits for nobody. Not safe for concurrent use.
type Writer struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	limit time.Duration
}

// Start begins a response of events, each of which must leave within limit.
func Start(w http.ResponseWriter, limit time.Duration) *Writer {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // otherwise the server's ReadTimeout would end the stream
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	return &Writer{w, rc, limit}
}

// Event sends JSON without line breaks, under a name unless that is empty.
func (w *Writer) Event(name string, data []byte) error {
	var b bytes.Buffer
	if name != "" {
		fmt.Fprintf(&b, "event: %s\n", name)
	}
	fmt.Fprintf(&b, "data: %s\n\n", data)
	return w.write(b.Bytes())
}

// Comment sends a sign of life.
func (w *Writer) Comment() error { return w.write([]byte(":\n\n")) }

func (w *Writer) write(b []byte) error {
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.limit)) // only writers of tests have no deadline
	if _, err := w.w.Write(b); err != nil {
		return err
	}
	return w.rc.Flush()
}
