package dashboard

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mimicsync/daemon"
	"mimicsync/downloader/progress"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Tones are the colors of a state.
const (
	toneGood = "good" // complete
	toneBusy = "busy" // running
	toneWait = "wait" // not running, because of a person or the clock
	toneWarn = "warn" // failed, and retried automatically
	toneBad  = "bad"  // needs a person
)

// shownFailures is how many failed files are listed.
const shownFailures = 20

// dataset is a card on the page.
type dataset struct {
	ID, Name, Ref string
	Tone, State   string
	Bar           *bar
	Sentence      sentence
	Why           string
	Cures         []cure
	Facts         []fact
	Failures      *failures
	Actions       []action
	Small         bool // details are folded

	fetching bool
	waits    bool          // for a source; nothing else is being fetched
	until    *moment       // the next try; nil if unknown
	percent  string        // downloaded
	left     time.Duration // until it is done; 0 if unknown
	eta      *moment       // nil if unknown, or if the run window closes before
	closes   *moment       // when the run window closes
}

// bar is progress in thousandths.
type bar struct {
	Value       int
	Label, Text string
}

// cure is one thing to do about a failure, with the page to open or the command to type.
type cure struct{ Do, Page, Command string }

type failures struct {
	Summary string
	Files   []store.Failure
	More    string
}

func newDataset(c clock, st *daemon.Status, s *daemon.DatasetStatus, locked bool) *dataset {
	d := &dataset{
		ID: elementID(s.Dataset), Name: name(s.Dataset), Ref: s.Dataset,
		percent: percent(fraction(s)),
	}
	if s.Version != "" {
		d.Ref += "@" + s.Version
	}
	if s.Latest {
		d.Ref += ", follows new versions"
	}
	if d.waits = s.Pass != nil && s.Waiting != nil; d.waits && s.Waiting.Until.After(c.now) {
		d.until = c.soon(s.Waiting.Until)
	}
	if s.Pass != nil && s.Pass.Left > 0 && !d.waits {
		d.left = time.Duration(s.Pass.Left) * time.Second
		closes := st.Window.Changes
		if st.Window.Open && !closes.IsZero() && c.now.Add(d.left).After(closes) && s.Pass.Kind == daemon.RefreshPass {
			d.closes = c.hour(closes)
		} else {
			d.eta = c.estimate(d.left)
		}
	}
	d.Tone, d.State = condition(s)
	if d.needsAttention() || s.Condition == daemon.Limited { // otherwise the state says it
		d.Why, d.Cures = sentenceOf(s.Why), cures(s.Cure)
	}
	d.fetching = s.Pass != nil && !verifies(s.Pass) && s.Pass.State == store.Running && s.Condition == daemon.Running
	d.Bar = newBar(s)
	d.Sentence = d.story(c, s)
	d.Facts = facts(c, s)
	d.Failures = newFailures(s)
	d.Actions = actions(st, s, d, locked)
	return d
}

// needsAttention reports whether the top of the page says what is wrong with the dataset.
func (d *dataset) needsAttention() bool { return d.Tone == toneBad || d.Tone == toneWarn }

// fold makes the card small: details are folded, and nothing is said twice.
func (d *dataset) fold() {
	d.Small = true
	if d.needsAttention() {
		d.Why = ""
	}
}

// name is the common name of a dataset: the start of its title, or its slug.
func name(slug string) string {
	known, ok := manifest.Lookup(slug)
	if !ok {
		return slug
	}
	title, _, _ := strings.Cut(known.Title, ": ")
	title, _, _ = strings.Cut(title, " - ")
	return strings.TrimSuffix(title, " Database")
}

func verifies(p *daemon.PassStatus) bool {
	return p.Kind == daemon.VerifyPass || p.Kind == daemon.ScrubPass
}

func complete(s *daemon.DatasetStatus) bool {
	return s.Entries > 0 && s.Files >= s.Entries || s.Pass == nil && s.Complete
}

// isPart reports whether the mirror has, and was told to have, only a part of a dataset.
func isPart(s *daemon.DatasetStatus) bool {
	return s.Selection.String() != "" && s.Files < s.Entries
}

// fraction is how much of a dataset is downloaded: by bytes where their number is published,
// counting the parts of unfinished files.
func fraction(s *daemon.DatasetStatus) float64 {
	p := s.Pass
	fetches := p != nil && !verifies(p)
	here, all := s.Files, s.Entries
	switch selects := fetches && p.Total > 0 && p.Total < s.Entries; {
	case complete(s):
		return 1
	case s.Published > 0 && !selects:
		here, all = s.Bytes, s.Published
		if fetches && p.Expected > 0 {
			here = max(here, all-max(p.Expected-p.Fetched, 0))
		}
	case fetches && p.Expected > 0:
		here, all = s.Bytes, s.Bytes+max(p.Expected-p.Fetched, 0)
	case selects:
		here, all = p.Done, p.Total
	}
	if all == 0 {
		return 0
	}
	return min(float64(here)/float64(all), 0.999)
}

