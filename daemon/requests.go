package daemon

import (
	"errors"
	"fmt"
	"slices"

	"mimicsync/downloader/pace"
	"mimicsync/manifest"
)

var errNotStarted = errors.New("the daemon isn't running")

// Pull starts a pass, or joins a running one with the same request, and returns its ID. It
// ignores run windows and pauses; it waits behind another pass of the dataset.
func (d *Daemon) Pull(r PullRequest) (id int64, err error) {
	if r.Ref.Dataset == "" {
		return 0, fmt.Errorf("%w: the request names no dataset", ErrUnknown)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.dataset(r.Ref.Dataset)
	r = d.filledIn(r)
	if p := s.running; p != nil && p.fetches() && !p.stopping && p.request.equal(r) {
		p.asked = true
		return p.id, nil
	}
	for _, p := range s.queue {
		if p.fetches() && p.request.equal(r) {
			p.held = false
			d.decideSoon()
			return p.id, nil
		}
	}
	return d.enqueue(s, d.newPass(PullPass, r)), nil
}

// filledIn completes a request with the dataset's configuration.
func (d *Daemon) filledIn(r PullRequest) PullRequest {
	s := d.datasets[r.Ref.Dataset]
	if s != nil && s.settings != nil && r.Selection.All() {
		r.Selection = s.settings.Selection
	}
	if s != nil && s.settings != nil && len(r.Sources) == 0 {
		r.Sources = s.settings.Sources
	}
	return r
}

// enqueue queues a pass that a person asked for. A running scrub makes way for it.
func (d *Daemon) enqueue(s *dataset, p *pass) int64 {
	p.asked = true
	s.queue = append(s.queue, p)
	d.decideSoon()
	return p.id
}

// Verify reads a version again, or without a version all versions of the dataset. With
// repair it fetches wrong and missing files again.
func (d *Daemon) Verify(ref manifest.Ref, repair bool) (id int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.datasets[ref.Dataset]
	if s == nil || !slices.ContainsFunc(s.versions, func(v version) bool { return ref.Version == "" || v.ref == ref }) {
		return 0, fmt.Errorf("%w: the mirror has no files of %s", ErrUnknown, ref)
	}
	r := PullRequest{Ref: ref}
	if s.settings != nil {
		r.Sources = s.settings.Sources
	}
	p := d.newPass(VerifyPass, r)
	p.repair = repair
	return d.enqueue(s, p), nil
}

// agendaOf returns the agenda of a dataset, or of all datasets if name is empty.
func (d *Daemon) agendaOf(dataset string) (*agenda, error) {
	if dataset == "" {
		return &d.all, nil
	}
	s := d.datasets[dataset]
	if s == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, dataset)
	}
	return &s.agenda, nil
}

// Pause ends the passes of a dataset, or of all datasets if name is empty, in good order,
// and starts none until Resume. It survives a restart.
func (d *Daemon) Pause(dataset string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.agendaOf(dataset)
	if err != nil {
		return err
	}
	a.Paused, a.unsaved = true, true
	for _, s := range d.datasets {
		if dataset != "" && s.name != dataset {
			continue
		}
		if s.running != nil {
			s.running.stop(stopPaused)
		}
		for _, p := range s.queue {
			p.held = true
		}
	}
	d.decideSoon()
	return nil
}

// Resume undoes Pause, and continues interrupted passes.
func (d *Daemon) Resume(dataset string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, err := d.agendaOf(dataset)
	if err != nil {
		return err
	}
	a.Paused, a.unsaved = false, true
	d.decideSoon()
	return nil
}

// Cancel ends a pass in good order; the next one is that of the schedule. The error is
// ErrNoSuchPass, or ErrNotRunning for a pass that has ended.
func (d *Daemon) Cancel(id int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.recent, func(p *pass) bool { return p.id == id })
	if i < 0 {
		return fmt.Errorf("%w: %d", ErrNoSuchPass, id)
	}
	p := d.recent[i]
	s := d.datasets[p.request.Ref.Dataset]
	switch at := slices.Index(s.queue, p); {
	case p.ended:
		return fmt.Errorf("%w: pass %d has ended", ErrNotRunning, id)
	case at >= 0:
		s.queue = slices.Delete(s.queue, at, at+1)
		p.ended, p.err, p.why = true, stopByHand, stopByHand.Error()
		if p.fetches() {
			p.report = failedReport(p.request.Ref, stopByHand)
		}
	default:
		p.stop(stopByHand)
	}
	d.decideSoon()
	return nil
}

// limit is the bandwidth limit.
type limit struct {
	text      string
	timetable pace.Timetable
}

func parseLimit(text string) (limit, error) {
	if text == "" {
		return limit{}, nil
	}
	timetable, err := pace.ParseTimetable(text)
	return limit{text, timetable}, err
}

// SetBWLimit changes the limit until the next Reload. The error says what is wrong with it.
func (d *Daemon) SetBWLimit(text string) error {
	l, err := parseLimit(text)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setLimit(l)
	d.change()
	return nil
}

func (d *Daemon) setLimit(l limit) {
	d.limit = l
	if d.o.Bandwidth != nil {
		d.o.Bandwidth.Set(l.timetable)
	}
}
