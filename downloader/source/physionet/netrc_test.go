package physionet

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"
)

func TestParseNetrc(t *testing.T) {
	tests := []struct {
		name, text, user string
		wantUser, want   string // none if empty
	}{
		{name: "empty"},
		{name: "one line", text: "machine physionet.org login alice password secret", wantUser: "alice", want: "secret"},
		{name: "many lines", text: "machine physionet.org\n\tlogin alice\n\tpassword secret\n", wantUser: "alice", want: "secret"},
		{name: "CRLF", text: "machine physionet.org\r\nlogin alice\r\npassword secret\r\n", wantUser: "alice", want: "secret"},
		{name: "password first", text: "machine physionet.org password secret login alice", wantUser: "alice", want: "secret"},
		{name: "account between", text: "machine physionet.org login alice account password password secret", wantUser: "alice", want: "secret"},
		{name: "values on lines of their own", text: "machine\nphysionet.org\nlogin\n alice\npassword\n\n secret\n", wantUser: "alice", want: "secret"},
		{name: "keywords as values", text: "machine physionet.org login login password machine", wantUser: "login", want: "machine"},
		{name: "byte order mark", text: "\ufeffmachine physionet.org login alice password secret\r\n", wantUser: "alice", want: "secret"},
		{name: "incomplete for another user", user: "alice", text: "machine physionet.org login bob password\nmachine physionet.org login alice password secret", wantUser: "alice", want: "secret"},
		{name: "incomplete for another machine", text: "machine example.org login bob password\nmachine physionet.org login alice password secret", wantUser: "alice", want: "secret"},
		{name: "machine without a name", text: "machine\nlogin bob password no\nmachine physionet.org login alice password secret", wantUser: "alice", want: "secret"},
		{name: "case of the host", text: "machine PhysioNet.ORG login alice password secret", wantUser: "alice", want: "secret"},
		{name: "other machines", text: "machine example.com login bob password no\nmachine physionet.org login alice password secret\nmachine example.org login eve password no\n", wantUser: "alice", want: "secret"},
		{name: "only others", text: "machine example.com login bob password no\nmachine physionet.org.example.com login bob password no"},
		{name: "subdomain is another", text: "machine alpha.physionet.org login bob password no"},
		{name: "first of two", text: "machine physionet.org login alice password secret\nmachine physionet.org login bob password no", wantUser: "alice", want: "secret"},
		{name: "user given", user: "bob", text: "machine physionet.org login alice password no\nmachine physionet.org login bob password secret", wantUser: "bob", want: "secret"},
		{name: "user given and absent", user: "eve", text: "machine physionet.org login alice password no"},
		{name: "user given, default has it", user: "eve", text: "machine physionet.org login alice password no\ndefault login eve password secret", wantUser: "eve", want: "secret"},
		{name: "default", text: "machine example.com login bob password no\ndefault login alice password secret", wantUser: "alice", want: "secret"},
		{name: "default comes later", text: "machine physionet.org login alice password secret\ndefault login bob password no", wantUser: "alice", want: "secret"},
		{name: "quotes", text: `machine "physionet.org" login "alice b" password "se cr\"et\\"`, wantUser: "alice b", want: `se cr"et\`},
		{name: "quoted hash", text: `machine physionet.org login alice password "#secret"`, wantUser: "alice", want: "#secret"},
		{name: "hash inside", text: `machine physionet.org login alice password se#cret`, wantUser: "alice", want: "se#cret"},
		{name: "quoted keyword", text: `machine physionet.org login "machine" password "default"`, wantUser: "machine", want: "default"},
		{name: "comments", text: "# machine physionet.org login no password no\nmachine physionet.org # login no\nlogin alice\n# password no\npassword secret # no", wantUser: "alice", want: "secret"},
		{name: "macdef", text: "macdef init\nmachine physionet.org login no password no\n\nmachine physionet.org login alice password secret", wantUser: "alice", want: "secret"},
		{name: "macdef with CRLF", text: "macdef init\r\nmachine physionet.org login no password no\r\n\r\nmachine physionet.org login alice password secret\r\n", wantUser: "alice", want: "secret"},
		{name: "macdef inside a machine", text: "machine physionet.org login alice password secret\nmacdef init\nlogin no\npassword no\n\nmachine example.com login no password no", wantUser: "alice", want: "secret"},
		{name: "macdef at the end", text: "machine physionet.org login alice password secret\nmacdef init\ncd /", wantUser: "alice", want: "secret"},
		{name: "no host", text: "machine"},
		{name: "capitals", text: "MACHINE physionet.org Login alice PASSWORD secret", wantUser: "alice", want: "secret"},
		{name: "with its port", text: "machine physionet.org:443 login alice password secret\ndefault login bob password no", wantUser: "alice", want: "secret"},
		{name: "with another port", text: "machine physionet.org:8443 login alice password no"},
		{name: "unicode", text: "machine physionet.org login jürgen password pässwörd", wantUser: "jürgen", want: "pässwörd"},
		{name: "unknown words", text: "machine physionet.org port 443 login alice password secret", wantUser: "alice", want: "secret"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseNetrc(test.text, "physionet.org", test.user, "physionet.org:443")
			if err != nil || got.User != test.wantUser || got.Password != test.want {
				t.Errorf("parseNetrc(%q, user %q) = %q, %q, %v, want %q, %q", test.text, test.user, got.User, got.Password, err, test.wantUser, test.want)
			}
		})
	}
}

