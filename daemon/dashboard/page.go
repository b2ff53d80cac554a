package dashboard

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"mimicsync/daemon"
	"mimicsync/manifest"
	"mimicsync/store"
)

// shownPasses is how many passes the history shows. The API has all.
const shownPasses = 25

// snapshot is the state of a daemon at one moment.
type snapshot struct {
	status     daemon.Status
	hour, days []daemon.Sample
	history    []daemon.PassStatus
}

func look(d *daemon.Daemon) (snapshot, error) {
	s := snapshot{status: d.Status()}
	s.hour, s.days = d.Throughput()
	var err error
	s.history, err = d.History("", shownPasses)
	return s, err
}

// page is the data of the templates: text and numbers, ready to show.
type page struct {
	Title    string // of the window
	Headline sentence
	Notice   string // why the last change failed
	Mirror   string
	Program  string
	Now      *moment
	Started  *moment
	Zone     string
	Locked   bool // changes need the token first

	Attention []*attention // datasets that need a person, or fail
	Tiles     []fact
	Actions   []action // on all datasets
	Datasets  []*dataset
	Many      bool // the cards of datasets are small
	Catalog   []manifest.Dataset
	Hour      chart
	Days      chart
	Hosts     []host
	History   []row
}

// manyDatasets is the number of datasets from which their cards are small.
const manyDatasets = 6

// attention is what is wrong, with all datasets that it concerns: an outage is said once.
type attention struct {
	Tone, State, Why string
	Datasets         []*dataset
}

// attend adds a dataset to what is wrong with it.
func (p *page) attend(d *dataset) {
	for _, a := range p.Attention {
		if a.Tone == d.Tone && a.State == d.State && a.Why == d.Why {
			a.Datasets = append(a.Datasets, d)
			return
		}
	}
	p.Attention = append(p.Attention, &attention{d.Tone, d.State, d.Why, []*dataset{d}})
}

// fact is a number with its name.
type fact struct {
	Label, Value string
	Note         sentence
}

// action is a button.
type action struct {
	ID, Verb string
	Values   []value
	Label    string
	Object   string // the dataset, for screen readers
	Weight   string // "strong" or "quiet"
	Locked   bool
}

// value is a hidden field of a form.
type value struct{ Name, Value string }

// row is a pass in the history.
type row struct {
	When                                              *moment
	Dataset, Kind, Tone, Result, Error, Fetched, Took string
}

// host is the connections to a source.
type host struct {
	Source, Text, Why     string
	UsedShare, LimitShare int // of the ceiling, in percent
}

func newPage(s snapshot, mayChange bool) *page {
	st := &s.status
	c := clock{st.Now}
	p := &page{
		Mirror: st.Mirror, Program: st.Program, Now: c.at(st.Now), Started: c.since(st.Started), Zone: st.Now.Format("MST (UTC-07:00)"),
		Locked: !mayChange, Catalog: manifest.Catalog(),
		Tiles: tiles(c, st), Hour: hourChart(c, s.hour), Days: dayChart(c, s.days),
	}
	for i := range st.Datasets {
		d := newDataset(c, st, &st.Datasets[i], p.Locked)
		p.Datasets = append(p.Datasets, d)
		if d.needsAttention() {
			p.attend(d)
		}
	}
	if p.Many = len(p.Datasets) >= manyDatasets; p.Many {
		for _, d := range p.Datasets {
			d.fold()
		}
	}
	p.Headline, p.Title = headline(st, p)
	p.Actions = actionsOnAll(st, p.Locked)
	for i := range s.history {
		p.History = append(p.History, newRow(c, &s.history[i]))
	}
	for _, h := range st.Hosts {
		ceiling := max(h.Ceiling, 1)
		p.Hosts = append(p.Hosts, host{
			Source: h.Source, Why: sentenceOf(h.Why),
			Text:      connections(h),
			UsedShare: min(100*h.Used/ceiling, 100), LimitShare: min(100*h.Limit/ceiling, 100),
		})
	}
	return p
}

// connections says how many are in use, how many may be now, and how many ever. When the
// limit falls, connections in use end after their current request.
func connections(h daemon.Host) string {
	if h.Used > h.Limit {
		return fmt.Sprintf("%s in use, falling to %d, at most %d", count(int64(h.Used), "connection"), h.Limit, h.Ceiling)
	}
	return fmt.Sprintf("%d of %s in use, at most %d", h.Used, count(int64(h.Limit), "connection"), h.Ceiling)
}

