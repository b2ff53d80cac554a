// Package configs reads mimicsync's configuration file. Only cmd imports it, and turns it
// into the Options of other packages.
//
// Secrets aren't in the file: a PhysioNet account comes from the places that
// physionet.Accounts knows, and other secrets come from files and environment variables
// that the file names.
package configs

import (
	_ "embed"
	"fmt"
	"io"
	"strings"
	"time"

	"mimicsync/downloader/pace"
	"mimicsync/downloader/tree"
	"mimicsync/internal/secret"
	"mimicsync/manifest"
)

// Example is a configuration file with every field and its meaning.
//
//go:embed example.yaml
var Example []byte

// Config is the configuration file. A missing field is zero here, and means the default
// that example.yaml names.
type Config struct {
	Mirror      string    `yaml:"mirror"`       // root folder of the mirror
	State       string    `yaml:"state"`        // folder for the state, if the mirror is on a file server
	Connections int       `yaml:"connections"`  // most connections to each host, 1 to 256; a source's own setting takes precedence
	IdleTimeout Duration  `yaml:"idle_timeout"` // drop a connection after this silence, at least 1 s
	BWLimit     string    `yaml:"bwlimit"`      // see pace.ParseTimetable
	MaxTransfer string    `yaml:"max_transfer"` // see pace.ParseSize
	MaxDuration string    `yaml:"max_duration"` // see ParseMaxDuration
	MaxCost     string    `yaml:"max_cost"`     // see ParseCost
	Durability  string    `yaml:"durability"`   // see downloader.ParseDurability
	FileMode    Mode      `yaml:"file_mode"`    // permissions of the files of the mirror
	DirMode     Mode      `yaml:"dir_mode"`     // permissions of its folders
	Group       string    `yaml:"group"`        // name or number of the group of files and folders
	Include     []string  `yaml:"include"`      // globs
	Exclude     []string  `yaml:"exclude"`      // globs
	Sources     []string  `yaml:"sources"`      // names, in order of preference
	PhysioNet   PhysioNet `yaml:"physionet"`
	GCS         GCS       `yaml:"gcs"`
	S3          S3        `yaml:"s3"`

	// For the daemon.
	Datasets  []Dataset `yaml:"datasets"`   // one per name
	Schedule  string    `yaml:"schedule"`   // of datasets without their own: see daemon.ParseSchedule, or off
	Timezone  string    `yaml:"timezone"`   // of schedules and windows; empty: the machine's
	Jitter    *Duration `yaml:"jitter"`     // of datasets without their own; nil: DefaultJitter
	Windows   []string  `yaml:"windows"`    // see daemon.ParseWindows
	Scrub     Scrub     `yaml:"scrub"`      //
	Listen    []string  `yaml:"listen"`     // addresses of the page and the API; nil: DefaultListen
	TokenFile string    `yaml:"token_file"` // file with the token that changes over TCP require
	Hosts     []string  `yaml:"hosts"`      // host names for browsers, besides those of Listen
	Webhooks  []Webhook `yaml:"webhooks"`
	Mail      Mail      `yaml:"mail"`
	Hooks     Hooks     `yaml:"hooks"`
	Log       Log       `yaml:"log"`
}

// Load reads and validates a file. The error names every problem, with lines.
func Load(path string) (Config, error) {
	b, err := Read(path)
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(b)
	if err != nil {
		return Config{}, fmt.Errorf("%s has errors:\n%w", path, err)
	}
	return c, nil
}

// maxFile limits a configuration file: one with all fields explained has 14 KB.
const maxFile = 1 << 20

// Read returns the bytes of a configuration file.
func Read(path string) ([]byte, error) {
	f, err := secret.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes: that is no configuration file", path, maxFile)
	}
	return b, err
}

// Parse reads and validates a configuration. The error names every problem, each on its own
// line that begins with the place. Unknown keys are problems: otherwise a misspelled
// setting would silently be the default.
func Parse(b []byte) (Config, error) {
	var c Config
	p := &problems{lines: map[string]int{}}
	root := p.parse(b)
	if root == nil {
		return c, p.err()
	}
	p.decode(root, &c)
	c.validate(p)
	if err := p.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func (c Config) validate(p *problems) {
	if c.Connections < 0 || c.Connections > 256 {
		p.at("connections", "%d: it must be from 1 to 256", c.Connections)
	}
	if c.IdleTimeout != 0 && time.Duration(c.IdleTimeout) < time.Second {
		p.at("idle_timeout", "%s would cut off slow but working connections; the minimum is 1s", time.Duration(c.IdleTimeout))
	}
	for _, limit := range []struct {
		field, value string
		parse        func(string) error
	}{
		{"bwlimit", c.BWLimit, func(s string) error { _, err := pace.ParseTimetable(s); return err }},
		{"max_transfer", c.MaxTransfer, func(s string) error { _, err := pace.ParseSize(s); return err }},
		{"max_duration", c.MaxDuration, func(s string) error { _, err := ParseMaxDuration(s); return err }},
		{"max_cost", c.MaxCost, func(s string) error { _, err := ParseCost(s); return err }},
		{"durability", c.Durability, func(s string) error { _, err := tree.ParseDurability(s); return err }},
	} {
		if limit.value == "" {
			continue
		}
		if err := limit.parse(limit.value); err != nil {
			p.at(limit.field, "%w", err)
		}
	}
	if c.FileMode != 0 && c.FileMode&0o600 != 0o600 {
		p.at("file_mode", "%04o: mimicsync itself could not read and write; the owner needs both", uint32(c.FileMode))
	}
	if c.DirMode != 0 && c.DirMode&0o700 != 0o700 {
		p.at("dir_mode", "%04o: mimicsync itself could not read and write; the owner needs both", uint32(c.DirMode))
	}
	if _, err := manifest.NewSelection(c.Include, nil); err != nil {
		p.add(p.line("include"), "%w", err)
	}
	if _, err := manifest.NewSelection(nil, c.Exclude); err != nil {
		p.add(p.line("exclude"), "%w", err)
	}
	c.validatePaths(p)
	c.validateSources(p)
	c.validateDaemon(p)
}

// validatePaths rejects paths that only a shell would expand: nobody wants a folder named
// ~.
func (c Config) validatePaths(p *problems) {
	paths := map[string]string{"mirror": c.Mirror, "state": c.State, "token_file": c.TokenFile, "mail.password_file": c.Mail.PasswordFile}
	for i, w := range c.Webhooks {
		paths[fmt.Sprintf("webhooks[%d].url_file", i)] = w.URLFile
	}
	for field, argv := range map[string][]string{"hooks.on_complete": c.Hooks.OnComplete, "hooks.on_failure": c.Hooks.OnFailure} {
		if len(argv) > 0 {
			paths[field] = argv[0]
		}
	}
	for field, path := range paths {
		if strings.HasPrefix(path, "~") || strings.HasPrefix(path, "$") {
			p.at(field, "%q: ~ and variables aren't expanded here; write the whole path, like /home/marie/physionet", path)
		}
	}
}
