package configs

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"mimicsync/daemon"
	"mimicsync/daemon/notify"
	"mimicsync/downloader/pace"
	"mimicsync/manifest"
)

// Defaults of the daemon.
const (
	DefaultSchedule     = "@weekly"
	DefaultJitter       = 30 * time.Minute
	DefaultListen       = "127.0.0.1:8765"
	DefaultScrubRate    = "50M"
	DefaultScrubMaxAge  = 90 * 24 * time.Hour
	DefaultHooksTimeout = 10 * time.Minute
)

// Dataset is a dataset that the daemon keeps up to date. In a file, a name like mimiciv@3.1
// is enough if it has no other settings.
type Dataset struct {
	Name            string    `yaml:"name"`    // see manifest.ParseRef
	Version         string    `yaml:"version"` // empty or latest: follow the newest
	Sources         []string  `yaml:"sources"` // the file's if empty; likewise the globs
	Include         []string  `yaml:"include"`
	Exclude         []string  `yaml:"exclude"`
	Schedule        string    `yaml:"schedule"`
	Timezone        string    `yaml:"timezone"`
	Jitter          *Duration `yaml:"jitter"`            // nil: the file's
	KeepOldVersions int       `yaml:"keep_old_versions"` // how many prune keeps
}

// UnmarshalYAML reads a name or a group of fields.
func (d *Dataset) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		d.Name = n.Value
		return nil
	}
	type fields Dataset // without this method
	return n.Decode((*fields)(d))
}

// Ref is the dataset's name and version.
func (d Dataset) Ref() (manifest.Ref, error) {
	if d.Version == "" {
		return manifest.ParseRef(d.Name)
	}
	return manifest.ParseRef(d.Name + "@" + d.Version)
}

// Scrub says how the daemon reads the mirror again. See daemon.Scrub.
type Scrub struct {
	Schedule string    `yaml:"schedule"` // empty: only on request
	Rate     string    `yaml:"rate"`     // bytes per second, see pace.ParseSize
	MaxAge   *Duration `yaml:"max_age"`  // nil: DefaultScrubMaxAge
}

// Webhook is an address that receives events. Anyone who knows it can write to the chat
// behind it: it is set by one of three fields, and two of them keep it out of the file.
type Webhook struct {
	URL     string        `yaml:"url"`
	URLFile string        `yaml:"url_file"` // file that contains the address
	URLEnv  string        `yaml:"url_env"`  // environment variable that contains it
	Events  []notify.Kind `yaml:"events"`   // all if empty
}

// Mail is sent through a mail server.
type Mail struct {
	SMTP         string            `yaml:"smtp"` // host, or host:port; empty: no mail
	Encryption   notify.Encryption `yaml:"encryption"`
	From         string            `yaml:"from"`
	To           []string          `yaml:"to"`
	Username     string            `yaml:"username"`
	PasswordFile string            `yaml:"password_file"`
	Events       []notify.Kind     `yaml:"events"` // all if empty
}

// Options are those of a notify.Mail, without the password.
func (m Mail) Options() (notify.MailOptions, error) {
	o := notify.MailOptions{Kinds: m.Events, Host: m.SMTP, Encryption: m.Encryption, Username: m.Username, From: m.From, To: m.To}
	if host, port, err := net.SplitHostPort(m.SMTP); err == nil {
		o.Host = host
		if o.Port, err = strconv.Atoi(port); err != nil {
			return o, fmt.Errorf("%q is not a mail server like smtp.example.org or smtp.example.org:587", m.SMTP)
		}
	}
	return o, nil
}

// Hooks are programs that run after passes, each with its arguments.
type Hooks struct {
	OnComplete []string `yaml:"on_complete"`
	OnFailure  []string `yaml:"on_failure"`
	Timeout    Duration `yaml:"timeout"` // 0: DefaultHooksTimeout
}

// Log says how the daemon logs.
type Log struct {
	Format string `yaml:"format"` // text or json; empty: text on a terminal, otherwise json
	Level  string `yaml:"level"`  // debug, info, warn or error; empty: info
}

// ScheduleOf is when a dataset is refreshed, nil if only on request: by its own fields,
// those of the file, or the defaults. The key decides the delay within the jitter, see
// daemon.ParseSchedule.
func (c Config) ScheduleOf(d Dataset, key string) (*daemon.Schedule, error) {
	expression := cmp.Or(d.Schedule, c.Schedule, DefaultSchedule)
	if expression == Off {
		return nil, nil // only on request
	}
	jitter := DefaultJitter
	if own := cmp.Or(d.Jitter, c.Jitter); own != nil {
		jitter = time.Duration(*own)
	}
	return daemon.ParseSchedule(expression, cmp.Or(d.Timezone, c.Timezone), jitter, key)
}

// DaemonScrub is the scrub in the daemon's terms.
func (c Config) DaemonScrub() (daemon.Scrub, error) {
	s := daemon.Scrub{MaxAge: DefaultScrubMaxAge}
	if c.Scrub.MaxAge != nil {
		s.MaxAge = time.Duration(*c.Scrub.MaxAge)
	}
	var err error
	if s.Rate, err = pace.ParseSize(cmp.Or(c.Scrub.Rate, DefaultScrubRate)); err != nil {
		return s, err
	}
	if expression := c.Scrub.Schedule; expression != "" && expression != Off {
		s.Schedule, err = daemon.ParseSchedule(expression, c.Timezone, 0, "")
	}
	return s, err
}

