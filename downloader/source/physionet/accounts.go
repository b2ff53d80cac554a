package physionet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mimicsync/internal/durable"
	"mimicsync/internal/secret"
)

// Places of credentials besides files, for messages.
const (
	FromEnvironment = "the environment (PHYSIONET_USERNAME, PHYSIONET_PASSWORD)"
	FromKeyring     = "the system's keyring"
)

// Credentials are a PhysioNet account. They never print their password.
type Credentials struct {
	User     string
	Password string
	From     string // where they were found, for messages: FromEnvironment, a file
}

// String hides the password.
func (c Credentials) String() string { return "credentials of " + c.User + " from " + c.From }

// GoString hides the password.
func (c Credentials) GoString() string { return c.String() }

// LogValue hides the password.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText hides the password, in JSON, too.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ReadCredentials reads the account for the server at address from a file in netrc format.
// The file must have one, and only its owner may have access.
func ReadCredentials(file, address string) (Credentials, error) {
	u, err := parseAddress(address)
	if err != nil {
		return Credentials{}, err
	}
	if _, err := os.Stat(file); err != nil {
		return Credentials{}, fmt.Errorf("look for a password: %w", err)
	}
	found, err := readAccount(file, u.Hostname(), "", hostPort(u))
	if err == nil && found.User == "" {
		err = fmt.Errorf("%s has no account for %s; add a line: machine %s login USER password PASSWORD", file, u.Hostname(), u.Hostname())
	}
	return found, err
}

// Accounts finds and saves the account for one server.
//
// An account is saved in the system's keyring or, without one, in a file of mode 0600,
// under the server's host and port: no server ever gets another one's account. Both hold it
// in netrc format.
type Accounts struct {
	URL  string // the server's address
	File string // used without a keyring; its folder is created if necessary. Empty: no file
	// FindLimit and KeepLimit are how long to wait for a keyring: a locked one waits for a
	// person, and one that hangs never answers. 0 means 5 s and 30 s.
	FindLimit, KeepLimit time.Duration
}

// Find looks for an account in PHYSIONET_USERNAME and PHYSIONET_PASSWORD, the keyring, the
// file, and then in the file that NETRC names or ~/.netrc (%USERPROFILE%\_netrc on
// Windows). PHYSIONET_USERNAME alone chooses among them. Finding none is not an error: open
// datasets need none. The error is ErrKeyringSilent if only the keyring can have it and
// doesn't answer.
func (a Accounts) Find(ctx context.Context) (Credentials, error) {
	// A secret that is mounted as a file often ends in a line feed.
	user, password := secret.Line(os.Getenv("PHYSIONET_USERNAME")), secret.Line(os.Getenv("PHYSIONET_PASSWORD"))
	if user != "" && password != "" {
		return Credentials{User: user, Password: password, From: FromEnvironment}, nil
	}
	u, err := parseAddress(a.URL)
	if err != nil {
		return Credentials{}, err
	}
	found, keyringErr := findInKeyring(ctx, cmp.Or(a.FindLimit, 5*time.Second), site(u), user)
	if found.User != "" {
		return found, nil
	}
	if ctx.Err() != nil {
		return Credentials{}, context.Cause(ctx)
	}
	if found, err = readAccount(a.File, site(u), user); err != nil || found.User != "" {
		return found, err
	}
	if found, err = readNetrc(u, user); err != nil || found.User != "" {
		return found, err
	}
	if errors.Is(keyringErr, ErrKeyringSilent) { // any other error means that the machine has no keyring
		return Credentials{}, keyringErr
	}
	return Credentials{}, nil
}

// Elsewhere names the places that have an account and that Forget can't change:
// FromEnvironment and netrc.
func (a Accounts) Elsewhere() []string {
	var places []string
	if secret.Line(os.Getenv("PHYSIONET_USERNAME")) != "" && secret.Line(os.Getenv("PHYSIONET_PASSWORD")) != "" {
		places = append(places, FromEnvironment)
	}
	if u, err := parseAddress(a.URL); err == nil {
		if found, err := readNetrc(u, ""); err == nil && found.User != "" {
			places = append(places, found.From)
		}
	}
	return places
}

// Places says what Save or Forget did.
type Places struct {
	Changed []string // where the account was saved or removed: FromKeyring, the file
	Keyring error    // why the keyring couldn't be used, nil if it could
}

// Save saves an account in the keyring, or without one in the file, and replaces the
// server's saved account.
func (a Accounts) Save(ctx context.Context, c Credentials) (Places, error) {
	u, err := parseAddress(a.URL)
	if err != nil {
		return Places{}, err
	}
	entry := netrcEntry{host: site(u), Credentials: c}
	err = saveInKeyring(ctx, cmp.Or(a.KeepLimit, 30*time.Second), entry)
	switch {
	case err == nil:
		_, err = a.rewrite(entry.host, nil) // an earlier Save may have put a copy there
		return Places{Changed: []string{FromKeyring}}, err
	case ctx.Err() != nil:
		return Places{}, context.Cause(ctx)
	}
	places := Places{Changed: []string{a.File}, Keyring: err}
	_, err = a.rewrite(entry.host, &entry)
	return places, err
}

// Forget removes the account from the keyring and from the file.
func (a Accounts) Forget(ctx context.Context) (Places, error) {
	var places Places
	u, err := parseAddress(a.URL)
	if err != nil {
		return places, err
	}
	err = removeFromKeyring(ctx, cmp.Or(a.KeepLimit, 30*time.Second), site(u))
	switch {
	case ctx.Err() != nil:
		return places, context.Cause(ctx)
	case err == nil:
		places.Changed = append(places.Changed, FromKeyring)
	case !errors.Is(err, errNoAccount):
		places.Keyring = err
	}
	had, err := a.rewrite(site(u), nil)
	if had && err == nil {
		places.Changed = append(places.Changed, a.File)
	}
	return places, err
}

const fileHeader = "# Written by mimicsync login, removed by mimicsync logout.\n"

// rewrite replaces the file's entry for a host, or removes it if entry is nil, and reports
// whether there was one. A file without accounts is removed.
func (a Accounts) rewrite(host string, entry *netrcEntry) (had bool, err error) {
	f, data, err := openNetrc(a.File)
	switch {
	case err == nil:
		_ = f.Close() // opened for reading only
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	var lines strings.Builder
	for e := range netrcEntries(string(data)) {
		if strings.EqualFold(e.host, host) && !e.anyHost {
			had = true
			continue
		}
		if e.wrong == "" {
			lines.WriteString(e.String() + "\n")
		}
	}
	if entry != nil {
		lines.WriteString(entry.String() + "\n")
	}
	switch {
	case !had && entry == nil:
		return false, nil
	case lines.Len() == 0:
		return had, os.Remove(a.File)
	}
	if a.File == "" {
		return had, errors.New("there is no home folder to save the account in: set HOME or XDG_CONFIG_HOME")
	}
	if err := os.MkdirAll(filepath.Dir(a.File), 0o700); err != nil {
		return had, err
	}
	return had, durable.WriteFile(a.File, []byte(fileHeader+lines.String()))
}

func readNetrc(u *url.URL, user string) (Credentials, error) {
	file := netrcPath()
	if file == "" {
		return Credentials{}, nil
	}
	return readAccount(file, u.Hostname(), user, hostPort(u))
}

// hostPort is the name of a server with its port, as some people write it into ~/.netrc.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the address of PhysioNet is not a URL") // err would quote it
	}
	return u, nil
}

// site is the name under which a server's account is saved: its host, and its port unless
// that is the usual one.
func site(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	return host
}
