package terminal

import (
	"testing"

	"github.com/creack/pty"

	"mimicsync/cmd/mimicsync/internal/advice"
)

// A line that is longer than the terminal is wide wraps, and each drawing of the bar
// would leave one behind.
func TestANarrowTerminalGetsNoBarUnasked(t *testing.T) {
	person, line, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = person.Close()
		_ = line.Close()
	})
	for _, test := range []struct {
		columns uint16
		asked   string
		want    string
	}{{39, "auto", "plain"}, {40, "auto", "bar"}, {0, "auto", "bar"}, {30, "bar", "bar"}, {120, "plain", "plain"}} {
		if err := pty.Setsize(line, &pty.Winsize{Rows: 24, Cols: test.columns}); err != nil {
			t.Fatal(err)
		}
		u := New(nil, Outlet{line}, advice.Adviser{})
		if got := u.ProgressStyle(test.asked); got != test.want {
			t.Errorf("--progress %s on %d columns: %s, want %s", test.asked, test.columns, got, test.want)
		}
	}
}