// AllSources are the names of all sources that the daemon needs for its datasets, the
// default sources first.
func (c Config) AllSources(usual []string) []string {
	all := slices.Clone(usual)
	for _, d := range c.Datasets {
		for _, name := range d.Sources {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

func (c Config) validateDaemon(p *problems) {
	p.zone("timezone", c.Timezone)
	p.schedule("schedule", c.Schedule)
	p.schedule("scrub.schedule", c.Scrub.Schedule)
	if _, err := pace.ParseSize(cmp.Or(c.Scrub.Rate, Off)); err != nil {
		p.at("scrub.rate", "%w", err)
	}
	named := map[string]int{}
	for i, d := range c.Datasets {
		d.validate(p, fmt.Sprintf("datasets[%d]", i), named)
	}
	p.windows(c.Windows)
	for i, address := range c.Listen {
		if err := CheckAddress(address); err != nil {
			p.at(fmt.Sprintf("listen[%d]", i), "%w", err)
		}
	}
	for i, host := range c.Hosts {
		if host == "" || strings.ContainsAny(host, "/: ") {
			p.at(fmt.Sprintf("hosts[%d]", i), "%q is not a host name; leave out https:// and the port", host)
		}
	}
	for i, w := range c.Webhooks {
		w.validate(p, fmt.Sprintf("webhooks[%d]", i))
	}
	c.Mail.validate(p)
	for field, argv := range map[string][]string{"hooks.on_complete": c.Hooks.OnComplete, "hooks.on_failure": c.Hooks.OnFailure} {
		if argv != nil && (len(argv) == 0 || argv[0] == "") {
			p.at(field, "it must begin with a program, like [/usr/local/bin/tell-us, --quiet]")
		}
	}
	p.oneOf("log.format", c.Log.Format, "text", "json")
	p.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
}

// CheckAddress checks an address to listen on.
func CheckAddress(address string) error {
	if _, port, err := net.SplitHostPort(address); err != nil || !isPort(port) {
		return fmt.Errorf("%q is not an address like %s or :8765", address, DefaultListen)
	}
	return nil
}

func (d Dataset) validate(p *problems, path string, named map[string]int) {
	ref, err := d.Ref()
	if err != nil {
		p.at(path, "%w", err)
		return
	}
	if before, twice := named[ref.Dataset]; twice {
		p.at(path, "%s is listed twice, first in line %d", ref.Dataset, before)
	} else {
		named[ref.Dataset] = p.line(path)
	}
	if err := CheckSources(d.Sources); err != nil {
		p.at(path+".sources", "%s: %w", ref.Dataset, err)
	}
	if _, err := manifest.NewSelection(d.Include, nil); err != nil {
		p.at(path+".include", "%s: %w", ref.Dataset, err)
	}
	if _, err := manifest.NewSelection(nil, d.Exclude); err != nil {
		p.at(path+".exclude", "%s: %w", ref.Dataset, err)
	}
	p.zone(path+".timezone", d.Timezone)
	p.schedule(path+".schedule", d.Schedule)
	if d.KeepOldVersions < 0 {
		p.at(path+".keep_old_versions", "%s: %d must not be negative", ref.Dataset, d.KeepOldVersions)
	}
}

func (p *problems) zone(path, name string) {
	if _, err := daemon.ParseWindows(nil, name); err != nil {
		p.at(path, "%w", err)
	}
}

func (p *problems) schedule(path, expression string) {
	if expression == "" || expression == Off {
		return
	}
	if _, err := daemon.ParseSchedule(expression, "", 0, ""); err != nil {
		p.at(path, "%w", err)
	}
}

// windows finds invalid windows, and the first that overlaps with an earlier one.
func (p *problems) windows(texts []string) {
	var right []string
	for i, text := range texts {
		at := fmt.Sprintf("windows[%d]", i)
		if _, err := daemon.ParseWindows([]string{text}, ""); err != nil {
			p.at(at, "%w", err)
			continue
		}
		if _, err := daemon.ParseWindows(append(right, text), ""); err != nil {
			p.at(at, "%w", err)
			continue
		}
		right = append(right, text)
	}
}

func (p *problems) oneOf(path, word string, words ...string) {
	if word != "" && !slices.Contains(words, word) {
		p.at(path, "%q: it must be one of %s", word, strings.Join(words, ", "))
	}
}

func (p *problems) events(path string, events []notify.Kind) {
	for i, kind := range events {
		if !slices.Contains(notify.Kinds, kind) {
			p.at(fmt.Sprintf("%s[%d]", path, i), "unknown event %q; the events are %v", kind, notify.Kinds)
		}
	}
}

func (w Webhook) validate(p *problems, path string) {
	p.events(path+".events", w.Events)
	ways := 0
	for _, way := range []string{w.URL, w.URLFile, w.URLEnv} {
		if way != "" {
			ways++
		}
	}
	if ways != 1 {
		p.at(path, "it needs url_file, url_env or url")
		return
	}
	if w.URL == "" {
		return
	}
	if _, err := notify.NewWebhook(notify.WebhookOptions{URL: w.URL}); err != nil {
		p.at(path+".url", "%w", err)
	}
}

func (m Mail) validate(p *problems) {
	p.events("mail.events", m.Events)
	if m.SMTP == "" {
		if m.From != "" || len(m.To) > 0 {
			p.at("mail", "it needs a mail server, like smtp: smtp.example.org:587")
		}
		return
	}
	o, err := m.Options()
	if err == nil {
		_, err = notify.NewMail(o)
	}
	if err != nil {
		p.at("mail", "%w", err)
	}
	if m.Username != "" && m.PasswordFile == "" {
		p.at("mail.username", "it needs a password_file")
	}
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}
