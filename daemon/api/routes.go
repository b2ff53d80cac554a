package api

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"mimicsync/daemon"
	"mimicsync/downloader/pace"
	"mimicsync/manifest"
	"mimicsync/store"
)

//go:embed openapi.json
var openAPI []byte

// route is one function of the API. An error of serve becomes the answer.
type route struct {
	method, path string // the path without Prefix
	serve        func(s *Server, w http.ResponseWriter, r *http.Request) error
}

// table has every route; openapi.json describes the same routes, as a test checks.
var table = []route{
	{"GET", "/status", (*Server).status},
	{"GET", "/events", (*Server).events},
	{"POST", "/pull", (*Server).pull},
	{"POST", "/plan", unhurried((*Server).plan)},
	{"POST", "/prune", unhurried((*Server).prune)},
	{"POST", "/verify", (*Server).verify},
	{"GET", "/passes/{id}", (*Server).pass},
	{"POST", "/passes/{id}/cancel", (*Server).cancel},
	{"POST", "/pause", (*Server).pause},
	{"POST", "/resume", (*Server).resume},
	{"PUT", "/bwlimit", (*Server).bwlimit},
	{"POST", "/reload", (*Server).reload},
	{"POST", "/reconsider", (*Server).reconsider},
	{"GET", "/history", (*Server).history},
	{"GET", "/throughput", (*Server).throughput},
	{"GET", "/openapi.json", (*Server).openAPI},
}

// routes is the API. Unknown paths and methods get an answer in JSON, too.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, e := range table {
		mux.HandleFunc(e.method+" "+Prefix+e.path, func(w http.ResponseWriter, r *http.Request) {
			if err := e.serve(s, w, r); err != nil {
				code, p := s.answer(err)
				writeJSON(w, code, p)
			}
		})
		methods[e.path] = append(methods[e.path], e.method)
	}
	for path, allowed := range methods {
		allow := strings.Join(allowed, ", ")
		mux.HandleFunc(Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			writeJSON(w, http.StatusMethodNotAllowed, problem{Error: r.Method + " isn't allowed for " + r.URL.Path, Hint: "use " + allow})
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, problem{Error: "there is no " + r.URL.Path, Hint: "see the list in " + Prefix + "/openapi.json"})
	})
	return mux
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, s.daemon.Status())
	return nil
}

// PullRequest is the body of POST pull and POST plan.
type PullRequest struct {
	Dataset string   `json:"dataset"`
	Version string   `json:"version,omitempty"` // empty: the newest
	Include []string `json:"include,omitempty"` // patterns, see manifest.Selection
	Exclude []string `json:"exclude,omitempty"`
	Sources []string `json:"sources,omitempty"` // in order of preference; empty: as configured
	// AcceptManifest accepts a manifest that lists far fewer files than before; not for a
	// plan.
	AcceptManifest bool `json:"accept_manifest,omitempty"`
}

// Accepted is the answer when a pass begins.
type Accepted struct {
	ID int64 `json:"id"`
}

func (s *Server) pull(w http.ResponseWriter, r *http.Request) error {
	request, err := readPullRequest(w, r)
	if err != nil {
		return err
	}
	id, err := s.daemon.Pull(request)
	return accepted(w, id, err)
}

func readPullRequest(w http.ResponseWriter, r *http.Request) (request daemon.PullRequest, err error) {
	var body PullRequest
	if err := readJSON(w, r, &body); err != nil {
		return request, err
	}
	request.Sources, request.AcceptManifest = body.Sources, body.AcceptManifest
	if request.Ref, err = parseRef(body.Dataset, body.Version); err != nil {
		return request, err
	}
	if request.Selection, err = manifest.NewSelection(body.Include, body.Exclude); err != nil {
		return request, &requestError{err}
	}
	return request, nil
}

// VerifyRequest is the body of POST verify.
type VerifyRequest struct {
	Dataset string `json:"dataset"`
	Version string `json:"version,omitempty"` // empty: all in the mirror
	Repair  bool   `json:"repair,omitempty"`  // fetch wrong and missing files again
}

func (s *Server) verify(w http.ResponseWriter, r *http.Request) error {
	var body VerifyRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	ref, err := parseRef(body.Dataset, body.Version)
	if err != nil {
		return err
	}
	id, err := s.daemon.Verify(ref, body.Repair)
	return accepted(w, id, err)
}

