package configs

import (
	"cmp"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"mimicsync/downloader/cost"
)

// Off is the word for no limit or no schedule.
const Off = "off"

// Duration is a time.Duration, written like "90s".
type Duration time.Duration

// UnmarshalYAML reads what ParseDuration reads.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := ParseDuration(n.Value)
	*d = Duration(v)
	return err
}

// ParseDuration reads what time.ParseDuration reads, and days, like "1d12h". A negative
// time is an error.
func ParseDuration(s string) (time.Duration, error) {
	days, rest := "0", s
	if before, after, ok := strings.Cut(s, "d"); ok {
		days, rest = before, cmp.Or(after, "0s")
	}
	whole, err := strconv.ParseUint(days, 10, 16)
	part, perr := time.ParseDuration(rest)
	if err != nil || perr != nil || part < 0 {
		return 0, fmt.Errorf("%q is not a duration like 90s, 8h or 1d", s)
	}
	return time.Duration(whole)*24*time.Hour + part, nil
}

// ParseMaxDuration reads what ParseDuration reads, and "off" for no limit, which is 0.
func ParseMaxDuration(s string) (time.Duration, error) {
	if strings.EqualFold(s, Off) {
		return 0, nil
	}
	return ParseDuration(s)
}

// ParseCost reads an amount of money, like cost.ParseMoney, and "off" for no limit, which
// is nil.
func ParseCost(s string) (*cost.Money, error) {
	if strings.EqualFold(s, Off) {
		return nil, nil // no limit is not an error
	}
	m, err := cost.ParseMoney(s)
	return &m, err
}

// Mode is a file's permissions, written in octal like "0640".
type Mode fs.FileMode

// UnmarshalYAML reads octal digits.
func (m *Mode) UnmarshalYAML(n *yaml.Node) error {
	v, err := strconv.ParseUint(strings.TrimPrefix(n.Value, "0o"), 8, 16)
	if err != nil || v > 0o777 {
		return fmt.Errorf("%q is not a file mode like 0640", n.Value)
	}
	*m = Mode(v)
	return nil
}
