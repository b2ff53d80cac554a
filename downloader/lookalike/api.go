package lookalike

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const jsonType = "application/json"

// apiProject has the API's fields of a version; those of no use to a client are empty.
type apiProject struct {
	Slug            string            `json:"slug"`
	Version         string            `json:"version"`
	IsLatest        bool              `json:"is_latest_version"`
	Title           string            `json:"title"`
	Short           string            `json:"short_description"`
	Abstract        string            `json:"abstract"`
	PublishDate     string            `json:"publish_date"`
	PublishDatetime string            `json:"publish_datetime"`
	License         map[string]string `json:"license"`
	DUA             map[string]string `json:"dua"`
	MainSize        int64             `json:"main_storage_size"`
	CompressedSize  int64             `json:"compressed_storage_size"`
	ResourceType    int               `json:"resource_type"`
	AccessPolicy    any               `json:"access_policy"` // a Policy, or its word
	Topics          []string          `json:"topics"`
	SourceURL       string            `json:"source_url"`

	id int
}

// policyWords are the API's words for policies.
var policyWords = [...]string{Open: "Open", Restricted: "Restricted", Credentialed: "Credentialed", ContributorReview: "Contributor Review"} //nolint:gosec // no credentials, in spite of the word

// apiVersion is an item in the list of a project's versions.
type apiVersion struct {
	Slug     string `json:"slug"`
	Title    string `json:"title"`
	Version  string `json:"version"`
	Abstract string `json:"abstract"`
	Citation string `json:"citation"`
}

// serveAPI answers /api/v1/projects/... and the older /api/v1/project/...
func (s *Server) serveAPI(w *response, r *http.Request, rest string) {
	s.counters.api.Add(1)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		apiError(w, http.StatusMethodNotAllowed, "Method \""+r.Method+"\" not allowed.")
		return
	}
	if !strings.HasSuffix(rest, "/") {
		redirect(w, http.StatusMovedPermanently, r.URL.EscapedPath()+"/")
		return
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if len(parts) < 3 || parts[0] != "v1" || (parts[1] != "projects" && parts[1] != "project") {
		notFound(w)
		return
	}
	parts = parts[2:]
	switch n := len(parts); {
	case n == 1 && parts[0] == "published":
		s.apiList(w, r, func(apiProject) bool { return true })
	case parts[n-1] == "search":
		term := strings.ToLower(r.URL.Query().Get("search_term"))
		s.apiList(w, r, func(p apiProject) bool {
			return p.IsLatest && strings.Contains(strings.ToLower(p.Slug+" "+p.Title), term)
		})
	case n == 4 && parts[0] == "published" && parts[3] == "sha256sums":
		s.apiManifest(w, r, parts[1], parts[2])
	case n == 2 && parts[1] == "versions":
		s.apiVersions(w, r, parts[0])
	case n == 3 && parts[1] == "versions":
		s.apiDetail(w, r, parts[0], parts[2])
	case parts[0] == "published" && n == 2: // the older synonyms
		s.apiVersions(w, r, parts[1])
	case parts[0] == "published" && n == 3:
		s.apiDetail(w, r, parts[1], parts[2])
	default:
		notFound(w)
	}
}

func (s *Server) apiList(w *response, r *http.Request, keep func(apiProject) bool) {
	if !s.apiAdmit(w, r, false) {
		return
	}
	s.mu.RLock()
	all := []apiProject{}
	for _, p := range s.projects {
		for i := range p.Versions {
			if a := s.describe(p, i); keep(a) {
				all = append(all, a)
			}
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b apiProject) int { return cmp.Compare(a.id, b.id) })
	apiAnswer(w, http.StatusOK, all)
}

// apiVersions lists versions in the order of publication; for an unknown project the list
// is empty, without an error.
func (s *Server) apiVersions(w *response, r *http.Request, slug string) {
	if !s.apiAdmit(w, r, true) {
		return
	}
	all := []apiVersion{}
	if p := s.project(slug); p != nil {
		for _, i := range p.byID() {
			all = append(all, apiVersion{Slug: p.Slug, Title: p.Title, Version: p.Versions[i].Version})
		}
	}
	apiAnswer(w, http.StatusOK, all)
}

func (s *Server) apiDetail(w *response, r *http.Request, slug, version string) {
	if !s.apiAdmit(w, r, false) {
		return
	}
	p := s.project(slug)
	v, id := p.version(version)
	if v == nil {
		apiError(w, http.StatusNotFound, "Not found.")
		return
	}
	apiAnswer(w, http.StatusOK, s.describe(p, slices.Index(p.ids, id)))
}

