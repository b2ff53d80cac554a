package lookalike_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
)

const wget = "Wget/1.21 (compatible; mimicsync/test)"

var (
	demoFiles = lookalike.Generated([]lookalike.GeneratedFile{
		{Path: "LICENSE.txt", Data: []byte("free\n")},
		{Path: "README.html", Data: []byte("<html>" + strings.Repeat("read me ", 100) + "</html>")},
		{Path: "empty.csv", Data: []byte{}},
		{Path: ".hidden", Data: []byte("x")},
		{Path: "hosp/admissions.csv.gz", Size: 100_000},
		{Path: "hosp/patients.csv", Data: []byte("subject_id,gender\n1,F\n")},
		{Path: "hosp/a b+c&d.txt", Data: []byte("x")},
		{Path: "hosp/" + strings.Repeat("long", 15) + ".txt", Data: []byte("x")},
		{Path: "site/index.html", Data: []byte("<html>shadow</html>")},
		{Path: "site/data.csv", Data: []byte("x")},
	})
	demoTime = time.Date(2026, time.November, 22, 5, 29, 0, 0, time.UTC)
)

func demo() lookalike.Project {
	return lookalike.Project{Slug: "demo", Title: "The Demo", Versions: []lookalike.Version{
		{Version: "2.2", Files: demoFiles, Manifest: demoFiles.Manifest(), Bytes: demoFiles.Bytes(), ModTime: demoTime},
	}}
}

func closedProject(policy lookalike.Policy) lookalike.Project {
	p := demo()
	p.Slug, p.Policy = "closed", policy
	return p
}

// site is a look-alike behind TLS, with a client that follows no redirects and asks for no compression.
type site struct {
	*lookalike.Server
	t      *testing.T
	url    string
	client *http.Client
}

func serve(t *testing.T, s *lookalike.Server) *site {
	t.Helper()
	ts := httptest.NewUnstartedServer(s)
	s.Attach(ts.Config)
	ts.StartTLS()
	t.Cleanup(ts.Close)
	t.Cleanup(s.Close)
	client := ts.Client()
	tr, ok := client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("client has a %T", client.Transport)
	}
	tr.DisableCompression = true
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &site{Server: s, t: t, url: ts.URL, client: client}
}

func (s *site) keepCookies() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.client.Jar = jar
}

// answer is a response read to its end.
type answer struct {
	*http.Response
	body []byte
	err  error // of reading the body
}

type option func(*http.Request)

func header(k, v string) option { return func(r *http.Request) { r.Header.Set(k, v) } }

func as(user, password string) option {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// do sends a request. Its program is the one that PhysioNet lets use Basic, unless an option says otherwise.
func (s *site) do(method, path string, options ...option) answer {
	s.t.Helper()
	a, err := s.try(method, path, options...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (s *site) get(path string, options ...option) answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, options...)
}

func (s *site) try(method, path string, options ...option) (answer, error) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("User-Agent", wget)
	for _, o := range options {
		o(r)
	}
	res, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return answer{res, body, err}, nil
}

// want fails the test unless the answer has this status and these headers, in pairs; an empty value means that it is absent.
func (a answer) want(t *testing.T, status int, headers ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s: status = %d, want %d", a.Request.URL.Path, a.StatusCode, status)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if got := a.Header.Get(headers[i]); got != headers[i+1] {
			t.Errorf("%s: %s = %q, want %q", a.Request.URL.Path, headers[i], got, headers[i+1])
		}
	}
}

