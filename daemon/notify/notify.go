// Package notify tells people and programs what a daemon did: it runs hooks, calls webhooks
// and sends mail.
//
// Each Notifier has its own time limit and gives up after a few attempts: the log and the
// history of passes have what it couldn't deliver. None knows the daemon's secrets, and
// none of their own reach a log or an error.
package notify

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Kind is what happened.
type Kind string

// The kinds of events.
const (
	Complete Kind = "complete" // a pass ended and everything is there; sent if it changed something
	Failure  Kind = "failure"  // a pass ended early or incomplete; once, until that changes
	Recovery Kind = "recovery" // the first complete pass after a Failure
	Parked   Kind = "parked"   // a person must act: agreement, account
	NoSpace  Kind = "no_space" // the disk is full; passes wait
	Rot      Kind = "rot"      // a verification found wrong files
	Mirror   Kind = "mirror"   // the mirror's folder is gone, for example because its disk was unmounted
)

// Event is something that people may want to know. It contains no secrets.
type Event struct {
	Kind    Kind      `json:"event"`
	Time    time.Time `json:"time"`
	Host    string    `json:"host"` // of the daemon
	Mirror  string    `json:"mirror"`
	Dataset string    `json:"dataset,omitempty"`
	Version string    `json:"version,omitempty"`
	Text    string    `json:"text"`           // what happened, in a sentence
	Cure    string    `json:"cure,omitempty"` // the page to open or the command to type
	// Changes is a file that lists what changed in the version since its last complete pass. It
	// is missing if nothing has changed yet.
	Changes string `json:"changes_file,omitempty"`
	// The results of the pass.
	Fetched      int64   `json:"files_fetched"`
	FetchedBytes int64   `json:"bytes_fetched"`
	Linked       int64   `json:"files_linked"`
	Failed       int64   `json:"files_failed"`
	Elapsed      float64 `json:"elapsed_s"`
}

// Kinds are all kinds of events.
var Kinds = []Kind{Complete, Failure, Recovery, Parked, NoSpace, Rot, Mirror}

// wanted are the kinds that a Notifier receives: all if none is named.
type wanted []Kind

func (w wanted) Wants(k Kind) bool { return len(w) == 0 || slices.Contains(w, k) }

var titles = map[Kind]string{
	Complete: "complete",
	Failure:  "failed",
	Recovery: "complete again",
	Parked:   "needs you",
	NoSpace:  "no space left",
	Rot:      "damaged files found",
	Mirror:   "the mirror is gone",
}

// Subject is the event in a few words, like "mimic-cxr 2.1.0: needs you".
func (e Event) Subject() string {
	about := strings.TrimSpace(e.Dataset + " " + e.Version)
	if about == "" {
		about = "mimicsync"
	}
	title := titles[e.Kind]
	if title == "" {
		title = string(e.Kind)
	}
	return about + ": " + title
}

// Message is the whole event, in lines for people.
func (e Event) Message() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", e.Subject(), e.Text)
	if e.Cure != "" {
		fmt.Fprintf(&b, "What to do: %s\n", e.Cure)
	}
	fmt.Fprintf(&b, "%s, mirror %s on %s\n", e.Time.Format("Mon 2006-01-02 15:04 MST"), e.Mirror, e.Host)
	return seen(b.String())
}

// seen makes the control characters of a text visible: a part of the text may be a
// server's.
func seen(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsGraphic(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// Notifier delivers events. It keeps to its own time limit and to ctx. One goroutine at a
// time calls it.
type Notifier interface {
	// Name is for logs, like "webhook https://chat.example.org"; without secrets.
	Name() string
	// Wants reports whether to deliver events of a kind.
	Wants(Kind) bool
	Notify(ctx context.Context, e Event) error
}
