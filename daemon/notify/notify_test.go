package notify_test

import (
	"os"
	"testing"
	"time"

	"mimicsync/daemon/notify"
)

// As a hook, the test binary does what its first argument says.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && actAsHook(os.Args[1:]) {
		return
	}
	os.Exit(m.Run())
}

var signAgain = notify.Event{
	Kind: notify.Parked, Time: time.Date(2026, 11, 22, 3, 30, 0, 0, time.UTC), Host: "lab1", Mirror: "/data/physionet",
	Dataset: "mimic-cxr", Version: "2.1.0", Text: "the agreement of the new version must be signed",
	Cure: "https://physionet.org/sign-dua/mimic-cxr/2.1.0/", Fetched: 3, FetchedBytes: 4096,
}

func TestAnEventReadsAsAMessage(t *testing.T) {
	if got, want := signAgain.Subject(), "mimic-cxr 2.1.0: needs you"; got != want {
		t.Errorf("Subject = %q, want %q", got, want)
	}
	want := `mimic-cxr 2.1.0: needs you
the agreement of the new version must be signed
What to do: https://physionet.org/sign-dua/mimic-cxr/2.1.0/
Sun 2026-11-22 03:30 UTC, mirror /data/physionet on lab1
`
	if got := signAgain.Message(); got != want {
		t.Errorf("Message = %q, want %q", got, want)
	}
	if got, want := (notify.Event{Kind: notify.Mirror}).Subject(), "mimicsync: the mirror is gone"; got != want {
		t.Errorf("Subject = %q, want %q", got, want)
	}
	for _, k := range notify.Kinds {
		if got := (notify.Event{Kind: k}).Subject(); got == "mimicsync: "+string(k) && k != notify.Complete {
			t.Errorf("%s has no title", k)
		}
	}
}