// headline answers the question for which people open the page. It also returns the title
// of the window.
func headline(st *daemon.Status, p *page) (sentence, string) {
	var fetching, waiting []*dataset
	var last *dataset // to be done
	for _, d := range p.Datasets {
		switch {
		case d.fetching && d.waits:
			waiting = append(waiting, d)
		case d.fetching:
			fetching = append(fetching, d)
			if last == nil || d.left > last.left {
				last = d
			}
		}
	}
	switch {
	case len(p.Datasets) == 0:
		return sentence{Text: "This mirror is empty."}, "mimicsync"
	case st.Paused && len(fetching)+len(waiting) == 0: // a person may ask for one all the same
		return sentence{Text: "All downloads are paused."}, "Paused · mimicsync"
	case len(fetching) == 0 && len(waiting) == 1:
		return waiting[0].here(), "Waiting · " + waiting[0].percent + " " + waiting[0].Name
	case len(fetching) == 0 && len(waiting) > 1:
		return sentence{Text: fmt.Sprintf("%d datasets are waiting.", len(waiting))}, "Waiting · mimicsync"
	case len(fetching) == 1:
		return last.here(), last.percent + " " + last.Name
	case len(fetching) > 1:
		s := sentence{Text: fmt.Sprintf("%d datasets are downloading.", len(fetching))}
		if last.eta != nil {
			s = sentence{fmt.Sprintf("%d datasets are downloading. %s finishes last, ", len(fetching), last.Name), last.eta, "."}
		}
		return s, fmt.Sprintf("%d downloads · mimicsync", len(fetching))
	}
	var troubled []*dataset
	for _, a := range p.Attention {
		troubled = append(troubled, a.Datasets...)
	}
	switch len(troubled) {
	case 0:
	case 1:
		return sentence{Text: troubled[0].Name + ": " + lower(troubled[0].State) + "."}, "Attention · mimicsync"
	default:
		return sentence{Text: fmt.Sprintf("%d datasets need attention.", len(troubled))}, "Attention · mimicsync"
	}
	for _, d := range p.Datasets {
		if d.Tone != toneGood {
			return sentence{Text: d.Name + ": " + lower(d.State) + "."}, d.percent + " " + d.Name
		}
	}
	return sentence{Text: "Everything is downloaded and verified."}, "Up to date · mimicsync"
}

func tiles(c clock, st *daemon.Status) []fact {
	limit := fact{Label: "Bandwidth limit", Value: "None"}
	if st.BytesLimit > 0 {
		limit.Value = size(st.BytesLimit) + "/s"
	}
	if strings.ContainsAny(st.BWLimit, " ,") {
		limit.Note.Text = "timetable " + st.BWLimit
	}
	window := fact{Label: "Run window", Value: "Always open"}
	switch {
	case st.Window.Changes.IsZero():
	case st.Window.Open:
		window.Value, window.Note = "Open", sentence{Text: "until ", When: c.hour(st.Window.Changes)}
	default:
		window.Value, window.Note = "Closed", sentence{Text: "until ", When: c.hour(st.Window.Changes)}
	}
	var connections int64
	for _, h := range st.Hosts {
		connections += int64(h.Used)
	}
	receiving := fact{Label: "Receiving", Value: size(st.Rate) + "/s"}
	if connections > 0 {
		receiving.Note.Text = "over " + count(connections, "connection")
	}
	return []fact{
		receiving,
		limit,
		window,
		{"Free disk", size(st.Free), sentence{}},
	}
}

func actionsOnAll(st *daemon.Status, locked bool) []action {
	switch {
	case len(st.Datasets) == 0:
		return nil
	case st.Paused:
		return []action{{ID: "resume-all", Verb: "resume", Label: "Resume all", Weight: "strong", Locked: locked}}
	}
	return []action{{ID: "pause-all", Verb: "pause", Label: "Pause all", Weight: "quiet", Locked: locked}}
}

var kindWords = map[daemon.Kind]string{
	daemon.RefreshPass: "Refresh",
	daemon.PullPass:    "Pull",
	daemon.VerifyPass:  "Verification",
	daemon.ScrubPass:   "Scrub",
}

func newRow(c clock, p *daemon.PassStatus) row {
	r := row{
		When: c.short(p.Start), Dataset: p.Dataset, Kind: cmp.Or(kindWords[p.Kind], "Pass"),
		Error: sentenceOf(strings.TrimPrefix(p.Error, "interrupted: ")), Fetched: "–", Took: span(time.Duration(p.Elapsed * float64(time.Second))),
	}
	if p.Version != "" {
		r.Dataset += "@" + p.Version
	}
	if p.Fetched > 0 {
		r.Fetched = size(p.Fetched)
	}
	switch p.State {
	case store.Complete:
		r.Result, r.Tone = "Complete", toneGood
		if p.Fetched == 0 && !verifies(p) {
			r.Result = "Nothing to fetch"
		}
	case store.Incomplete:
		r.Result, r.Tone = "Incomplete", toneWarn
		if p.Failed > 0 {
			r.Result = count(p.Failed, "file") + " failed"
		}
	case store.Interrupted:
		r.Result, r.Tone = "Interrupted", toneWait
	case store.Running:
		r.Result, r.Tone = "Running", toneBusy
	default:
		r.Result, r.Tone = "Failed", toneBad
	}
	return r
}
