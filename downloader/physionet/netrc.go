package physionet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"mimicsync/internal/secret"
)

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

// readAccount looks into a file in the form of netrc; one that is not there has
// no account. A file whose account others can read too is an error.
func readAccount(file, host, user string) (Credentials, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Credentials{}, nil
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("look for a password: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	data, err := io.ReadAll(io.LimitReader(f, netrcLimit))
	if err != nil {
		return Credentials{}, fmt.Errorf("look for a password: %w", err)
	}
	found, ok := parseNetrc(string(data), host, user)
	if !ok {
		return Credentials{}, nil
	}
	if !secret.IsPrivate(f) {
		return Credentials{}, fmt.Errorf("%s can be read by others, so its password is not used; type: chmod 600 %s", file, file)
	}
	found.From = file
	return found, nil
}

// netrcLimit bounds what is read of a file that a person names.
const netrcLimit = 1 << 20

// netrcEntry is an account and the host it is for.
type netrcEntry struct {
	host    string
	anyHost bool // it is the default
	Credentials
}

// String writes an entry so that it reads as what it is, whatever it contains.
func (e netrcEntry) String() string {
	quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	start := "machine " + quote(e.host)
	if e.anyHost {
		start = "default"
	}
	return start + " login " + quote(e.User) + " password " + quote(e.Password)
}

// parseNetrc finds the account for a host, and for a user unless that is
// empty.
func parseNetrc(text, host, user string) (Credentials, bool) {
	for e := range netrcEntries(text) {
		if (e.anyHost || strings.EqualFold(e.host, host)) && (user == "" || user == e.User) {
			return e.Credentials, true
		}
	}
	return Credentials{}, false
}

// netrcEntries yields the entries that have a user and a password. It reads what
// curl and wget read: machine, default, login, password, account, macdef,
// comments, and tokens in double quotes with \ before a character.
func netrcEntries(text string) iter.Seq[netrcEntry] {
	return func(yield func(netrcEntry) bool) {
		var e netrcEntry
		begun := false
		t := &netrcTokens{rest: text}
		for {
			word, ok := t.next()
			if !ok || word == "machine" || word == "default" {
				if begun && e.User != "" && e.Password != "" && !yield(e) || !ok {
					return
				}
				e, begun = netrcEntry{anyHost: word == "default"}, true
			}
			switch word {
			case "machine":
				e.host, _ = t.next()
			case "login":
				e.User, _ = t.next()
			case "password":
				e.Password, _ = t.next()
			case "account":
				_, _ = t.next()
			case "macdef":
				t.skipMacro()
			}
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