// apiManifest requires a login even for an open project, accepts Basic from any program,
// and isn't throttled.
func (s *Server) apiManifest(w *response, r *http.Request, slug, version string) {
	var user *User
	if r.Header.Get("Authorization") != "" {
		user = s.checkPassword(r)
	}
	p := s.project(slug)
	v, _ := p.version(version)
	switch {
	case user == nil:
		detail := "Authentication credentials were not provided."
		if r.Header.Get("Authorization") != "" {
			detail = "Invalid username/password."
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="api"`)
		apiError(w, http.StatusUnauthorized, detail)
		return
	case v == nil:
		apiError(w, http.StatusNotFound, "Not found.")
		return
	case !s.hasAccess(p, v, user): // the API knows no more
		apiAnswer(w, http.StatusForbidden, map[string]string{"error": "You do not have permission to access this project"})
		return
	}
	c, _ := openContent(v, manifestName)
	if c == nil {
		apiAnswer(w, http.StatusNotFound, map[string]string{"error": "SHA256SUMS.txt not found for this project"})
		return
	}
	defer c.close()
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("Content-Disposition", `attachment; filename="SHA256SUMS.txt"`)
	h.Set("Content-Length", strconv.FormatInt(c.size, 10))
	w.WriteHeader(http.StatusOK)
	_, _ = io.Copy(w, c.body) // the client may be gone
}

// apiAdmit checks credentials, if there are any, and the throttle. The status for bad
// credentials depends on the view.
func (s *Server) apiAdmit(w *response, r *http.Request, asks bool) bool {
	known := false
	if r.Header.Get("Authorization") != "" {
		if known = s.checkPassword(r) != nil; !known {
			code := http.StatusForbidden
			if asks {
				code = http.StatusUnauthorized
				w.Header().Set("WWW-Authenticate", `Basic realm="api"`)
			}
			apiError(w, code, "Invalid username/password.")
			return false
		}
	}
	limit := s.APIPerHour
	if limit <= 0 {
		limit = 20
	}
	if wait := s.throttle.take(s.now(), limit, known); wait > 0 {
		seconds := int(math.Ceil(wait.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		apiError(w, http.StatusTooManyRequests, fmt.Sprintf("Request was throttled. Expected available in %d seconds.", seconds))
		return false
	}
	return true
}

// describe renders the version at this index.
func (s *Server) describe(p *published, i int) apiProject {
	v := &p.Versions[i]
	a := apiProject{
		Slug: p.Slug, Version: v.Version, Title: p.Title,
		IsLatest:        v == p.latest(),
		PublishDate:     v.ModTime.UTC().Format(time.DateOnly),
		PublishDatetime: v.ModTime.UTC().Format(time.RFC3339),
		License:         map[string]string{"name": "Open Data Commons Open Database License v1.0"},
		MainSize:        v.Bytes,
		AccessPolicy:    policyWords[p.Policy],
		Topics:          []string{},
		id:              p.ids[i],
	}
	if s.NumericPolicy {
		a.AccessPolicy = p.Policy
	}
	if p.Policy != Open {
		a.DUA = map[string]string{"name": "Data Use Agreement"}
	}
	return a
}

// byID returns the indexes of the versions in the order of their publication.
func (p *published) byID() []int {
	order := make([]int, len(p.ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p.ids[a], p.ids[b]) })
	return order
}

func apiAnswer(w *response, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("lookalike: " + err.Error())
	}
	page(w, code, jsonType, body)
}

func apiError(w *response, code int, detail string) {
	apiAnswer(w, code, map[string]string{"detail": detail})
}

// throttle allows a number of requests in any hour, counted separately for anonymous
// clients and known users.
type throttle struct {
	mu     sync.Mutex
	passed [2][]time.Time
}

// take returns 0 if a request may pass, or else how long until one may.
func (t *throttle) take(now time.Time, perHour int, known bool) time.Duration {
	class := 0
	if known {
		class, perHour = 1, 5*perHour
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := slices.DeleteFunc(t.passed[class], func(at time.Time) bool { return now.Sub(at) >= time.Hour })
	t.passed[class] = recent
	if len(recent) >= perHour {
		return time.Hour - now.Sub(recent[0])
	}
	t.passed[class] = append(recent, now)
	return 0
}
