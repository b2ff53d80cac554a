package progress

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Host is the host of a source, as far as its waits concern a pass.
type Host interface {
	Name() string // of the source
	// Paused says why a request would have to wait now, and until when if known. The reason
	// is empty if one may start.
	Paused() (until time.Time, why string)
}

// askedSources are the sources that a pass asks for its manifest, and for the rest.
type askedSources struct {
	authority Host
	others    []Host
}

// holds are waits for the budgets of a pass, which nobody reports, and since when each was
// seen. Safe for concurrent use.
type holds struct {
	mu    sync.Mutex
	since map[string]time.Time // by the name of the source
}

// Asks notes which sources the pass will ask. Safe on a nil Progress.
func (p *Progress) Asks(authority Host, others []Host) {
	if p != nil {
		p.sources.Store(&askedSources{authority, others})
	}
}

// itsTurn is how long a wait for a connection stays untold: passes that share a few take
// turns.
const itsTurn = time.Second

// held returns what blocks the next request of a pass, although no request of its own was
// refused: a pause that the host asked of another pass, or the connections of other passes.
// A pass with another source to ask, or with requests in flight, is not blocked.
func (p *Progress) held() []Wait {
	asked := p.sources.Load()
	var sources []Host
	switch phase := Phase(p.Phase.Load()); {
	case asked == nil || p.Connections.Load() > 0:
	case phase == PhaseManifest:
		sources = []Host{asked.authority}
	case phase == PhaseTransfer:
		sources = asked.others
	}
	p.holds.mu.Lock()
	defer p.holds.mu.Unlock()
	now, since := time.Now(), map[string]time.Time{}
	var all []Wait
	for _, b := range sources {
		until, why := b.Paused()
		if why == "" {
			continue
		}
		w := Wait{For: b.Name(), Why: why, Since: now, Until: until}
		if was, ok := p.holds.since[b.Name()]; ok {
			w.Since = was
		}
		since[b.Name()] = w.Since
		if until.IsZero() && now.Sub(w.Since) < itsTurn {
			continue
		}
		all = append(all, w)
	}
	p.holds.since = since
	if len(all) < len(sources) {
		return nil
	}
	return all
}

// Tell makes Waits return what another process says that its pass waits for.
func (p *Progress) Tell(waits []Wait) { p.told.Store(&waits) }

// Foremost returns the wait that deserves the place of a pass's numbers: a wait of all
// requests to a source, unless bytes still arrive, from another source, on an open
// connection, or in turn with other passes; or else, if the pass has no request in flight,
// the object that is retried first. Waits are as Progress.Waits returns them.
func Foremost(waits []Wait, requests int64, flows bool) (first Wait, ok bool) {
	for _, w := range waits {
		switch {
		case requests > 0 && (flows || w.Object != ""):
		case flows && w.Object == "" && w.Until.IsZero(): // the connections go round
		case w.Object == "":
			return w, true
		case !ok, !w.Until.IsZero() && (first.Until.IsZero() || w.Until.Before(first.Until)):
			first, ok = w, true
		}
	}
	return first, ok
}

// addresses match what an error says about its request and a wait says in other words:
// method and URL.
var addresses = regexp.MustCompile(`(?:[A-Z][a-z]+ "https?://[^"]*"|https?://[^\s"]+?|(?:s3|gs)://[^"]+?): `)

// statuses match an HTTP status alone at the end of an error.
var statuses = regexp.MustCompile(`\bstatus (\d{3})$`)

// phrases put the words of the network into plain ones. The first match counts.
var phrases = []struct {
	said  *regexp.Regexp
	words string
}{
	{regexp.MustCompile(`^the server closed the connection without an answer: .*`), "it closed the connection without an answer"},
	{regexp.MustCompile(`proxyconnect tcp: dial tcp (\S+): connect: connection refused`), "the proxy $1 refuses connections"},
	{regexp.MustCompile(`proxyconnect tcp: dial tcp (\S+): i/o timeout`), "the proxy $1 does not answer"},
	{regexp.MustCompile(`dial tcp (\S+): connect: connection refused`), "$1 refuses connections"},
	{regexp.MustCompile(`dial tcp (\S+): i/o timeout`), "$1 does not answer"},
	{regexp.MustCompile(`dial tcp (\S+): connect: (no route to host|network is unreachable)`), "$1 cannot be reached ($2)"},
	{regexp.MustCompile(`dial tcp: lookup (\S+)( on \S+)?: no such host`), "no address is known of $1"},
	{regexp.MustCompile(`(read tcp \S+->\S+: read: connection reset by peer|(unexpected )?EOF)$`), "the connection was cut"},
}

// brief is the reason of a wait without what the line around it already says, and with a
// word for a status.
func brief(source, why string) string {
	why = addresses.ReplaceAllString(why, "")
	if does, ok := strings.CutPrefix(why, source+" "); ok {
		why = "it " + does
	}
	for _, p := range phrases {
		if p.said.MatchString(why) {
			return p.said.ReplaceAllString(why, p.words)
		}
	}
	return statuses.ReplaceAllStringFunc(why, func(status string) string {
		code, _ := strconv.Atoi(strings.TrimPrefix(status, "status "))
		word := strings.ToLower(http.StatusText(code))
		if code == http.StatusServiceUnavailable {
			word = "busy"
		}
		if word == "" {
			return status
		}
		return status + " (" + word + ")"
	})
}

// Retried counts an attempt that failed and is repeated. Safe on a nil Progress.
func (p *Progress) Retried() {
	if p != nil {
		p.Retries.Add(1)
	}
}
