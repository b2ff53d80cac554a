package lookalike_test

import (
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
)

func TestListing(t *testing.T) {
	w := serve(t, lookalike.New(demo()))
	a := w.get("/files/demo/2.2/")
	a.want(t, 200, "Content-Type", "text/html; charset=utf-8", "Content-Length", "", "Etag", "", "Last-Modified", "")
	for _, line := range []string{
		"<html>\r\n<head><title>Index of /static/published-projects/demo/2.2/</title></head>\r\n<body>\r\n<h1>",
		"<hr><pre><a href=\"../\">../</a>\r\n<a href=\"hosp/\">hosp/</a>                                              22-Nov-2026 05:29                   -\r\n",
		"<a href=\"LICENSE.txt\">LICENSE.txt</a>                                        22-Nov-2026 05:29                   5\r\n",
		"<a href=\"SHA256SUMS.txt\">",
		"</pre><hr></body>\r\n</html>\r\n",
	} {
		if !strings.Contains(string(a.body), line) {
			t.Errorf("listing lacks %q:\n%s", line, a.body)
		}
	}
	if strings.Contains(string(a.body), ".hidden") {
		t.Error("listing shows a dot-file")
	}

	sub := string(w.get("/files/demo/2.2/hosp/").body)
	for _, line := range []string{
		`<a href="a%20b%2Bc%26d.txt">a b+c&amp;d.txt</a>`,
		`longlonglong.txt">` + strings.Repeat("long", 15)[:47] + `..&gt;</a> 22-Nov-2026`,
	} {
		if !strings.Contains(sub, line) {
			t.Errorf("listing lacks %q:\n%s", line, sub)
		}
	}
	if got := w.Counters().Listings; got != 2 {
		t.Errorf("Listings = %d, want 2", got)
	}
}

func TestIndexShadowsListing(t *testing.T) {
	w := serve(t, lookalike.New(demo()))
	if got := string(w.get("/files/demo/2.2/site/").body); got != "<html>shadow</html>" {
		t.Errorf("body = %q", got)
	}
}

func TestListingIsCompressed(t *testing.T) {
	w := serve(t, lookalike.New(demo()))
	w.get("/files/demo/2.2/", header("Accept-Encoding", "gzip")).want(t, 200, "Content-Encoding", "gzip")
}
