package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"mimicsync/daemon"
	"mimicsync/manifest"
)

// maxForm is far more than the longest form has.
const maxForm = 16 << 10

// verb does what a form asks for. The dataset that it returns is the one to show,
// if any.
type verb func(form url.Values) (dataset string, err error)

func (d *dashboard) verbs() map[string]verb {
	return map[string]verb{
		"pull": func(f url.Values) (string, error) {
			ref, err := manifest.ParseRef(strings.TrimSpace(f.Get("dataset")))
			if err != nil {
				return "", err
			}
			_, err = d.Daemon.Pull(daemon.PullRequest{Ref: ref})
			return ref.Dataset, err
		},
		"pause":  func(f url.Values) (string, error) { return f.Get("dataset"), d.Daemon.Pause(f.Get("dataset")) },
		"resume": func(f url.Values) (string, error) { return f.Get("dataset"), d.Daemon.Resume(f.Get("dataset")) },
		"cancel": func(f url.Values) (string, error) {
			id, err := strconv.ParseInt(f.Get("pass"), 10, 64)
			if err != nil {
				return "", fmt.Errorf("pass %q: %w", f.Get("pass"), daemon.ErrNoSuchPass)
			}
			return f.Get("dataset"), d.Daemon.Cancel(id)
		},
	}
}

// change returns the handler of a form. It leads back to the page, at the dataset
// that was changed, or shows the page with what went wrong.
func (d *dashboard) change(do verb) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !d.MayChange(r.Context()) { // a guard has said so already; without one, nobody may
			d.show(w, r, http.StatusForbidden, "Unlock changes first: enter the token.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "the form can't be read", http.StatusBadRequest)
			return
		}
		dataset, err := do(r.PostForm)
		switch {
		case errors.Is(err, daemon.ErrNotRunning), errors.Is(err, daemon.ErrNoSuchPass):
			// It ended while a hand moved to the button: what was wanted is so.
		case err != nil:
			d.show(w, r, status(err), sentenceOf(err.Error()))
			return
		}
		back := url.URL{Path: "/"}
		if dataset != "" {
			back.Fragment = elementID(dataset)
		}
		http.Redirect(w, r, back.String(), http.StatusSeeOther)
	}
}

func status(err error) int {
	switch {
	case errors.Is(err, manifest.ErrBadRef):
		return http.StatusBadRequest
	case errors.Is(err, daemon.ErrUnknown):
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}
