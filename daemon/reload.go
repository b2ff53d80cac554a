package daemon

import (
	"context"
	"fmt"
	"time"
)

// Reload takes over the settings from Options.Load, and calls Reconsider. After a bad
// configuration the daemon keeps its settings; the error says why.
func (d *Daemon) Reload(ctx context.Context) (notes []string, err error) {
	if d.o.Load == nil {
		return nil, fmt.Errorf("%w: the daemon was started without a configuration file", ErrBadSettings)
	}
	settings, notes, err := d.o.Load()
	if err == nil {
		err = check(settings)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; the daemon keeps the current one: %w", ErrBadSettings, err)
	}
	d.mu.Lock()
	d.adopt(settings)
	d.decideSoon()
	d.mu.Unlock()
	d.o.Logger.InfoContext(ctx, "configuration reloaded", "datasets", len(settings.Datasets))
	d.Reconsider(ctx)
	return notes, nil
}

// Reconsider forgets the logins and how sources answered them, and starts datasets that
// wait for a person. People who log in or out expect that.
func (d *Daemon) Reconsider(ctx context.Context) {
	d.o.Syncer.Renew()
	var begun []string
	d.mu.Lock()
	for _, s := range d.datasets {
		if t := s.agenda.Trouble; s.scheduled() && t != nil && t.Condition == string(Parked) {
			s.agenda.Refreshing, s.agenda.unsaved, s.retryAt = true, true, time.Time{}
			begun = append(begun, s.name)
		}
	}
	d.decideSoon()
	d.mu.Unlock()
	d.o.Logger.InfoContext(ctx, "looking for accounts again", "parked", begun)
}

// check returns what is wrong with settings.
func check(s Settings) error {
	if _, err := parseLimit(s.BWLimit); err != nil {
		return fmt.Errorf("%w: the bandwidth limit %q: %w", ErrBadSettings, s.BWLimit, err)
	}
	seen := map[string]bool{}
	for _, c := range s.Datasets {
		if seen[c.Ref.Dataset] {
			return fmt.Errorf("%w: the dataset %s is listed twice", ErrBadSettings, c.Ref.Dataset)
		}
		seen[c.Ref.Dataset] = true
	}
	return nil
}

// adopt puts checked settings into force. It stops running passes that are no longer
// wanted, or are wanted otherwise.
func (d *Daemon) adopt(settings Settings) {
	d.settings = settings
	l, _ := parseLimit(settings.BWLimit) // checked before
	d.setLimit(l)
	before := map[string]*Dataset{}
	for _, s := range d.datasets {
		before[s.name], s.settings = s.settings, nil
	}
	for i := range settings.Datasets {
		c := &settings.Datasets[i]
		s := d.dataset(c.Ref.Dataset)
		s.settings = c
		if old := before[s.name]; old != nil && s.scheduled() && !s.request().equal((&dataset{settings: old}).request()) {
			s.agenda.Refreshing, s.agenda.unsaved, s.retryAt = true, true, time.Time{} // it is another refresh now
		}
	}
	for _, s := range d.datasets {
		if !s.scheduled() && (s.agenda.Refreshing || s.agenda.Trouble != nil) {
			s.agenda.Refreshing, s.agenda.Trouble, s.agenda.unsaved = false, nil, true
		}
		switch p := s.running; {
		case p == nil || p.kind != RefreshPass || p.asked:
		case s.settings == nil:
			p.stop(stopDropped)
		case !p.request.equal(s.request()):
			p.stop(stopChanged)
		}
	}
	d.correctClocks(time.Now().Round(0))
}
