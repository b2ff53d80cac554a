package physionet

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Credentials are a PhysioNet account. They never print.
type Credentials struct {
	User     string
	Password string
	From     string // where they were found, for messages: "PHYSIONET_USERNAME", a file
}

// String hides the password.
func (c Credentials) String() string { return "credentials of " + c.User + " from " + c.From }

// GoString hides the password.
func (c Credentials) GoString() string { return c.String() }

// LogValue hides the password.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText hides the password, in JSON too.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// FindCredentials looks for an account for the server at address: in
// PHYSIONET_USERNAME and PHYSIONET_PASSWORD, then in the file that NETRC names
// or ~/.netrc (%USERPROFILE%\_netrc on Windows). None found is not an error:
// open datasets need none.
func FindCredentials(address string) (Credentials, error) {
	user, password := os.Getenv("PHYSIONET_USERNAME"), os.Getenv("PHYSIONET_PASSWORD")
	if user != "" && password != "" {
		return Credentials{User: user, Password: password, From: "the environment (PHYSIONET_USERNAME, PHYSIONET_PASSWORD)"}, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return Credentials{}, errors.New("the address of PhysioNet is not a URL")
	}
	file := netrcPath()
	if file == "" {
		return Credentials{}, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Credentials{}, nil
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("look for a password: %w", err)
	}
	found, ok := parseNetrc(string(data), u.Hostname(), user)
	if !ok {
		return Credentials{}, nil
	}
	if fi, err := os.Stat(file); err == nil && runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		return Credentials{}, fmt.Errorf("%s can be read by others, so its password is not used; type: chmod 600 %s", file, file)
	}
	found.From = file
	return found, nil
}

func netrcPath() string {
	if p := os.Getenv("NETRC"); p != "" {
		return p
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	if runtime.GOOS == "windows" {
		return filepath.Join(home, "_netrc")
	}
	return filepath.Join(home, ".netrc")
}

// parseNetrc finds the account for a host, and for a user unless that is
// empty. It reads what curl and wget read: machine, default, login, password,
// account, macdef, comments, and tokens in double quotes with \ before a
// character.
func parseNetrc(text, host, user string) (Credentials, bool) {
	var c Credentials
	matching := false
	done := func() bool { return matching && c.User != "" && c.Password != "" && (user == "" || user == c.User) }
	t := &netrcTokens{rest: text}
	for {
		word, ok := t.next()
		switch {
		case !ok:
			return c, done()
		case word == "machine" || word == "default":
			if done() {
				return c, true
			}
			c, matching = Credentials{}, true
			if word == "machine" {
				name, _ := t.next()
				matching = strings.EqualFold(name, host)
			}
		case word == "login":
			c.User, _ = t.next()
		case word == "password":
			c.Password, _ = t.next()
		case word == "account":
			_, _ = t.next()
		case word == "macdef":
			t.skipMacro()
		}
	}
}

type netrcTokens struct{ rest string }

// next returns the next token; comments run from # to the end of the line.
func (t *netrcTokens) next() (string, bool) {
	for {
		t.rest = strings.TrimLeft(t.rest, " \t\r\n")
		if !strings.HasPrefix(t.rest, "#") {
			break
		}
		_, t.rest, _ = strings.Cut(t.rest, "\n")
	}
	if t.rest == "" {
		return "", false
	}
	if t.rest[0] == '"' {
		return t.quoted(), true
	}
	end := strings.IndexAny(t.rest, " \t\r\n")
	if end < 0 {
		end = len(t.rest)
	}
	word := t.rest[:end]
	t.rest = t.rest[end:]
	return word, true
}

func (t *netrcTokens) quoted() string {
	var b strings.Builder
	for i := 1; i < len(t.rest); i++ {
		switch c := t.rest[i]; {
		case c == '"':
			t.rest = t.rest[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(t.rest):
			i++
			b.WriteByte(t.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	t.rest = ""
	return b.String()
}

// skipMacro skips a macro definition, which an empty line ends.
func (t *netrcTokens) skipMacro() {
	_, t.rest, _ = strings.Cut(strings.ReplaceAll(t.rest, "\r\n", "\n"), "\n\n")
}
