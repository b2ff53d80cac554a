package physionet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/zalando/go-keyring"
)

// ErrKeyringSilent means that the system's keyring didn't answer in time: it waits for a
// person to unlock it, or it hangs.
var ErrKeyringSilent = errors.New("the system's keyring doesn't answer; unlock it")

var (
	errNoAccount = errors.New("the system's keyring has no such account")
	errNoKeyring = errors.New("there is no session bus, and so no keyring")
)

// keyringService is the name of all entries of mimicsync. The user of an entry is the host,
// because the account's own name is unknown when it is looked for; the secret is a line of
// netrc with both.
const keyringService = "mimicsync"

func findInKeyring(ctx context.Context, limit time.Duration, host, user string) (Credentials, error) {
	text, err := askKeyring(ctx, limit, func() (string, error) { return keyring.Get(keyringService, host) })
	if err != nil {
		return Credentials{}, err
	}
	found, err := parseNetrc(text, host, user)
	if err != nil {
		return Credentials{}, err
	}
	if found.User == "" {
		return Credentials{}, errNoAccount
	}
	found.From = FromKeyring
	return found, nil
}

func saveInKeyring(ctx context.Context, limit time.Duration, e netrcEntry) error {
	_, err := askKeyring(ctx, limit, func() (string, error) { return "", keyring.Set(keyringService, e.host, e.String()) })
	return err
}

func removeFromKeyring(ctx context.Context, limit time.Duration, host string) error {
	_, err := askKeyring(ctx, limit, func() (string, error) { return "", keyring.Delete(keyringService, host) })
	return err
}

// askKeyring waits for an answer of the keyring for up to limit. A call over D-Bus can't be
// canceled: one that hangs is left behind, and ends with the process.
func askKeyring(ctx context.Context, limit time.Duration, call func() (string, error)) (string, error) {
	if !hasSessionBus() {
		return "", errNoKeyring
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w (no answer in %s)", ErrKeyringSilent, limit))
	defer cancel()
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := call()
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case got := <-answers:
		if errors.Is(got.err, keyring.ErrNotFound) {
			return "", errNoAccount
		}
		return got.text, got.err
	}
}

// hasSessionBus reports whether the keyring can be used. Where it needs D-Bus and there is
// none, as on the login node of a cluster, the library would run dbus-launch, which leaves
// a daemon behind. It checks the same places as the library.
func hasSessionBus() bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return true
	}
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" && address != "autolaunch:" {
		return true
	}
	run := filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(filepath.Join(run, name)); err == nil {
			return true
		}
	}
	return false
}
