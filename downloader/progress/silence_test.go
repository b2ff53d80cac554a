package progress

import (
	"testing"
	"testing/synctest"
	"time"
)

// A source takes every request and sends nothing: that is told after a second. Once it
// has sent something, it may take its time, until that is long too; and again for the
// files, after it gave the manifest.
func TestASilentSourceIsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(Progress)
		want := func(when string, waits ...Wait) {
			t.Helper()
			got := p.Waits()
			same := len(got) == len(waits)
			for i := range min(len(got), len(waits)) {
				same = same && got[i].For == waits[i].For && got[i].Why == waits[i].Why && got[i].Since.Equal(waits[i].Since)
			}
			if !same {
				t.Errorf("%s: %+v, want %+v", when, got, waits)
			}
		}
		asked := time.Now()
		first, second := p.Request("gcs"), p.Request("gcs")
		time.Sleep(900 * time.Millisecond)
		want("soon after the request")
		time.Sleep(time.Second)
		want("later", Wait{For: "gcs", Why: "it has not answered yet", Since: asked})
		p.Ended(first)
		want("with one request given up", Wait{For: "gcs", Why: "it has not answered yet", Since: asked})
		second.Spoke()
		spoke := time.Now()
		time.Sleep(laterSilence - time.Second)
		want("while a byte is a moment ago")
		time.Sleep(time.Second)
		want("when that is long ago", Wait{For: "gcs", Why: "it sends nothing more", Since: spoke})
		p.Await(Wait{For: "gcs", Why: "it rests", Since: asked})
		want("when more is known", Wait{For: "gcs", Why: "it rests", Since: asked})
		p.Met("gcs", "")
		p.Ended(second)
		want("with no request on its way")

		p.Enter(PhaseTransfer)
		asked = time.Now()
		file := p.Request("gcs")
		time.Sleep(2 * firstSilence)
		want("in a phase of which it has given nothing", Wait{For: "gcs", Why: "it has not answered yet", Since: asked})
		p.Ended(file)
		if n := p.Connections.Load(); n != 0 {
			t.Errorf("%d connections are counted at the end", n)
		}
	})
}

// Who asks without a Progress is not in anybody's way.
func TestSilenceWithoutAProgress(t *testing.T) {
	var p *Progress
	s := p.Request("gcs")
	s.Spoke()
	p.Ended(s)
	if waits := p.Waits(); len(waits) > 0 {
		t.Errorf("%+v", waits)
	}
}
