package lookalike

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lab is a bucket of three objects that costs who reads it.
func lab() *GCS {
	g := NewGCS(Bucket{
		Name: "lab", RequesterPays: true, Readers: []string{"alice@example.org"},
		Objects: Generated([]GeneratedFile{
			{Path: "a b/c+%.csv", Data: []byte("0123456789")}, {Path: "hosp/x.csv", Size: 100_000}, {Path: "secret.csv", Size: 3},
		}),
		Denied: func(path string) bool { return path == "secret.csv" },
	})
	g.PutAccount(Account{Email: "alice@example.org", RefreshToken: "alice's", Projects: []string{"p", "broke"}})
	g.CloseBilling("broke")
	return g
}

func ask(t *testing.T, g *GCS, path, token string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w.Result()
}

func logInAsAlice(t *testing.T, g *GCS) (token string, status int) {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"alice's"}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Token, w.Code
}

func TestGCSAnswers(t *testing.T) {
	g := lab()
	token, _ := logInAsAlice(t, g)
	const object = "/lab/a%20b%2Fc+%25.csv"
	whole := ask(t, g, object, token, "X-Goog-User-Project", "p")
	current := whole.Header.Get("X-Goog-Generation")
	if want := "crc32c=KAwGng=="; whole.Header.Get("X-Goog-Hash") != want {
		t.Errorf("the checksum is %s, want %s", whole.Header.Get("X-Goog-Hash"), want)
	}
	for _, c := range []struct {
		path, token string
		headers     []string
		status      int
		body        string // part of it
	}{
		{object, token, []string{"X-Goog-User-Project", "p"}, 200, "0123456789"},
		{object, token, []string{"X-Goog-User-Project", "p", "Range", "bytes=4-6"}, 206, "456"},
		{object, token, []string{"X-Goog-User-Project", "p", "Range", "bytes=10-"}, 416, "InvalidRange"},
		{object + "?generation=" + current, token, []string{"X-Goog-User-Project", "p"}, 200, "0123456789"},
		{object + "?generation=1", token, []string{"X-Goog-User-Project", "p"}, 404, "NoSuchKey"},
		{object, token, []string{"X-Goog-User-Project", "p", "X-Goog-If-Generation-Match", "1"}, 412, "PreconditionFailed"},
		{object, token, []string{"X-Goog-User-Project", "p", "X-Goog-If-Generation-Not-Match", current}, 304, ""},
		{object, token, nil, 400, "UserProjectMissing"},
		{object, "", []string{"X-Goog-User-Project", "p"}, 401, "requires authentication"},
		{object, "stale", []string{"X-Goog-User-Project", "p"}, 401, "Invalid Credentials"},
		{object, token, []string{"X-Goog-User-Project", "another"}, 403, "serviceusage.services.use"},
		{object, token, []string{"X-Goog-User-Project", "broke"}, 403, "UserProjectAccountProblem"},
		{"/lab/secret.csv", token, []string{"X-Goog-User-Project", "p"}, 403, "alice@example.org does not have storage.objects.get"},
		{"/lab/missing", token, []string{"X-Goog-User-Project", "p"}, 404, "NoSuchKey"},
		{"/missing/x", token, []string{"X-Goog-User-Project", "p"}, 404, "NoSuchBucket"},
		{"/storage/v1/b/missing/o", token, nil, 404, `"reason":"notFound"`},
		{"/storage/v1/b/lab/o", token, nil, 400, `"message":"Bucket is a requester pays bucket but no user project provided."`},
	} {
		answer := ask(t, g, c.path, c.token, c.headers...)
		text := readAll(t, answer)
		if answer.StatusCode != c.status || !strings.Contains(text, c.body) {
			t.Errorf("%s %v = %d %s, want %d %s", c.path, c.headers, answer.StatusCode, text, c.status, c.body)
		}
	}
}

func readAll(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestGCSPages(t *testing.T) {
	g := lab()
	token, _ := logInAsAlice(t, g)
	var names []string
	pages, next := 0, ""
	for more := true; more; more = next != "" {
		path := "/storage/v1/b/lab/o?userProject=p&maxResults=2&pageToken=" + next
		var listing struct {
			Items         []struct{ Name, Size string }
			NextPageToken string
		}
		answer := ask(t, g, path, token)
		if err := json.NewDecoder(answer.Body).Decode(&listing); err != nil {
			t.Fatal(err)
		}
		for _, item := range listing.Items {
			names = append(names, item.Name+" "+item.Size)
		}
		pages, next = pages+1, listing.NextPageToken
	}
	want := []string{"a b/c+%.csv 10", "hosp/x.csv 100000", "secret.csv 3"}
	if diff := cmp.Diff(want, names); diff != "" || pages != 2 {
		t.Errorf("%d pages, want 2; (-want +got):\n%s", pages, diff)
	}
}

func TestGCSListingLinksToTheObjects(t *testing.T) {
	g := lab()
	token, _ := logInAsAlice(t, g)
	var listing struct{ Items []struct{ MediaLink string } }
	answer := ask(t, g, "/storage/v1/b/lab/o?userProject=p&maxResults=1", token)
	if err := json.NewDecoder(answer.Body).Decode(&listing); err != nil || len(listing.Items) != 1 {
		t.Fatalf("the listing has %d items, error %v, want one", len(listing.Items), err)
	}
	link := listing.Items[0].MediaLink
	if text := readAll(t, ask(t, g, link, token, "X-Goog-User-Project", "p")); text != "0123456789" {
		t.Errorf("%s leads to %q, want the object", link, text)
	}
}

func TestGCSLoginExpires(t *testing.T) {
	g := lab()
	token, status := logInAsAlice(t, g)
	if status != http.StatusOK {
		t.Fatalf("the login answers %d, want 200", status)
	}
	g.PutAccount(Account{Email: "alice@example.org", RefreshToken: "alice's", Expired: true})
	if answer := ask(t, g, "/lab/hosp/x.csv", token, "X-Goog-User-Project", "p"); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a read answers %d, want 401", answer.StatusCode)
	}
	if _, status := logInAsAlice(t, g); status != http.StatusBadRequest {
		t.Errorf("the login answers %d, want 400", status)
	}
}
