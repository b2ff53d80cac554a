// Package configs reads mimicsync's configuration file. Only cmd imports it,
// and turns it into the Options of the packages below.
//
// Secrets are not in the file: a PhysioNet account comes from the places that
// physionet.Accounts knows.
package configs

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"mimicsync/downloader"
	"mimicsync/manifest"
)

// Example is a configuration file with every field and what it means.
//
//go:embed example.yaml
var Example []byte

// Config is the configuration file. A field that is absent is zero here, and
// means the default that example.yaml names.
type Config struct {
	Mirror      string    `yaml:"mirror"`       // root folder of the mirror
	State       string    `yaml:"state"`        // folder for the state, where the mirror is on a file server
	Connections int       `yaml:"connections"`  // ceiling for each host, 1 to 256; those of the sources win over it
	IdleTimeout Duration  `yaml:"idle_timeout"` // silence after which a connection is given up, from 1 s
	BWLimit     string    `yaml:"bwlimit"`      // as in downloader.ParseTimetable
	MaxTransfer string    `yaml:"max_transfer"` // as in downloader.ParseSize
	MaxDuration string    `yaml:"max_duration"` // as in ParseDuration
	MaxCost     string    `yaml:"max_cost"`     // as in ParseCost
	Durability  string    `yaml:"durability"`   // as in downloader.ParseDurability
	FileMode    Mode      `yaml:"file_mode"`    // permissions of the files of the mirror
	DirMode     Mode      `yaml:"dir_mode"`     // permissions of its folders
	Include     []string  `yaml:"include"`      // globs
	Exclude     []string  `yaml:"exclude"`      // globs
	Sources     []string  `yaml:"sources"`      // names, in order of preference
	PhysioNet   PhysioNet `yaml:"physionet"`
	GCS         GCS       `yaml:"gcs"`
	S3          S3        `yaml:"s3"`
}

// Duration is a time.Duration that is written as in "90s".
type Duration time.Duration

// UnmarshalYAML reads what ParseDuration reads.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := ParseDuration(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	*d = Duration(v)
	return nil
}

// ParseDuration reads what time.ParseDuration reads, and days, as in "1d12h".
// A time below zero is an error.
func ParseDuration(s string) (time.Duration, error) {
	days, rest := "0", s
	if before, after, ok := strings.Cut(s, "d"); ok {
		days, rest = before, cmp.Or(after, "0s")
	}
	whole, err := strconv.ParseUint(days, 10, 16)
	part, perr := time.ParseDuration(rest)
	if err != nil || perr != nil || part < 0 {
		return 0, fmt.Errorf("%q is not a time such as 90s, 8h or 1d", s)
	}
	return time.Duration(whole)*24*time.Hour + part, nil
}

// ParseCost reads what may be spent, as downloader.ParseMoney does, and "off"
// for any amount, which is nil.
func ParseCost(s string) (*downloader.Money, error) {
	if strings.EqualFold(s, "off") {
		return nil, nil //nolint:nilnil // no limit is not an error
	}
	m, err := downloader.ParseMoney(s)
	return &m, err
}

// Mode is a file's permissions, written in octal as in "0640".
type Mode fs.FileMode

// UnmarshalYAML reads octal digits.
func (m *Mode) UnmarshalYAML(n *yaml.Node) error {
	v, err := strconv.ParseUint(strings.TrimPrefix(n.Value, "0o"), 8, 16)
	if err != nil || v > 0o777 {
		return fmt.Errorf("line %d: %q is not a file mode such as 0640", n.Line, n.Value)
	}
	*m = Mode(v)
	return nil
}

// Load reads and validates a file. The error names every problem, with lines.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(b)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse reads and validates a configuration. An unknown key is an error: it
// would be a default that nobody meant.
func Parse(b []byte) (Config, error) {
	var c Config
	loader, err := yaml.NewLoader(bytes.NewReader(b), yaml.WithKnownFields())
	if err != nil {
		return c, err
	}
	if err := loader.Load(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, err
	}
	var second any
	if err := loader.Load(&second); !errors.Is(err, io.EOF) {
		return c, errors.New("it holds more than one YAML document")
	}
	return c, c.Validate()
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Connections < 0 || c.Connections > 256 {
		problem("connections: %d is not from 1 to 256", c.Connections)
	}
	if c.IdleTimeout != 0 && time.Duration(c.IdleTimeout) < time.Second {
		problem("idle_timeout: %s would cut off a slow but living connection; at least 1s", time.Duration(c.IdleTimeout))
	}
	for _, limit := range []struct {
		field, value string
		parse        func(string) error
	}{
		{"bwlimit", c.BWLimit, func(s string) error { _, err := downloader.ParseTimetable(s); return err }},
		{"max_transfer", c.MaxTransfer, func(s string) error { _, err := downloader.ParseSize(s); return err }},
		{"max_duration", c.MaxDuration, func(s string) error { _, err := ParseDuration(s); return err }},
		{"max_cost", c.MaxCost, func(s string) error { _, err := ParseCost(s); return err }},
		{"durability", c.Durability, func(s string) error { _, err := downloader.ParseDurability(s); return err }},
	} {
		if limit.value == "" {
			continue
		}
		if err := limit.parse(limit.value); err != nil {
			problem("%s: %w", limit.field, err)
		}
	}
	if c.FileMode != 0 && c.FileMode&0o600 != 0o600 {
		problem("file_mode: %04o does not let mimicsync itself read and write", uint32(c.FileMode))
	}
	if c.DirMode != 0 && c.DirMode&0o700 != 0o700 {
		problem("dir_mode: %04o does not let mimicsync itself read and write", uint32(c.DirMode))
	}
	if _, err := manifest.NewSelection(c.Include, c.Exclude); err != nil {
		problems = append(problems, err)
	}
	c.validateSources(problem)
	return errors.Join(problems...)
}
