//go:build unix

package secret

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestIsPrivate(t *testing.T) {
	home, handed := t.TempDir(), t.TempDir()
	for _, c := range []struct {
		directory string // CREDENTIALS_DIRECTORY
		dir       string
		mode      fs.FileMode
		want      bool
	}{
		{"", home, 0o600, true},
		{"", home, 0o400, true},
		{"", home, 0o440, false},
		{"", home, 0o604, false},
		{handed, handed, 0o400, true},
		{handed + "/", handed, 0o440, true},
		{handed, handed, 0o444, false},
		{handed, handed, 0o460, false},
		{handed, home, 0o440, false},
		{handed, filepath.Join(handed, "deeper"), 0o440, false},
		{"", handed, 0o440, false},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", c.directory)
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.CreateTemp(c.dir, "secret")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Chmod(c.mode); err != nil {
			t.Fatal(err)
		}
		if got := IsPrivate(f); got != c.want {
			t.Errorf("%s with mode %o, CREDENTIALS_DIRECTORY %q: %v, want %v", f.Name(), c.mode, c.directory, got, c.want)
		}
		_ = f.Close()
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	t.Chdir(home)
	f, err := os.OpenFile("here", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Chmod(0o440); err != nil || IsPrivate(f) {
		t.Errorf("without credentials, a file of the working folder is private with mode 0440 (%v)", err)
	}
}
