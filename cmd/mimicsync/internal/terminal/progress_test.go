package terminal

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/progress"
)

// What turns while there is nothing to count ends when there is: a spinner that
// went on by itself would write over the bar, and over the shell's prompt.
func TestTheSpinnerEndsWhereTheBarBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		u := &UI{Stderr: &screen}
		p := new(progress.Progress)
		stop := u.Show("bar", "demo@2.0", p, nil)
		shown := func() string { // since the last call
			u.mu.Lock()
			defer u.mu.Unlock()
			defer screen.Reset()
			return screen.String()
		}
		time.Sleep(time.Second + barEvery/2) // between two ticks, then and from then on
		want := func(what string) {
			t.Helper()
			if text := shown(); !strings.Contains(text, "demo@2.0  "+what) {
				t.Errorf("the screen: %q, want it to say %q", text, what)
			}
		}
		want("waiting for its turn")
		p.Connections.Store(1)
		time.Sleep(barEvery)
		want("fetching the manifest")
		p.Connections.Store(0)
		p.Retries.Store(1)
		time.Sleep(barEvery)
		want("waiting to fetch the manifest again, after 1 try")
		p.Total.Store(10)
		p.Expected.Store(1e6)
		p.Phase.Store(int32(progress.PhaseTransfer))
		time.Sleep(barEvery)
		shown()
		time.Sleep(time.Second)
		stop()
		if text := shown(); strings.Contains(text, "asking") || !strings.Contains(text, "0 of 10 files") {
			t.Errorf("the screen: %q", text)
		}
	})
}
