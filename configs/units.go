package configs

import (
	_ "embed" // for the files
	"encoding/xml"
	"fmt"
	"strings"
)

// The units of service managers, without the paths of an installation.
//
//go:embed systemd/mimicsync.service
var systemUnit string

//go:embed systemd/mimicsync.user.service
var userUnit string

//go:embed launchd/mimicsync.plist
var launchdPlist string

// unitMark is in each unit that Unit returns: the command that writes it.
const unitMark = "`mimicsync daemon install"

// Manager is a service manager.
type Manager string

// The managers that have units.
const (
	Systemd     Manager = "systemd"      // of the system
	SystemdUser Manager = "systemd-user" // of one user
	Launchd     Manager = "launchd"
)

// Service is what a unit starts. Paths are absolute.
type Service struct {
	Binary string
	Mirror string
	Config string // empty: the one in its usual place, if it exists
	User   string // user of a system service
	Log    string // file, for launchd
}

// Unit is the text of a service's unit. The error is about a path that a unit can't
// contain.
func (s Service) Unit(m Manager) (string, error) {
	for _, path := range []string{s.Binary, s.Mirror, s.Config, s.User, s.Log} {
		if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", fmt.Errorf("%q: a unit can't contain a name with control characters", path)
		}
	}
	text, escape := systemUnit, escapeSystemd
	switch m {
	case SystemdUser:
		text = userUnit
	case Launchd:
		text, escape = launchdPlist, escapeXML
	}
	var lines []string
	for line := range strings.Lines(text) {
		if s.Config != "" || !strings.Contains(line, "MIMICSYNC_CONFIG") {
			lines = append(lines, line)
		}
	}
	return strings.NewReplacer(
		"/usr/local/bin/mimicsync", escape(s.Binary),
		"/srv/physionet", escape(s.Mirror),
		"/etc/mimicsync/config.yaml", escape(s.Config),
		"/var/log/mimicsync.log", escape(s.Log),
		"\nUser=mimicsync\n", "\nUser="+s.User+"\n",
		"<key>UserName</key><string>mimicsync<", "<key>UserName</key><string>"+escape(s.User)+"<",
	).Replace(strings.Join(lines, "")), nil
}

// IsUnit reports whether a file is a unit that Unit returned, or one based on it.
func IsUnit(text []byte) bool { return strings.Contains(string(text), unitMark) }

// escapeSystemd is for text in double quotes, see systemd.syntax(7).
func escapeSystemd(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(s)
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder accepts everything
	return b.String()
}
