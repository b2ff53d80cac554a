package lookalike

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is the kind of a fault.
type Kind int

// The kinds of faults. "After" and the other fields are those of [Fault].
const (
	// Stall sends After bytes of the body, nothing for Duration, and then the rest.
	// Duration 0 lasts until the client disconnects.
	Stall Kind = iota + 1
	// Reset sends After bytes of the body and then resets the connection; it does so before the headers if After is negative.
	Reset
	// ShortBody announces the full length, sends After bytes and closes the connection
	// properly.
	ShortBody
	// Status answers with Code, the page that PhysioNet sends with it, and RetryAfter as the Retry-After header if not empty.
	Status
	// Corrupt inverts the byte at the file's offset After. It doesn't strike a response
	// without that byte.
	Corrupt
	// HTMLPage answers 200 with a login page instead of the file.
	HTMLPage
	// ChangeETag makes the file a second younger from this request on, as if it had been
	// copied again. At GCS the file gets another generation.
	ChangeETag
	// IgnoreRange answers a request for a range with 200 and the whole file.
	IgnoreRange
	// WrongRange answers a request for a range with another range, correctly labelled,
	// which starts at After.
	WrongRange
	// NoLength sends the body in chunks, without a Content-Length.
	NoLength
	// Slow sends the body at Rate bytes a second.
	Slow
	// Delay waits for Duration before the request is handled; forever if 0.
	Delay
	// DropSession forgets all sessions and access tokens before the request is handled.
	DropSession
)

// Fault is something that goes wrong with the requests that it matches. Faults of a body
// strike only files and manifests that are about to be sent, in full or in part, so that a
// 401 at first doesn't use them up; Status, Delay, DropSession and a Reset before the
// headers strike any request.
type Fault struct {
	Kind Kind
	// Path matches a request by its decoded path; an empty one matches all. A pattern without a slash is compared with the last
	// element, one that starts with a slash with the whole path, any other with the path's end: "*.csv.gz", "hosp/*",
	// "/files/mimiciv/3.1/**". The elements are those of path.Match, and ** stands for any number of elements.
	Path string
	// Match, if not nil, must accept the request, too. It is called with a lock held, and
	// must not call the server.
	Match func(*http.Request) bool
	// Skip is how many matching requests pass unharmed before the first strike.
	Skip int
	// Times is how often the fault strikes; 0 is always.
	Times int

	After      int64         // see the kinds
	Duration   time.Duration // of Stall and Delay; Status waits as long before it answers
	Code       int           // of Status
	Reason     string        // of Status, at an [S3]: the error's code, like "SlowDown"; the usual one for Code if empty
	RetryAfter string        // of Status
	Rate       int64         // of Slow
}

// Injected is a fault of a server.
type Injected struct {
	fault  Fault
	passed int // guarded by faults.mu
	struck atomic.Int64
	owner  *faults
}

// Struck is how often the fault has struck.
func (i *Injected) Struck() int { return int(i.struck.Load()) }

// Remove ends the fault.
func (i *Injected) Remove() { i.owner.remove(i) }

// Inject adds a fault. If several match a request at the same moment, the one injected
// first strikes. It panics if the fault's pattern is malformed.
func (h *Host) Inject(f Fault) *Injected {
	if _, err := path.Match(f.Path, ""); err != nil {
		panic("lookalike: malformed pattern " + f.Path)
	}
	return h.faults.add(f)
}

// ClearFaults removes all faults. What ChangeETag has done stays.
func (h *Host) ClearFaults() { h.faults.clear() }

// moment is the point of a request where a fault strikes.
type moment int

const (
	onArrival moment = iota // nothing is known but the request
	onOpen                  // the file is known, its validators are not
	onPage                  // the same, to replace the file by a page
	onRange                 // a valid Range header is about to be obeyed
	onSend                  // the part to send is known
)

func (f *Fault) moment() moment {
	switch f.Kind {
	case Status, Delay, DropSession:
		return onArrival
	case Reset:
		if f.After < 0 {
			return onArrival
		}
		return onSend
	case ChangeETag:
		return onOpen
	case HTMLPage:
		return onPage
	case IgnoreRange:
		return onRange
	default:
		return onSend
	}
}

// applies reports whether the fault makes a difference to a response that sends this part.
func (f *Fault) applies(part span) bool {
	switch f.Kind {
	case Stall, ShortBody:
		return f.After < part.length()
	case Reset:
		return f.After < 0 || f.After < part.length()
	case Corrupt:
		return part.start <= f.After && f.After < part.end
	case WrongRange:
		return part.partial && f.After != part.start && f.After < part.end
	default:
		return true
	}
}

func (f *Fault) matches(r *http.Request) bool {
	return matchPath(f.Path, r.URL.Path) && (f.Match == nil || f.Match(r))
}

// faults are those of one server. Requests pay for them only while there are any.
type faults struct {
	active atomic.Bool // whether there has ever been a fault since the last clear

	mu    sync.Mutex
	list  []*Injected
	aged  map[string]int // by path: how often ChangeETag has struck
	total atomic.Int64
}

func (fa *faults) add(f Fault) *Injected {
	fa.mu.Lock()
	defer fa.mu.Unlock()
	i := &Injected{fault: f, owner: fa}
	fa.list = append(fa.list, i)
	fa.active.Store(true)
	return i
}

func (fa *faults) remove(i *Injected) {
	fa.mu.Lock()
	defer fa.mu.Unlock()
	fa.list = slices.DeleteFunc(fa.list, func(other *Injected) bool { return other == i })
}

func (fa *faults) clear() {
	fa.mu.Lock()
	defer fa.mu.Unlock()
	fa.list = nil
	fa.active.Store(len(fa.aged) > 0)
}

// claim returns the fault that strikes the request at this moment, or nil.
func (fa *faults) claim(m moment, r *http.Request, part span) *Fault {
	if !fa.active.Load() {
		return nil
	}
	fa.mu.Lock()
	defer fa.mu.Unlock()
	for _, i := range fa.list {
		f := &i.fault
		if f.moment() != m || (f.Times > 0 && i.Struck() >= f.Times) || !f.matches(r) || !f.applies(part) {
			continue
		}
		if i.passed < f.Skip {
			i.passed++
			continue
		}
		i.struck.Add(1)
		fa.total.Add(1)
		return f
	}
	return nil
}

// age returns the modification time that the request's file has after all strikes of ChangeETag, including this request's.
func (fa *faults) age(r *http.Request, mtime time.Time) time.Time {
	if !fa.active.Load() {
		return mtime
	}
	strikes := r.Method == http.MethodGet && fa.claim(onOpen, r, span{}) != nil
	fa.mu.Lock()
	defer fa.mu.Unlock()
	if strikes {
		if fa.aged == nil {
			fa.aged = make(map[string]int)
		}
		fa.aged[r.URL.Path]++
	}
	return mtime.Add(time.Duration(fa.aged[r.URL.Path]) * time.Second)
}

// matchPath is described at Fault.Path.
func matchPath(pattern, name string) bool {
	switch {
	case pattern == "":
		return true
	case !strings.Contains(pattern, "/"):
		ok, _ := path.Match(pattern, path.Base(name))
		return ok
	case pattern[0] != '/':
		pattern = "/**/" + pattern
	}
	return matchElements(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func matchElements(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for skip := range len(name) + 1 {
				if matchElements(pattern[1:], name[skip:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, _ := path.Match(pattern[0], name[0]); !ok {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}
