package store

import "testing"

// The current folder is no home: it may be anybody's.
func TestNoStateInTheCurrentFolder(t *testing.T) {
	for _, home := range []string{"", ".", "home/marie"} {
		t.Setenv("HOME", home)
		t.Setenv("USERPROFILE", home)
		t.Setenv("XDG_STATE_HOME", "state")
		if got, err := stateHome(); err == nil {
			t.Errorf("with HOME=%q the state goes to %s, want an error", home, got)
		}
	}
}
