package daemon

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestADaemonThatNoLongerDecidesIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Daemon{}
		if !d.Alive() {
			t.Error("it is not alive before Run")
		}
		d.running = true
		d.decided()
		time.Sleep(2 * time.Minute)
		if !d.Alive() {
			t.Error("it is not alive two minutes after it decided")
		}
		time.Sleep(2 * time.Minute)
		if d.Alive() {
			t.Error("it is alive four minutes after it decided")
		}
	})
}
