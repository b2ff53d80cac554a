package api

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

//go:embed login.html
var loginText string

var loginPage = template.Must(template.New("login").Parse(loginText))

// showLogin writes the form for the token, with an error if there is one.
func showLogin(w http.ResponseWriter, code int, wrong string) {
	var page bytes.Buffer
	if err := loginPage.Execute(&page, wrong); err != nil {
		panic("api: login.html: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(page.Bytes()) // a client that is gone needs no page
}

// refuse rejects a request in a form for its client: the login form for a browser that
// wants a page and can log in, plain text for other browsers, JSON for programs.
func refuse(w http.ResponseWriter, r *http.Request, code int, text, hint string) {
	browser := strings.Contains(r.Header.Get("Accept"), "text/html") && !strings.HasPrefix(r.URL.Path, "/api/")
	switch {
	case browser && code == http.StatusUnauthorized:
		showLogin(w, code, "This needs the daemon's token.")
	case browser:
		http.Error(w, text+": "+hint, code)
	default:
		if code == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="mimicsync"`)
		}
		writeJSON(w, code, problem{Error: text, Hint: hint})
	}
}
