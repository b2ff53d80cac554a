// Package dashboard is the page that a daemon shows in a browser: how much of each
// dataset is here, when the rest will be, what went wrong and what cures it.
//
// The page is rendered on the server from what the daemon says of itself, and
// complete without JavaScript. A script of its own keeps it live: it listens to
// GET /live, where the server sends the elements that have changed. Nothing is
// loaded from elsewhere, and nothing of a dataset's content is ever served.
//
// Changes are forms that POST. Who may send them is not decided here: a guard
// stands before the handler, and Options.MayChange only says whether the buttons
// are of use.
package dashboard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"time"

	"mimicsync/daemon"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed assets/*
var assets embed.FS

var parsed = template.Must(template.ParseFS(templates, "templates/*.html"))

// Options is what the page works with.
type Options struct {
	Daemon *daemon.Daemon
	// MayChange reports whether a guard let the request that ctx belongs to pass
	// with the right to change something.
	MayChange func(ctx context.Context) bool
	Logger    *slog.Logger // nil: nothing is logged
}

// dashboard answers for one daemon.
type dashboard struct {
	Options
	look  func() (snapshot, error) // what the page shows
	watch func() (changed <-chan struct{}, stop func())
	// readers has an item for each page that is kept live.
	readers chan struct{}
}

// New returns the page and what belongs to it: GET / and /live, /assets/, and POST
// /pull, /pause, /resume and /cancel.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &dashboard{Options: o, look: func() (snapshot, error) { return look(o.Daemon) }, watch: o.Daemon.Watch}
	return d.routes()
}

func (d *dashboard) routes() http.Handler {
	d.readers = make(chan struct{}, maxLive)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { d.show(w, r, http.StatusOK, "") })
	mux.HandleFunc("GET /live", d.live)
	for verb, do := range d.verbs() {
		mux.HandleFunc("POST /"+verb, d.change(do))
	}
	files, err := fs.ReadDir(assets, "assets")
	if err != nil {
		panic("dashboard: " + err.Error())
	}
	for _, f := range files {
		mux.HandleFunc("GET /assets/"+f.Name(), asset(f.Name()))
	}
	return secured(mux)
}

// show writes the page, with a notice at its top if there is one.
func (d *dashboard) show(w http.ResponseWriter, r *http.Request, code int, notice string) {
	s, err := d.look()
	if err != nil {
		d.Logger.ErrorContext(r.Context(), "read what the page shows", "err", err)
		http.Error(w, "the daemon's state cannot be read: "+err.Error(), http.StatusInternalServerError)
		return
	}
	p := newPage(s, d.MayChange(r.Context()))
	p.Notice = notice
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(render("page", p)) // who is gone needs no page
}

// render is infallible: the templates are part of the program, and a test renders
// them with all that a page can hold.
func render(name string, p *page) []byte {
	var b bytes.Buffer
	if err := parsed.ExecuteTemplate(&b, name, p); err != nil {
		panic("dashboard: " + err.Error())
	}
	return b.Bytes()
}

// asset serves a file of the program. Browsers ask each time whether it has
// changed, as it may with each version of the program.
func asset(name string) http.HandlerFunc {
	b, err := assets.ReadFile(path.Join("assets", name))
	if err != nil {
		panic("dashboard: " + err.Error())
	}
	sum := sha256.Sum256(b)
	tag := fmt.Sprintf("%q", hex.EncodeToString(sum[:8]))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
	}
}

// secured keeps a browser from doing with the page what it does not do itself:
// everything comes from this server, and no other site may frame it.
func secured(next http.Handler) http.Handler {
	const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " +
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		next.ServeHTTP(w, r)
	})
}