func condition(s *daemon.DatasetStatus) (tone, state string) {
	switch s.Condition {
	case daemon.Running:
		if s.Waiting != nil {
			return toneWait, "Waiting for " + s.Waiting.For
		}
		return toneBusy, phase(s.Pass)
	case daemon.Queued:
		return toneWait, "Queued"
	case daemon.Closed:
		return toneWait, "Waiting for the run window"
	case daemon.Paused:
		return toneWait, "Paused"
	case daemon.Parked:
		return toneBad, "Waiting for you"
	case daemon.NoSpace:
		return toneBad, "Waiting for disk space"
	case daemon.Failing:
		return toneWarn, "Failed, will retry"
	case daemon.Limited:
		return toneWait, "Stopped at its limit"
	case daemon.Idle:
	}
	switch {
	case complete(s) && isPart(s):
		return toneGood, "Selection up to date"
	case complete(s):
		return toneGood, "Up to date"
	case s.Files == 0:
		return toneWait, "Not downloaded yet"
	}
	return toneWait, "Incomplete"
}

func phase(p *daemon.PassStatus) string {
	switch {
	case p == nil:
		return "Running"
	case verifies(p):
		return "Verifying"
	case p.Phase == progress.PhaseManifest && p.Connections == 0 && p.Retries > 0:
		return "Waiting to retry the manifest"
	case p.Phase == progress.PhaseManifest && p.Connections == 0:
		return "Waiting for its turn"
	case p.Phase == progress.PhaseManifest:
		return "Fetching the manifest"
	case p.Phase == progress.PhaseSurvey:
		return "Comparing with the mirror"
	}
	return "Downloading"
}

func newBar(s *daemon.DatasetStatus) *bar {
	done, label, text := fraction(s), "of "+name(s.Dataset)+" downloaded", ""
	if p := s.Pass; p != nil && verifies(p) {
		if p.Total == 0 {
			return nil
		}
		done, label, text = float64(p.Done+p.Failed)/float64(p.Total), "of "+name(s.Dataset)+" re-read", " read"
	}
	// Decimals show that something moves in a dataset of terabytes.
	number := strconv.FormatFloat(float64(int(done*1000))/10, 'f', 1, 64)
	if done == 1 {
		number = "100"
	}
	if text == "" && complete(s) && isPart(s) {
		label, text = "of the selection of "+name(s.Dataset)+" downloaded", " of the selection"
	}
	return &bar{Value: int(done * 1000), Label: label, Text: number + "%" + text}
}

// here is the headline of a dataset that is being downloaded.
func (d *dataset) here() sentence {
	start := fmt.Sprintf("%s: %s downloaded", d.Name, d.percent)
	switch {
	case d.waits && d.until == nil:
		return sentence{Text: start + ". " + d.State + "."}
	case d.waits: // the card says why
		return sentence{start + ". " + d.State + " until ", d.until, "."}
	case d.eta != nil:
		return sentence{start + ", done ", d.eta, "."}
	case d.closes != nil:
		return sentence{start + ". The run window closes at ", d.closes, "; the rest follows in the next one."}
	}
	return sentence{Text: start + ". " + d.State + "."}
}

// story is the state of a dataset in a sentence.
func (d *dataset) story(c clock, s *daemon.DatasetStatus) sentence {
	switch {
	case d.waits:
		return c.wait(s.Waiting)
	case d.eta != nil:
		return sentence{"Done ", d.eta, "."}
	case d.closes != nil:
		return sentence{"About " + span(d.left) + " left. The run window closes at ", d.closes, "."}
	case s.Condition == daemon.Running:
		return sentence{Text: "Estimating the time left."}
	case s.Condition == daemon.Paused:
		return sentence{Text: "Everything fetched so far is saved. Resume continues from there."}
	case s.Waiting != nil && (s.Condition == daemon.Queued || s.Condition == daemon.NoSpace || s.Condition == daemon.Closed):
		return c.wait(s.Waiting)
	case s.Next.IsZero() && !s.Scheduled:
		return sentence{Text: "Refreshed on request only."}
	case s.Next.IsZero():
		return sentence{}
	case s.Condition == daemon.Limited:
		return sentence{"The next refresh continues ", c.at(s.Next), "."}
	case s.Condition == daemon.Idle:
		return sentence{"The next refresh is ", c.at(s.Next), "."}
	}
	return sentence{"The schedule tries again ", c.at(s.Next), "."}
}

