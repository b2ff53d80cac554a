package lookalike_test

import (
	"encoding/json"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
)

func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%s: %v in %q", a.Request.URL.Path, err, a.body)
	}
	return v
}

func TestAPIListsVersionsInOrderOfPublication(t *testing.T) {
	p := demo()
	p.Versions = []lookalike.Version{{Version: "1.0.0"}, {Version: "1.10.0", Bytes: 7}, {Version: "1.2.0"}}
	w := serve(t, lookalike.New(p, closedProject(lookalike.Credentialed)))

	versions := decode[[]map[string]any](t, w.get("/api/v1/projects/demo/versions/"))
	var got []any
	for _, v := range versions {
		got = append(got, v["version"])
	}
	if len(got) != 3 || got[0] != "1.0.0" || got[1] != "1.10.0" || got[2] != "1.2.0" {
		t.Errorf("versions = %v", got)
	}
	none := w.get("/api/v1/projects/none/versions/")
	none.want(t, 200, "Content-Type", "application/json")
	if string(none.body) != "[]" {
		t.Errorf("versions of an unknown project = %s, want []", none.body)
	}
	detail := decode[map[string]any](t, w.get("/api/v1/projects/demo/versions/1.10.0/"))
	if detail["main_storage_size"] != 7.0 || detail["is_latest_version"] != true {
		t.Errorf("detail = %v", detail)
	}
	w.get("/api/v1/projects/demo/versions/9/").want(t, 404)
	all := decode[[]map[string]any](t, w.get("/api/v1/projects/published/"))
	if len(all) != 4 || all[0]["version"] != "1.0.0" || all[3]["slug"] != "closed" || all[3]["access_policy"] != "Credentialed" {
		t.Errorf("published = %v", all)
	}
	found := decode[[]map[string]any](t, w.get("/api/v1/projects/search/?search_term=DEMO"))
	if len(found) != 2 || found[0]["version"] != "1.10.0" {
		t.Errorf("search = %v", found)
	}
}

func TestAPIThrottle(t *testing.T) {
	now := time.Now()
	s := lookalike.New(demo())
	s.Now = func() time.Time { return now }
	w := serve(t, s)
	for range 20 {
		w.get("/api/v1/projects/demo/versions/").want(t, 200)
		now = now.Add(time.Second)
	}
	a := w.get("/api/v1/projects/demo/versions/")
	a.want(t, 429, "Retry-After", "3580")
	if want := `{"detail":"Request was throttled. Expected available in 3580 seconds."}`; string(a.body) != want {
		t.Errorf("body = %s, want %s", a.body, want)
	}
	now = now.Add(3580 * time.Second)
	w.get("/api/v1/projects/demo/versions/").want(t, 200)
}

func TestAPICredentials(t *testing.T) {
	s := lookalike.New(demo(), closedProject(lookalike.Credentialed))
	s.AddUser(entitled())
	s.AddUser(lookalike.User{Name: "other", Password: "b"})
	w := serve(t, s)
	w.get("/api/v1/projects/published/", as("reader", "wrong")).want(t, 403)
	w.get("/api/v1/projects/demo/versions/", as("reader", "wrong")).want(t, 401, "WWW-Authenticate", `Basic realm="api"`)

	sums := "/api/v1/projects/published/closed/2.2/sha256sums/"
	curl := header("User-Agent", "curl/8")
	a := w.get(sums, curl, as("reader", "pässword:1"))
	a.want(t, 200, "Content-Type", "text/plain", "Content-Disposition", `attachment; filename="SHA256SUMS.txt"`)
	if string(a.body) != string(demoFiles.Manifest()) {
		t.Errorf("manifest = %q", a.body)
	}
	w.get(sums, curl).want(t, 401, "WWW-Authenticate", `Basic realm="api"`)
	w.get(sums, curl, as("reader", "wrong")).want(t, 401)
	w.get(sums, curl, as("other", "b")).want(t, 403)
	w.get("/api/v1/projects/published/demo/2.2/sha256sums/", curl).want(t, 401)
	w.get("/api/v1/projects/published/demo/2.2/sha256sums/", curl, as("other", "b")).want(t, 200)
	// The account is looked at before the dataset is.
	w.get("/api/v1/projects/published/none/1.0/sha256sums/", curl, as("other", "wrong")).want(t, 401)
	w.get("/api/v1/projects/published/none/1.0/sha256sums/", curl, as("other", "b")).want(t, 404, "Content-Type", "application/json")
}
