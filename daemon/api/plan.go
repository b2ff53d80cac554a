package api

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
)

// Plan is a report.Plan in JSON: the answer to POST plan, and the output of plan --json.
type Plan struct {
	Dataset      string       `json:"dataset"`
	Version      string       `json:"version"`
	Total        int64        `json:"files_total"`
	Present      int64        `json:"files_present"`
	Examine      int64        `json:"files_to_examine"`
	Link         int64        `json:"files_to_link"` // from another version or dataset
	Fetch        int64        `json:"files_to_fetch"`
	Unsafe       int64        `json:"files_unsafe"`
	PresentBytes int64        `json:"bytes_present"`
	LinkBytes    int64        `json:"bytes_to_link"`
	FetchBytes   *int64       `json:"bytes_to_fetch"` // at most about, null if unknown
	Free         int64        `json:"disk_free"`
	Missing      int64        `json:"disk_missing"` // 0 if it fits, or if that is unknown
	Sources      []SourcePlan `json:"sources"`      // in order of preference
}

// SourcePlan is what fetching everything from one source would take. Unknown values are
// null.
type SourcePlan struct {
	Name    string       `json:"name"`
	Files   int64        `json:"files"`
	Lacks   int64        `json:"files_lacking"` // to fetch, but not in its listing
	Bytes   *int64       `json:"bytes"`
	Basis   report.Basis `json:"bytes_from"` // listing, published, share or unknown
	Cost    *cost.Money  `json:"cost_usd"`
	Seconds *float64     `json:"seconds"`
	Rate    *Rate        `json:"rate"` // last seen, for similar files if possible
	// Refused is why the source denies access; null if it doesn't. Trouble is why its
	// listing is unknown, left out if it is known.
	Refused *Refusal `json:"refused"`
	Trouble string   `json:"trouble,omitempty"`
}

// Refusal is why a source denies access, and what to do about it.
type Refusal struct {
	Cause string `json:"cause,omitempty"` // in one word, left out if Says is enough
	Says  string `json:"says"`
	Cure  string `json:"cure"` // what to do, in lines
}

// Rate is how fast files came from a source.
type Rate struct {
	Bytes float64   `json:"bytes_per_s"`
	Files float64   `json:"files_per_s"`
	Seen  time.Time `json:"seen"`
}

// NewPlan is the JSON form of a plan. advise returns what to do about a refusal.
func NewPlan(p *report.Plan, advise func(error) (exitCode int, hint string)) Plan {
	out := Plan{
		Dataset: p.Ref.Dataset, Version: p.Ref.Version, Total: p.Total, Present: p.Present, Examine: p.Examine, Link: p.Link, Fetch: p.Fetch,
		Unsafe: p.Unsafe, PresentBytes: p.PresentBytes, LinkBytes: p.LinkBytes, Free: p.Free.Bytes,
	}
	bytes, known := p.FetchBytes(), p.PublishedBytes > 0
	for _, s := range p.Sources {
		if s.Basis == report.BasisListing && s.Lacks == 0 {
			bytes, known = s.Bytes, true
		}
		out.Sources = append(out.Sources, newSourcePlan(s, advise))
	}
	if p.Fetch+p.Examine == 0 {
		bytes, known = 0, true
	}
	if known {
		out.FetchBytes, out.Missing = &bytes, max(bytes-out.Free, 0)
	}
	return out
}

func newSourcePlan(s report.SourcePlan, advise func(error) (exitCode int, hint string)) SourcePlan {
	out := SourcePlan{Name: s.Name, Files: s.Files, Lacks: s.Lacks, Basis: s.Basis}
	if s.Refused != nil {
		_, cure := advise(s.Refused)
		out.Refused = &Refusal{Cause: string(s.Refused.Cause), Says: s.Refused.Error(), Cure: cure}
	}
	if s.Unlisted != nil {
		out.Trouble = s.Unlisted.Error()
	}
	if s.Bytes >= 0 {
		out.Bytes = &s.Bytes
	}
	if s.Cost >= 0 {
		out.Cost = &s.Cost
	}
	if took := s.Rate.Elapsed.Seconds(); took > 0 {
		out.Rate = &Rate{math.Round(float64(s.Rate.Bytes) / took), math.Round(float64(s.Rate.Files)/took*1000) / 1000, s.Rate.At}
		if s.Bytes >= 0 {
			seconds := math.Round(s.Time.Seconds())
			out.Seconds = &seconds
		}
	}
	return out
}

func (s *Server) plan(w http.ResponseWriter, r *http.Request) error {
	request, err := readPullRequest(w, r)
	if err != nil {
		return err
	}
	p, err := s.daemon.Plan(r.Context(), request)
	if err == nil {
		writeJSON(w, http.StatusOK, NewPlan(p, s.o.Advise))
	}
	return err
}

// PruneRequest is the body of POST prune.
type PruneRequest struct {
	Dataset string `json:"dataset,omitempty"` // empty: all
	Version string `json:"version,omitempty"` // empty: all older than the newest complete version
	Keep    *int   `json:"keep,omitempty"`    // how many old versions to keep, newest first; nil: as configured
	DryRun  bool   `json:"dry_run,omitempty"` // only say what would be removed
}

// Prunes is the answer to POST prune.
type Prunes struct {
	Pruned []*report.Pruned `json:"pruned"`
}

func (s *Server) prune(w http.ResponseWriter, r *http.Request) error {
	var body PruneRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if body.Keep != nil && *body.Keep < 0 {
		return &requestError{fmt.Errorf("keep is %d: it must not be negative", *body.Keep)}
	}
	var want manifest.Ref
	var err error
	if body.Dataset != "" || body.Version != "" {
		if want, err = parseRef(body.Dataset, body.Version); err != nil {
			return err
		}
	}
	old, err := s.daemon.Prunable(r.Context(), want, body.Keep)
	if err != nil {
		return err
	}
	do := s.daemon.Prune
	if body.DryRun {
		do = s.daemon.PlanPrune
	}
	answer := Prunes{Pruned: []*report.Pruned{}}
	for _, ref := range old {
		result, err := do(r.Context(), ref)
		if err != nil && body.DryRun {
			return err
		}
		if result != nil {
			answer.Pruned = append(answer.Pruned, result)
		}
		if err != nil {
			return &partError{err, answer.Pruned}
		}
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// unhurried is for slow answers: they end with the client or the server.
func unhurried(serve func(*Server, http.ResponseWriter, *http.Request) error) func(*Server, http.ResponseWriter, *http.Request) error {
	return func(s *Server, w http.ResponseWriter, r *http.Request) error {
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Time{}) // without deadlines, there is nothing to undo
		_ = c.SetWriteDeadline(time.Time{})
		defer func() { _ = c.SetWriteDeadline(time.Now().Add(writeWait)) }()
		return serve(s, w, r)
	}
}
