package physionet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zalando/go-keyring"
)

const here = "https://127.0.0.1:8443"

var errLocked = errors.New("the collection is locked")

// wantFound expects an account, or none if user is empty.
func wantFound(t *testing.T, a Accounts, user, password, from string) {
	t.Helper()
	got, err := a.Find(t.Context())
	if want := (Credentials{User: user, Password: password, From: from}); err != nil || got != want {
		t.Errorf("Find at %s = %q, %q from %q, %v, want %q, %q from %q", a.URL, got.User, got.Password, got.From, err, user, password, from)
	}
}

func keep(t *testing.T, a Accounts, user, password string) Places {
	t.Helper()
	places, err := a.Save(t.Context(), Credentials{User: user, Password: password})
	if err != nil {
		t.Fatalf("Keep(%s) = %v, want <nil>", user, err)
	}
	return places
}

func forget(t *testing.T, a Accounts, want ...string) {
	t.Helper()
	places, err := a.Forget(t.Context())
	if err != nil || !slices.Equal(places.Changed, want) {
		t.Errorf("Forget at %s = %q, %v, want %q", a.URL, places.Changed, err, want)
	}
}

func bare(t *testing.T) {
	t.Helper()
	environment(t, "", "")
	t.Setenv("NETRC", filepath.Join(t.TempDir(), "none"))
}

func TestKeepInKeyring(t *testing.T) {
	bare(t)
	a := accountsAt(t, here)
	other := Accounts{URL: "https://127.0.0.1:9443", File: a.File}
	if places := keep(t, a, "marie", "hunter2"); !slices.Equal(places.Changed, []string{FromKeyring}) || places.Keyring != nil {
		t.Errorf("Keep = %+v, want it in the keyring", places)
	}
	wantFound(t, a, "marie", "hunter2", FromKeyring)
	wantFound(t, other, "", "", "") // another server has another account
	if _, err := os.Stat(a.File); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat(%s) = %v, want no file", a.File, err)
	}
	keep(t, a, "pierre", "radium") // replaces
	wantFound(t, a, "pierre", "radium", FromKeyring)

	t.Setenv("PHYSIONET_USERNAME", "marie")
	wantFound(t, a, "", "", "")
	t.Setenv("PHYSIONET_USERNAME", "")

	forget(t, other)
	forget(t, a, FromKeyring)
	wantFound(t, a, "", "", "")
	forget(t, a)
}

// Without a keyring there is a file that nobody else can read.
func TestKeepInFile(t *testing.T) {
	bare(t)
	a := accountsAt(t, here)
	other := Accounts{URL: "https://PhysioNet.example:443", File: a.File}
	keyring.MockInitWithError(errLocked)
	if places := keep(t, a, "marie", "hunter2"); !slices.Equal(places.Changed, []string{a.File}) || !errors.Is(places.Keyring, errLocked) {
		t.Errorf("Keep = %+v, want it in %s, because %v", places, a.File, errLocked)
	}
	keep(t, other, "eve", "apple")
	wantFound(t, a, "marie", "hunter2", a.File)
	wantFound(t, other, "eve", "apple", a.File)
	wantFound(t, Accounts{URL: "https://physionet.example", File: a.File}, "eve", "apple", a.File) // 443 goes without saying
	wantFound(t, Accounts{URL: "https://127.0.0.1", File: a.File}, "", "", "")
	wantMode(t, a.File, 0o600)
	wantMode(t, filepath.Dir(a.File), 0o700)

	keep(t, a, "marie", "polonium")
	wantFound(t, a, "marie", "polonium", a.File)
	if b, err := os.ReadFile(a.File); err != nil || strings.Contains(string(b), "hunter2") {
		t.Errorf("the file still has the former password: %q, %v", b, err)
	}
	forget(t, a, a.File)
	wantFound(t, a, "", "", "")
	wantFound(t, other, "eve", "apple", a.File)
	forget(t, other, a.File)
	if _, err := os.Stat(a.File); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat(%s) = %v, want no file", a.File, err)
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return // modes do not say who can read a file
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
		t.Errorf("%s has mode %v, %v, want %o", path, fi.Mode(), err, want)
	}
}

// When there is a keyring at last, no copy stays behind in the file.
func TestKeyringTakesOverFromFile(t *testing.T) {
	bare(t)
	a := accountsAt(t, here)
	keyring.MockInitWithError(errLocked)
	keep(t, a, "marie", "hunter2")
	keyring.MockInit()
	keep(t, a, "marie", "polonium")
	wantFound(t, a, "marie", "polonium", FromKeyring)
	if _, err := os.Stat(a.File); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat(%s) = %v, want no file", a.File, err)
	}
}

func TestForgetRemovesBoth(t *testing.T) {
	bare(t)
	a := accountsAt(t, here)
	keyring.MockInitWithError(errLocked)
	keep(t, a, "marie", "hunter2")
	keyring.MockInit()
	if err := keyring.Set("mimicsync", "127.0.0.1:8443", `machine "127.0.0.1:8443" login marie password older`); err != nil {
		t.Fatal(err)
	}
	forget(t, a, FromKeyring, a.File)
	wantFound(t, a, "", "", "")
}

