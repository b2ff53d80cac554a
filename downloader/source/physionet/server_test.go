package physionet

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A port that goes without saying makes no other server, and everything else does.
func TestSameServer(t *testing.T) {
	const here = "https://physionet.example/files/demo/1.0/a.csv"
	for other, want := range map[string]bool{
		"https://physionet.example/":              true,
		"https://physionet.example:443/x":         true,
		"https://PhysioNet.Example:443/":          true,
		"https://physionet.example:444/":          false,
		"http://physionet.example/":               false,
		"http://physionet.example:443/":           false,
		"https://alpha.physionet.example/":        false,
		"https://example/":                        false,
		"https://physionet.example.evil.example/": false,
		"https://physionet.example@evil.example/": false,
	} {
		if got := sameServer(address(t, here), address(t, other)); got != want {
			t.Errorf("sameServer(%s, %s) = %v, want %v", here, other, got, want)
		}
		if got := sameServer(address(t, other), address(t, here)); got != want {
			t.Errorf("sameServer(%s, %s) = %v, want %v", other, here, got, want)
		}
	}
}

// Cookies come from one server and go to it alone, whatever they say that they are for.
func TestCookiesStayWithTheirServer(t *testing.T) {
	here := address(t, "https://physionet.example:8443/files/")
	others := []string{
		"https://physionet.example/", "https://physionet.example:443/", "https://alpha.physionet.example:8443/", "https://example:8443/", "http://physionet.example:8443/",
		"https://evil.example:8443/",
	}
	j := newJar(here, mostCookieBytes)
	for _, other := range others {
		j.SetCookies(address(t, other), []*http.Cookie{{Name: "sessionid", Value: "planted", Path: "/", Domain: "physionet.example"}})
	}
	if got := j.Cookies(here); len(got) > 0 {
		t.Errorf("cookies of other servers go to %s: %v", here, got)
	}
	j.SetCookies(here, []*http.Cookie{{Name: "sessionid", Value: "ours", Path: "/", Domain: "physionet.example"}, {Name: "testcookie", Value: "1", Path: "/"}})
	if got := j.Cookies(here); len(got) != 2 {
		t.Errorf("%s gets %v back, want both cookies", here, got)
	}
	for _, other := range others {
		if got := j.Cookies(address(t, other)); len(got) > 0 {
			t.Errorf("%s gets %v", other, got)
		}
	}
}

// However many cookies come, and however large, few are kept, and that of the session
// is one of them.
func TestCookiesAreFew(t *testing.T) {
	here := address(t, "https://physionet.example/")
	j := newJar(here, mostCookieBytes)
	j.SetCookies(here, []*http.Cookie{{Name: "sessionid", Value: "ours", Path: "/"}})
	for i := range 10_000 {
		j.SetCookies(here, []*http.Cookie{{Name: fmt.Sprint("track", i), Value: fmt.Sprintf("%0*d", i%200, i), Path: "/"}})
	}
	for range 10 {
		j.SetCookies(here, []*http.Cookie{{Name: "huge", Value: string(make([]byte, 1<<20)), Path: "/"}})
	}
	kept, session := j.Cookies(here), false
	for _, c := range kept {
		session = session || c.Name == "sessionid" && c.Value == "ours"
	}
	if len(kept) > mostCookies || weight(kept...) > mostCookieBytes || !session {
		t.Errorf("%d cookies of %d bytes are kept, with that of the session: %v", len(kept), weight(kept...), session)
	}
}