func TestRedirectLeadsToNewestVersionByNumber(t *testing.T) {
	p := demo()
	p.Versions = []lookalike.Version{{Version: "1.0.0"}, {Version: "1.10.0"}, {Version: "1.2.0"}}
	s := serve(t, lookalike.New(p))

	s.get("/content/demo/").want(t, 302, "Location", "/content/demo/1.10.0/")
	s.do(http.MethodHead, "/content/demo/").want(t, 302, "Location", "/content/demo/1.10.0/")
	s.get("/content/demo").want(t, 301, "Location", "/content/demo/")
	s.get("/content/demo/1.2.0").want(t, 301, "Location", "/content/demo/1.2.0/")
	s.get("/content/demo/1.2.0/").want(t, 200, "Content-Type", "text/html; charset=utf-8")
	s.get("/content/demo/9/").want(t, 404)
	s.get("/content/none/").want(t, 404)
	s.get("/content/demo/get-zip/1.2.0/").want(t, 404)

	p.Versions = append(p.Versions, lookalike.Version{Version: "2.0.0"})
	s.Publish(p)
	s.get("/content/demo/").want(t, 302, "Location", "/content/demo/2.0.0/")
}

func TestOddCorners(t *testing.T) {
	s := serve(t, lookalike.New(demo()))
	if got := string(s.get("/robots.txt").body); got != `User-Agent: *\Allow: /` {
		t.Errorf("robots.txt = %q", got)
	}
	s.get("/ping/").want(t, 200)
	s.get("/").want(t, 404)
	s.do(http.MethodPost, "/files/demo/2.2/LICENSE.txt").want(t, 403)
}

func TestTheTwoKindsOf404(t *testing.T) {
	s := serve(t, lookalike.New(demo()))
	for _, path := range []string{"/files/none/2.2/LICENSE.txt", "/files/demo/2.3/LICENSE.txt"} {
		a := s.get(path)
		a.want(t, 404, "Content-Disposition", "")
		if len(a.body) < 4000 || len(a.body) > 5000 {
			t.Errorf("%s: Django's page has %d bytes, want about 4,500", path, len(a.body))
		}
	}
	for _, path := range []string{"/files/demo/2.2/none.csv", "/files/demo/2.2/none/", "/files/demo/2.2/LICENSE.txt/", "/files/demo/2.2/hosp/..%2F..%2Fx"} {
		a := s.get(path)
		a.want(t, 404, "ETag", "")
		if len(a.body) != 153 {
			t.Errorf("%s: nginx's page has %d bytes, want 153", path, len(a.body))
		}
	}
	s.get("/files/demo/2.2/none.csv").want(t, 404, "Content-Disposition", "inline; filename=none.csv")
}

func TestCountersAndLog(t *testing.T) {
	s := lookalike.New(demo())
	s.Record = true
	w := serve(t, s)
	w.get("/files/demo/2.2/hosp/admissions.csv.gz", header("Range", "bytes=0-999"), as("a", "b"))
	w.get("/files/demo/2.2/SHA256SUMS.txt")
	w.get("/files/demo/2.2/none")
	w.get("/api/v1/projects/none/versions/")

	c := s.Counters()
	if c.Requests != 4 || c.Files != 1 || c.Manifests != 1 || c.API != 1 || c.PasswordChecks != 1 {
		t.Errorf("Counters = %+v", c)
	}
	if c.ByStatus[206] != 1 || c.ByStatus[200] != 2 || c.ByStatus[404] != 1 {
		t.Errorf("ByStatus = %v", c.ByStatus)
	}
	if c.Conns != 1 || c.MaxConns != 1 || c.Protocols["HTTP/1.1"] != 4 || c.UserAgents[wget] != 4 {
		t.Errorf("Conns %d, MaxConns %d, Protocols %v, UserAgents %v", c.Conns, c.MaxConns, c.Protocols, c.UserAgents)
	}
	log := s.Requests()
	if len(log) != 4 {
		t.Fatalf("Requests has %d entries, want 4", len(log))
	}
	if r := log[0]; r.Range != "bytes=0-999" || r.Status != 206 || r.Bytes != 1000 || !r.Authorization || r.Cookie {
		t.Errorf("Requests[0] = %+v", r)
	}
	s.Reset()
	if c := s.Counters(); c.Requests != 0 || c.BytesSent != 0 || len(c.ByStatus) != 0 || len(s.Requests()) != 0 {
		t.Errorf("after Reset, Counters = %+v", c)
	}
}