func accepted(w http.ResponseWriter, id int64, err error) error {
	if err == nil {
		writeJSON(w, http.StatusAccepted, Accepted{id})
	}
	return err
}

func parseRef(dataset, version string) (manifest.Ref, error) {
	if version == "" {
		return manifest.ParseRef(dataset)
	}
	return manifest.ParseRef(dataset + "@" + version)
}

// Pass is the answer to GET passes/{id}.
type Pass struct {
	daemon.PassStatus
	// ExitCode is that of Options.Advise, 0 if the pass didn't end early.
	ExitCode int `json:"exit_code,omitempty"`
}

func (s *Server) pass(w http.ResponseWriter, r *http.Request) error {
	id, err := passID(r)
	if err != nil {
		return err
	}
	p, err := s.daemon.Pass(id)
	if err != nil {
		return err
	}
	answer := Pass{PassStatus: p}
	switch {
	case p.Report != nil && p.Report.Err != nil:
		answer.ExitCode, _ = s.o.Advise(p.Report.Err)
	case p.Report == nil && p.State == store.Failed && p.Err != nil: // an unfinished verification
		answer.ExitCode, _ = s.o.Advise(p.Err)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) error {
	id, err := passID(r)
	if err != nil {
		return err
	}
	return done(w, s.daemon.Cancel(id))
}

func passID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, &requestError{fmt.Errorf("%q isn't the number of a pass", r.PathValue("id"))}
	}
	return id, nil
}

// DatasetRequest is the body of POST pause and POST resume.
type DatasetRequest struct {
	Dataset string `json:"dataset"` // empty: all
}

func (s *Server) pause(w http.ResponseWriter, r *http.Request) error {
	return s.forDataset(w, r, s.daemon.Pause)
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	return s.forDataset(w, r, s.daemon.Resume)
}

func (s *Server) forDataset(w http.ResponseWriter, r *http.Request, do func(dataset string) error) error {
	var body DatasetRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if body.Dataset != "" {
		ref, err := manifest.ParseRef(body.Dataset)
		if err != nil {
			return err
		}
		body.Dataset = ref.Dataset
	}
	return done(w, do(body.Dataset))
}

// done answers with no content.
func done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// BWLimitRequest is the body of PUT bwlimit.
type BWLimitRequest struct {
	Limit string `json:"limit"` // see pace.ParseTimetable
}

func (s *Server) bwlimit(w http.ResponseWriter, r *http.Request) error {
	var body BWLimitRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if _, err := pace.ParseTimetable(body.Limit); err != nil {
		return &requestError{fmt.Errorf("limit: %w", err)}
	}
	return done(w, s.daemon.SetBWLimit(body.Limit))
}

// Reloaded is the answer to POST reload.
type Reloaded struct {
	Notes []string `json:"notes"` // changes that need a restart
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	notes, err := s.daemon.Reload(r.Context())
	if err == nil {
		writeJSON(w, http.StatusOK, Reloaded{append([]string{}, notes...)})
	}
	return err
}

func (s *Server) reconsider(w http.ResponseWriter, r *http.Request) error {
	s.daemon.Reconsider(r.Context())
	return done(w, nil)
}

// History is the answer to GET history.
type History struct {
	Passes []daemon.PassStatus `json:"passes"` // newest first
}

const (
	fewPasses  = 50
	manyPasses = 1000
)

func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	limit := fewPasses
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > manyPasses {
			return &requestError{fmt.Errorf("limit %q: it must be from 1 to %d", text, manyPasses)}
		}
		limit = n
	}
	passes, err := s.daemon.History(query.Get("dataset"), limit)
	if err == nil {
		writeJSON(w, http.StatusOK, History{append([]daemon.PassStatus{}, passes...)})
	}
	return err
}

// Throughput is the answer to GET throughput.
type Throughput struct {
	Hour []daemon.Sample `json:"hour"` // in steps of ten seconds
	Days []daemon.Sample `json:"days"` // the last 30, by the daemon's local date
}

func (s *Server) throughput(w http.ResponseWriter, _ *http.Request) error {
	hour, days := s.daemon.Throughput()
	writeJSON(w, http.StatusOK, Throughput{append([]daemon.Sample{}, hour...), append([]daemon.Sample{}, days...)})
	return nil
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(openAPI); err != nil {
		return errors.New("the document was not sent")
	}
	return nil
}
