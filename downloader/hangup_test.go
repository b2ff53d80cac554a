package downloader_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// A server closes all connections that were kept, in place of answers, and goes on so
// for a moment: what was on its way is not sent twice, and then one asks.
func TestHangUpsAreNotRepeatedInSilence(t *testing.T) {
	slow(t)
	const connections = 16
	s := newSite(t, nil, project(manyFiles(260, 700)...))
	isFile := func(q *http.Request) bool { return strings.HasSuffix(q.URL.Path, ".csv") }
	s.Inject(lookalike.Fault{Kind: lookalike.Delay, Duration: 20 * time.Millisecond, Times: 100, Match: isFile})
	var hangUps *lookalike.Injected
	var first sync.Once
	during := make(chan int, 1)
	hangUps = s.Inject(lookalike.Fault{Kind: lookalike.Reset, After: -1, Duration: 100 * time.Millisecond, Match: func(q *http.Request) bool {
		if isFile(q) {
			first.Do(func() {
				time.AfterFunc(1200*time.Millisecond, func() {
					hangUps.Remove()
					during <- hangUps.Struck()
				})
			})
		}
		return isFile(q)
	}})
	r := newRig(t, rigOptions{sources: s.named(t, connections)})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 260, Fetched: 260})
	n := <-during
	if n > connections+9 { // one repetition, some who stand in for those that wait, and two or three that ask
		t.Errorf("%d requests to a server that hung up on %d connections, want little more than one on each", n, connections)
	}
	t.Logf("%d requests", n)
}
