package terminal

import (
	"strings"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/source/physionet"
)

// LoggedIn says where the account is saved.
func (u *UI) LoggedIn(url, user string, p physionet.Places) {
	u.Printf("logged in to %s as %s; the password is saved in %s\n", url, words.Printable(user), strings.Join(p.Changed, ", "))
	if p.Keyring != nil {
		u.Notef("used a file that you alone can read (0600), because the system keyring failed: %s", p.Keyring)
	}
}

// LoggedOut says where the account was removed.
func (u *UI) LoggedOut(url string, p physionet.Places) {
	if len(p.Changed) > 0 {
		u.Printf("logged out of %s: the password was removed from %s\n", url, strings.Join(p.Changed, " and "))
	} else {
		u.Printf("no password was saved for %s\n", url)
	}
	if p.Keyring != nil {
		u.Notef("the system keyring failed, so a password in it may remain: %s", p.Keyring)
	}
}
