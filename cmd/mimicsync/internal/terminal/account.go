package terminal

import (
	"strings"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/source/physionet"
)

// LoggedIn says where the account is kept now.
func (u *UI) LoggedIn(url, user string, p physionet.Places) {
	u.Printf("logged in to %s as %s; the password is kept in %s\n", url, words.Printable(user), strings.Join(p.Changed, ", "))
	if p.Keyring != nil {
		u.Notef("a file for you alone (0600), because the system's keyring cannot be used: %s", p.Keyring)
	}
}

// LoggedOut says from where the account was removed.
func (u *UI) LoggedOut(url string, p physionet.Places) {
	if len(p.Changed) > 0 {
		u.Printf("logged out of %s: the password was removed from %s\n", url, strings.Join(p.Changed, " and "))
	} else {
		u.Printf("no password was kept for %s\n", url)
	}
	if p.Keyring != nil {
		u.Notef("the system's keyring cannot be asked, so what it may have stays: %s", p.Keyring)
	}
}