// What stands behind an entry that lacks something is for somebody else, and so is
// what was to be its value.
func TestNetrcOfOthersIsNotOurs(t *testing.T) {
	const others = "machine git.example login bob password ghp_SECRET\ndefault login carol password ghp_SECRET\nmachine physionet.org login dan password ghp_SECRET\n"
	for _, test := range []struct{ entry, user, want string }{
		{"machine physionet.org login alice password \n", "", "has no password"},
		{"machine physionet.org login alice password\r\n", "", "has no password"},
		{"machine physionet.org\n  login alice\n  password\n\n# the next one\n", "alice", "has no password"},
		{"machine physionet.org login alice\n", "", "has no password"},
		{"machine physionet.org login  password secret\n", "", "has no password"},
		{"machine physionet.org login\n  password secret\n", "", "has no login"},
		{"machine physionet.org password secret\n", "", "has no login"},
		{"machine physionet.org\n", "", "has no login"},
		{"machine physionet.org login alice password #secret\n", "", "begins with #"},
		{"machine physionet.org login #alice password secret\n", "", "begins with #"},
		{"machine physionet.org login alice password \"\"\n", "", "has no password"},
		{"machine physionet.org login alice password \"secret\n", "", "no closing quote"},
		{"machine physionet.org login alice password \"secret\\\n", "", "no closing quote"},
		{"machine physionet.org login alice password ", "", "more than one login"}, // the next machine is on its line
		{"machine physionet.org login ", "", "more than one login"},
		{"machine physionet.org login alice password\n \"secret\n", "", "no closing quote"},
		{"machine physionet.org:443 login alice password\n", "", "has no password"},
		{"machine physionet.org login alice\nMACHINE git.example PASSWORD ghp_SECRET\n", "", "has no password"},
		{"machine physionet.org login alice password\nMachine git.example\n", "", "has no password"},
		{"default login alice password\n", "", "the default entry can't be used"},
	} {
		got, err := parseNetrc(test.entry+others, "physionet.org", test.user, "physionet.org:443")
		if err == nil || !strings.Contains(err.Error(), test.want) || got != (Credentials{}) {
			t.Errorf("parseNetrc(%q and others) = %q, %q, %v, want an error that it %s", test.entry, got.User, got.Password, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "ecret") {
			t.Errorf("parseNetrc(%q) = %v, with a secret", test.entry, err)
		}
	}
}

func FuzzParseNetrc(f *testing.F) {
	for _, seed := range []string{
		"", "machine physionet.org login alice password secret", "default login a password b", "macdef x\n\n", `machine "a\" login`,
		"# c\nmachine physionet.org\r\n login \"a b\" account x password \"\\\"\"", "macdef", "machine machine login login password password",
	} {
		f.Add(seed, "")
		f.Add(seed, "alice")
	}
	f.Fuzz(func(t *testing.T, text, user string) {
		c, err := parseNetrc(text, "physionet.org", user)
		if (c.User == "") != (c.Password == "") || err != nil && c.User != "" {
			t.Errorf("parseNetrc(%q) = %q, %q, %v, want both or neither", text, c.User, c.Password, err)
		}
		if c.User == "" {
			return
		}
		if strings.ContainsAny(c.User+c.Password, "\r\n") {
			t.Errorf("parseNetrc(%q) = %q, %q, which go on behind the end of a line", text, c.User, c.Password)
		}
		if user != "" && c.User != user {
			t.Errorf("parseNetrc(%q, user %q) = %q, want that user", text, user, c.User)
		}
		if !strings.Contains(text, "machine") && !strings.Contains(text, "default") && !strings.Contains(text, `"`) {
			t.Errorf("parseNetrc(%q) = %q, want nothing from a file that names no machine", text, c.User)
		}
		// What was found is found again when it is written with quotes.
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		again := `machine physionet.org login "` + quote.Replace(c.User) + `" password "` + quote.Replace(c.Password) + `"`
		if got, err := parseNetrc(again, "PHYSIONET.ORG", user); err != nil || got != c {
			t.Errorf("parseNetrc(%q) = %q, %q, %v, want %q, %q", again, got.User, got.Password, err, c.User, c.Password)
		}
	})
}

const netrcText = "machine 127.0.0.1 login alice password from-netrc\nmachine 127.0.0.1 login bob password bobs\n"

// environment sets the variables that Find reads, and writes ~/.netrc.
func environment(t *testing.T, user, password string) (home string) {
	t.Helper()
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("NETRC", "")
	t.Setenv("PHYSIONET_USERNAME", user)
	t.Setenv("PHYSIONET_PASSWORD", password)
	name := ".netrc"
	if runtime.GOOS == "windows" {
		name = "_netrc"
	}
	write(t, filepath.Join(home, name), netrcText, 0o600)
	return home
}

// accountsAt has an empty keyring and no file.
func accountsAt(t *testing.T, address string) Accounts {
	keyring.MockInit()
	return Accounts{URL: address, File: filepath.Join(t.TempDir(), "mimicsync", "credentials")}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask
		t.Fatal(err)
	}
}

