//go:build unix

package physionet

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/zalando/go-keyring"
)

// Somebody has put a FIFO in the place of the file of accounts: login and logout do not
// wait for who would write into it.
func TestAFIFOInPlaceOfTheAccounts(t *testing.T) {
	keyring.MockInitWithError(errLocked)
	a := Accounts{URL: "https://physionet.example", File: filepath.Join(t.TempDir(), "credentials")}
	if err := syscall.Mkfifo(a.File, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = a.Forget(t.Context()) // whatever comes of it
		_, _ = a.Save(t.Context(), Credentials{User: "marie", Password: "hunter2"})
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it is waited for")
	}
}
