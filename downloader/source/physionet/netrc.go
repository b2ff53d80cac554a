package physionet

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"mimicsync/internal/secret"
)

func netrcPath() string {
	if p := os.Getenv("NETRC"); p != "" {
		return p
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) { // the current folder may be anybody's
		return ""
	}
	if runtime.GOOS == "windows" {
		return filepath.Join(home, "_netrc")
	}
	return filepath.Join(home, ".netrc")
}

// openNetrc opens and reads a file in netrc format. The caller closes it.
func openNetrc(file string) (f *os.File, data []byte, err error) {
	if f, err = secret.Open(file); err != nil {
		return nil, nil, err
	}
	data, err = io.ReadAll(io.LimitReader(f, netrcLimit+1))
	if err == nil && len(data) > netrcLimit { // its last word may be cut in half
		err = fmt.Errorf("%s is longer than %d bytes", file, netrcLimit)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, data, nil
}

// readAccount looks in a file in netrc format for a host, or one of its other names. If the
// file doesn't exist, there is no account. If others can read an account in it, that is an
// error.
func readAccount(file, host, user string, also ...string) (Credentials, error) {
	f, data, err := openNetrc(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Credentials{}, nil
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("look for a password: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return Credentials{}, fmt.Errorf("look for a password: %s is in UTF-16; save it as UTF-8", file)
	}
	found, err := parseNetrc(string(data), host, user, also...)
	switch {
	case err != nil:
		return Credentials{}, fmt.Errorf("%s: %w; correct it, for example: machine %s login USER password PASSWORD", file, err, host)
	case found.User == "":
		return Credentials{}, nil
	case !secret.IsOurs(f):
		return Credentials{}, fmt.Errorf("%s belongs to another user, so its password is not used", file)
	case !secret.IsPrivate(f):
		return Credentials{}, fmt.Errorf("others can read %s, so its password is not used; run: chmod 600 %s", file, file)
	}
	found.From = file
	return found, nil
}

// netrcLimit limits how much of a file is read.
const netrcLimit = 1 << 20

// netrcEntry is an account and its host.
type netrcEntry struct {
	host    string
	anyHost bool   // it is the default entry
	wrong   string // why it can't be used, empty if it can
	Credentials
}

// String writes an entry so that it is read back the same, whatever it contains.
func (e netrcEntry) String() string {
	quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	start := "machine " + quote(e.host)
	if e.anyHost {
		start = "default"
	}
	return start + " login " + quote(e.User) + " password " + quote(e.Password)
}

// parseNetrc finds the account for a host, also under its other names, and for a user
// unless that is empty. Finding none is not an error. An unusable entry for the host ends
// the search with an error that says why: the entries after it are for somebody else.
func parseNetrc(text, host, user string, also ...string) (Credentials, error) {
	named := func(e netrcEntry) bool {
		return strings.EqualFold(e.host, host) || slices.ContainsFunc(also, func(a string) bool { return strings.EqualFold(e.host, a) })
	}
	for e := range netrcEntries(text) {
		if !e.anyHost && !named(e) || user != "" && e.User != "" && e.User != user {
			continue
		}
		if e.wrong != "" {
			name := "the entry for " + host
			if e.anyHost {
				name = "the default entry"
			}
			return Credentials{}, fmt.Errorf("%s can't be used: %s", name, e.wrong)
		}
		return e.Credentials, nil
	}
	return Credentials{}, nil
}

// netrcEntries yields all entries. It reads what curl and wget read: machine, default,
// login, password, account, macdef, comments, and tokens in double quotes with \ before a
// character. It drops a byte order mark.
func netrcEntries(text string) iter.Seq[netrcEntry] {
	return func(yield func(netrcEntry) bool) {
		var e netrcEntry
		begun := false
		t := &netrcTokens{rest: strings.TrimPrefix(text, "\ufeff")}
		for {
			word, ok := t.next()
			word = strings.ToLower(word) // as curl does: MACHINE begins another entry
			if !ok || word == "machine" || word == "default" {
				if begun && !yield(e.judged()) || !ok {
					return
				}
				e, begun = netrcEntry{anyHost: word == "default"}, true
			}
			switch word {
			case "machine":
				e.host, e.wrong = t.value(word)
			case "login":
				e.take(&e.User, word, t)
			case "password":
				e.take(&e.Password, word, t)
			case "account":
				_, _ = t.value(word)
			case "macdef":
				t.skipMacro()
			}
		}
	}
}

// take reads the value of a keyword. A second one is a sign that a value is missing, and
// that the entry runs into that of another machine.
func (e *netrcEntry) take(field *string, keyword string, t *netrcTokens) {
	value, wrong := t.value(keyword)
	if *field != "" {
		value, wrong = *field, "it has more than one "+keyword
	}
	*field, e.wrong = value, cmp.Or(e.wrong, wrong)
}

// judged checks an entry that was read to its end.
func (e netrcEntry) judged() netrcEntry {
	switch {
	case e.wrong != "":
	case e.User == "":
		e.wrong = "it has no login"
	case e.Password == "":
		e.wrong = "it has no password"
	}
	return e
}

// netrcTokens splits a text into tokens.
type netrcTokens struct {
	rest string
	open bool // the last token has an opening quote and no closing one on its line
}

const netrcSpace = " \t\r\n"

// next returns the next token; comments run from # to the end of the line.
func (t *netrcTokens) next() (string, bool) {
	for {
		t.rest = strings.TrimLeft(t.rest, netrcSpace)
		if !strings.HasPrefix(t.rest, "#") {
			break
		}
		_, t.rest, _ = strings.Cut(t.rest, "\n")
	}
	if t.rest == "" {
		return "", false
	}
	t.open = t.rest[0] == '"'
	if t.open {
		return t.quoted(), true
	}
	end := strings.IndexAny(t.rest, netrcSpace)
	if end < 0 {
		end = len(t.rest)
	}
	word := t.rest[:end]
	t.rest = t.rest[end:]
	return word, true
}

// value returns the value of a keyword, empty if there is none, and what is wrong with it.
// A keyword on another line is no value: it follows one that was left out, as by a template
// whose variable isn't set.
func (t *netrcTokens) value(keyword string) (value, wrong string) {
	before, line := t.rest, strings.TrimLeft(t.rest, " \t")
	if strings.HasPrefix(line, "#") {
		return "", "its " + keyword + " begins with #, like a comment: put it in double quotes"
	}
	value, ok := t.next()
	switch {
	case ok && t.open:
		return "", "its " + keyword + " has no closing quote"
	case ok && strings.ContainsAny(line[:1], "\r\n") && isNetrcKeyword(value):
		t.rest = before
		return "", ""
	}
	return value, ""
}

func isNetrcKeyword(word string) bool {
	switch strings.ToLower(word) {
	case "machine", "default", "login", "password", "account", "macdef":
		return true
	}
	return false
}

// quoted returns a token in quotes, which end with their line at the latest.
func (t *netrcTokens) quoted() string {
	var b strings.Builder
	for i := 1; i < len(t.rest); i++ {
		switch c := t.rest[i]; {
		case c == '\r' || c == '\n':
			t.rest = t.rest[i:]
			return b.String()
		case c == '"':
			t.rest, t.open = t.rest[i+1:], false
			return b.String()
		case c == '\\' && i+1 < len(t.rest) && !strings.ContainsRune("\r\n", rune(t.rest[i+1])):
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