func expect(t *testing.T, user, password, from string) {
	t.Helper()
	const address = "https://127.0.0.1:8443/mirror"
	got, err := accountsAt(t, address).Find(t.Context())
	if err != nil || got.User != user || got.Password != password || !strings.Contains(got.From, from) {
		t.Errorf("Find at %s = %q, %q from %q, %v, want %q, %q from %q", address, got.User, got.Password, got.From, err, user, password, from)
	}
}

func TestFindInEnvironmentAndNetrc(t *testing.T) {
	t.Run("netrc", func(t *testing.T) {
		home := environment(t, "", "")
		expect(t, "alice", "from-netrc", home)
	})
	t.Run("environment first", func(t *testing.T) {
		environment(t, "eve", "from-environment")
		expect(t, "eve", "from-environment", "PHYSIONET_USERNAME")
	})
	t.Run("environment needs no netrc", func(t *testing.T) {
		environment(t, "eve", "from-environment")
		t.Setenv("NETRC", t.TempDir()) // cannot be read
		expect(t, "eve", "from-environment", "PHYSIONET_USERNAME")
	})
	t.Run("user of the environment", func(t *testing.T) {
		environment(t, "bob", "")
		expect(t, "bob", "bobs", "netrc")
	})
	t.Run("user of the environment is nowhere", func(t *testing.T) {
		environment(t, "eve", "")
		expect(t, "", "", "")
	})
	t.Run("NETRC", func(t *testing.T) {
		environment(t, "", "")
		file := filepath.Join(t.TempDir(), "other file")
		write(t, file, "default login carol password hers", 0o600)
		t.Setenv("NETRC", file)
		expect(t, "carol", "hers", file)
	})
	t.Run("no file", func(t *testing.T) {
		environment(t, "", "")
		t.Setenv("NETRC", filepath.Join(t.TempDir(), "none"))
		expect(t, "", "", "")
	})
	t.Run("line ends", func(t *testing.T) {
		for _, end := range []string{"\n", "\r\n", "\n\n"} {
			environment(t, "eve"+end, "from-environment "+end)
			expect(t, "eve", "from-environment ", "PHYSIONET_USERNAME")
		}
		environment(t, "bob\n", "\n")
		expect(t, "bob", "bobs", "netrc")
	})
	t.Run("incomplete", func(t *testing.T) {
		home := environment(t, "", "")
		file := filepath.Join(home, "lines")
		write(t, file, "machine 127.0.0.1 login alice password\n"+netrcText, 0o600)
		t.Setenv("NETRC", file)
		if got, err := accountsAt(t, "https://127.0.0.1").Find(t.Context()); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "machine 127.0.0.1 login USER password PASSWORD") || got != (Credentials{}) {
			t.Errorf("Find where the entry lacks a password = %v, %v, want an error about %s", got, err, file)
		}
	})
	t.Run("no text for us", func(t *testing.T) {
		home := environment(t, "", "")
		for text, want := range map[string]string{
			"\xff\xfem\x00a\x00c\x00h\x00i\x00n\x00e\x00":                               "UTF-8",
			"machine 127.0.0.1 login alice password " + strings.Repeat("x", netrcLimit): "longer than",
		} {
			file := filepath.Join(home, "lines")
			write(t, file, text, 0o600)
			t.Setenv("NETRC", file)
			if got, err := accountsAt(t, "https://127.0.0.1").Find(t.Context()); err == nil || !strings.Contains(err.Error(), want) || got != (Credentials{}) {
				t.Errorf("Find in %.20q = %v, %v, want an error with %q", text, got, err, want)
			}
		}
	})
	t.Run("another host", func(t *testing.T) {
		environment(t, "", "")
		if got, err := accountsAt(t, DefaultURL).Find(t.Context()); err != nil || got != (Credentials{}) {
			t.Errorf("Find at %s = %v, %v, want none", DefaultURL, got, err)
		}
	})
	t.Run("not a URL", func(t *testing.T) {
		environment(t, "", "")
		_, err := accountsAt(t, "https://alice:hunter2%zz@h").Find(t.Context())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Find at a bad URL = %v, want an error without it", err)
		}
	})
}

func TestNetrcThatOthersCanRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes do not say who can read a file")
	}
	environment(t, "", "")
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o660} {
		file := filepath.Join(t.TempDir(), "netrc")
		write(t, file, netrcText, mode)
		t.Setenv("NETRC", file)
		got, err := accountsAt(t, "https://127.0.0.1").Find(t.Context())
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+file) || got != (Credentials{}) {
			t.Errorf("Find with mode %o = %v, %v, want a hint to type chmod 600 %s", mode, got, err, file)
		}
		// Nothing in it is for this host: then its mode is no matter of ours.
		if got, err := accountsAt(t, DefaultURL).Find(t.Context()); err != nil || got != (Credentials{}) {
			t.Errorf("Find at %s with mode %o = %v, %v, want none", DefaultURL, mode, got, err)
		}
	}
}
