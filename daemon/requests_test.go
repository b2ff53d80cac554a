package daemon_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/store"
)

func TestAPullOfAPersonRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary()
		l.publish(ref(t, "demo@1.0"), map[string]string{"a.csv": "a", "b.csv": "b"})
		r := newRig(t, l, daemon.Settings{})
		r.start()
		id, err := r.Pull(daemon.PullRequest{Ref: ref(t, "demo")})
		must(t, err)
		time.Sleep(time.Second)
		p, err := r.Pass(id)
		must(t, err)
		if p.State != store.Complete || p.Report == nil || p.Report.Files.Fetched != 2 || p.Version != "1.0" {
			t.Errorf("the pass: %+v", p)
		}
		r.has("demo/1.0/a.csv", "a")
		if s := r.dataset("demo"); s.Files != 2 || s.Condition != daemon.Idle || s.Scheduled {
			t.Errorf("the dataset: %+v", s)
		}
		r.stop()
	})
}