func TestOrderOfPlaces(t *testing.T) {
	home := environment(t, "eve", "from-environment")
	a := accountsAt(t, here)
	keyring.MockInitWithError(errLocked)
	keep(t, a, "marie", "from-file")
	keyring.MockInit()
	secret := netrcEntry{host: "127.0.0.1:8443", Credentials: Credentials{User: "marie", Password: "from-keyring"}}
	if err := keyring.Set("mimicsync", secret.host, secret.String()); err != nil {
		t.Fatal(err)
	}
	netrc := netrcPath()
	if !strings.HasPrefix(netrc, home) {
		t.Fatalf("netrc is %s, want it in %s", netrc, home)
	}

	wantFound(t, a, "eve", "from-environment", FromEnvironment)
	if got, want := a.Elsewhere(), []string{FromEnvironment, netrc}; !slices.Equal(got, want) {
		t.Errorf("Elsewhere() = %q, want %q", got, want)
	}
	t.Setenv("PHYSIONET_PASSWORD", "")
	t.Setenv("PHYSIONET_USERNAME", "")
	wantFound(t, a, "marie", "from-keyring", FromKeyring)
	keyring.MockInitWithError(errLocked)
	wantFound(t, a, "marie", "from-file", a.File)
	forget(t, a, a.File)
	wantFound(t, a, "alice", "from-netrc", netrc)
	if got, want := a.Elsewhere(), []string{netrc}; !slices.Equal(got, want) {
		t.Errorf("Elsewhere() = %q, want %q", got, want)
	}
}

func TestAnyPasswordIsKept(t *testing.T) {
	bare(t)
	for _, password := range []string{`"`, `\`, `\"`, "a b", "#no comment", "machine", "p\u00e4ss\u200bw\u00f6rd", "'; rm -rf", "%zz"} {
		for _, in := range []string{FromKeyring, "file"} {
			a := accountsAt(t, here)
			want := FromKeyring
			if in == "file" {
				keyring.MockInitWithError(errLocked)
				want = a.File
			}
			keep(t, a, "marie@example.org", password)
			wantFound(t, a, "marie@example.org", password, want)
		}
	}
}

func TestFileThatOthersCanRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes do not say who can read a file")
	}
	bare(t)
	a := accountsAt(t, here)
	keyring.MockInitWithError(errLocked)
	keep(t, a, "marie", "hunter2")
	if err := os.Chmod(a.File, 0o640); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Find(t.Context()); err == nil || got != (Credentials{}) || !strings.Contains(err.Error(), "chmod 600 "+a.File) {
		t.Errorf("Find = %v, %v, want a hint to type chmod 600", got, err)
	}
}

func TestReadCredentials(t *testing.T) {
	environment(t, "eve", "from-environment") // which a named file goes before
	file := filepath.Join(t.TempDir(), "account")
	write(t, file, netrcText, 0o600)
	if got, err := ReadCredentials(file, here); err != nil || got != (Credentials{User: "alice", Password: "from-netrc", From: file}) {
		t.Errorf("ReadCredentials = %v, %v, want alice's", got, err)
	}
	if _, err := ReadCredentials(file, DefaultURL); err == nil || !strings.Contains(err.Error(), "no account for physionet.org") {
		t.Errorf("ReadCredentials for another host = %v, want an error that names it", err)
	}
	if _, err := ReadCredentials(file+".none", here); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadCredentials without the file = %v, want %v", err, fs.ErrNotExist)
	}
	if runtime.GOOS != "windows" {
		write(t, file, netrcText, 0o644)
		if _, err := ReadCredentials(file, here); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("ReadCredentials of a file for everybody = %v, want an error", err)
		}
	}
}

// A keyring that hangs costs its limit, and a Ctrl-C ends the wait.
func TestKeyringThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		defer close(hung)
		hang := func() (string, error) {
			<-hung
			return "", nil
		}
		start := time.Now()
		_, err := askKeyring(t.Context(), 5*time.Second, hang)
		if waited := time.Since(start); !errors.Is(err, ErrKeyringSilent) || waited != 5*time.Second {
			t.Errorf("a keyring that hangs: %v after %s, want %v after 5s", err, waited, ErrKeyringSilent)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errLocked) })
		if _, err := askKeyring(ctx, 5*time.Second, hang); !errors.Is(err, errLocked) {
			t.Errorf("a keyring that hangs, and a Ctrl-C: %v, want its cause", err)
		}
	})
}

// Where D-Bus has no session, the library would start one and leave it running.
func TestNoSessionBus(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the keyring is not on D-Bus")
	}
	if _, err := os.Stat(filepath.Join("/run/user", strconv.Itoa(os.Getuid()))); err == nil {
		t.Skip("this machine may have a session bus")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "autolaunch:")
	_, err := askKeyring(t.Context(), time.Minute, func() (string, error) { panic("asked") })
	if !errors.Is(err, errNoKeyring) {
		t.Errorf("without a session bus: %v, want %v", err, errNoKeyring)
	}
}