func facts(c clock, s *daemon.DatasetStatus) []fact {
	of := func(here, all string, known bool) string {
		if here == all || !known {
			return here
		}
		return here + " of " + all
	}
	all := []fact{
		{Label: "Files", Value: of(comma(s.Files), comma(s.Entries), s.Entries > 0)},
		{Label: "Bytes", Value: of(size(s.Bytes), size(s.Published), s.Published > 0)},
	}
	if isPart(s) {
		all = append(all, fact{Label: "Selection", Value: s.Selection.String()})
	}
	if p := s.Pass; p != nil {
		all = append(all, fact{Label: "Rate", Value: size(p.Rate) + "/s"}, fact{Label: "Connections", Value: comma(p.Connections)},
			fact{Label: "Retries", Value: comma(p.Retries)})
	}
	if !s.LastSuccess.IsZero() {
		all = append(all, fact{Label: "Last complete", Note: sentence{When: c.short(s.LastSuccess)}})
	}
	if !s.Next.IsZero() && s.Pass != nil { // otherwise it is in the story
		all = append(all, fact{Label: "Next refresh", Note: sentence{When: c.short(s.Next)}})
	}
	if !s.NextScrub.IsZero() && s.Condition != daemon.Paused { // a pause also holds scrubs back
		all = append(all, fact{Label: "Next scrub", Note: sentence{When: c.short(s.NextScrub)}})
	}
	if len(s.Versions) > 1 {
		var here []string
		for _, v := range s.Versions {
			here = append(here, v.Version)
		}
		all = append(all, fact{Label: "Versions here", Value: strings.Join(here, ", ")})
	}
	return all
}

var reasonWords = map[string]string{
	"not_found":    "not found",
	"denied":       "access denied",
	"unauthorized": "needs a login",
	"checksum":     "wrong digest",
	"size":         "wrong size",
	"network":      "network error",
	"no_space":     "no disk space",
	"io":           "read or write error",
	"unsafe_path":  "unsafe path",
}

// newFailures lists the failed files of the running pass, or of the last one.
func newFailures(s *daemon.DatasetStatus) *failures {
	p, when := s.Last, " in the last pass"
	if s.Pass != nil && (s.Pass.Failed > 0 || len(s.Pass.Failures) > 0) {
		p, when = s.Pass, " so far"
	}
	if p == nil || p.Failed == 0 && len(p.Failures) == 0 {
		return nil
	}
	total := max(p.Failed, int64(len(p.Failures)))
	f := &failures{Summary: count(total, "file") + " failed" + when}
	for _, x := range p.Failures[:min(len(p.Failures), shownFailures)] {
		x.Reason = cmp.Or(reasonWords[x.Reason], x.Reason)
		f.Files = append(f.Files, x)
	}
	if rest := total - int64(len(f.Files)); rest > 0 {
		f.More = "And " + count(rest, "other") + ". Every pass retries them."
	}
	return f
}

// cures parses advice of one step per line, such as "sign the agreement: https://…".
func cures(text string) []cure {
	var steps []cure
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndex(line, ": ")
		do, where := line[:max(at, 0)], strings.TrimPrefix(line[max(at, 0):], ": ")
		switch {
		case strings.HasPrefix(where, "https://") && !strings.Contains(where, " "):
			steps = append(steps, cure{Do: lead(do), Page: where})
		case strings.HasPrefix(where, "mimicsync "), strings.HasPrefix(where, "sudo "):
			steps = append(steps, cure{Do: lead(do), Command: where})
		case line != "":
			steps = append(steps, cure{Do: sentenceOf(line)})
		}
	}
	return steps
}

func lead(do string) string {
	if do == "" {
		return ""
	}
	return capital(do) + ": "
}

// actions are the buttons that make sense in a dataset's condition.
func actions(st *daemon.Status, s *daemon.DatasetStatus, d *dataset, locked bool) []action {
	ref := manifest.Ref{Dataset: s.Dataset}
	if !s.Latest {
		ref.Version = s.Version // a button next to a version must not pull a newer one
	}
	button := func(verb, label, weight, dataset string, more ...value) action {
		return action{
			ID: verb + "-" + s.Dataset, Verb: verb, Values: append([]value{{"dataset", dataset}}, more...),
			Label: label, Object: d.Name, Weight: weight, Locked: locked,
		}
	}
	pause := button("pause", "Pause", "quiet", s.Dataset)
	switch {
	case s.Condition == daemon.Paused && st.Paused:
		return nil // they are resumed together, as they were paused
	case s.Condition == daemon.Paused:
		return []action{button("resume", "Resume", "strong", s.Dataset)}
	case s.Pass != nil:
		return []action{button("pause", "Pause", "strong", s.Dataset), button("cancel", "Cancel", "quiet", s.Dataset, value{"pass", strconv.FormatInt(s.Pass.ID, 10)})}
	case s.Condition == daemon.Parked, s.Condition == daemon.Failing:
		return []action{button("pull", "Try again", "strong", ref.String()), pause}
	case complete(s):
		return []action{button("pull", "Check for changes", "quiet", ref.String()), pause}
	}
	return []action{button("pull", "Pull", "strong", ref.String()), pause}
}

func lower(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(first)) + s[n:]
}
