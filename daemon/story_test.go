package daemon_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// until sleeps until a day of January 2000, where synctest's clock begins on a
// Saturday, as in "02 03:00".
func (r *rig) until(when string) {
	r.t.Helper()
	at, err := time.Parse("2006-01-02 15:04", "2000-01-"+when)
	must(r.t, err)
	if !at.After(time.Now()) {
		r.t.Fatalf("it is %s, after %s", time.Now(), when)
	}
	time.Sleep(time.Until(at))
	synctest.Wait()
}

// wantAsked fails the test unless just these manifests were asked for since the
// last call, as in "02 07:30 demo@1.0".
func (r *rig) wantAsked(want ...string) {
	r.t.Helper()
	if got := r.library.readDiary(); !slices.Equal(got, want) {
		r.t.Errorf("until %s, the manifests were asked for\n%s\nwant\n%s", time.Now().UTC().Format("02 15:04"), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wantLooks checks that a manifest which a person must do something for was asked for
// now and then: each time by one request, and at most every five minutes of the 24
// hours that the run windows are open in.
func (r *rig) wantLooks(manifests ...string) {
	r.t.Helper()
	looks := map[string]int{}
	for _, line := range r.library.readDiary() {
		looks[line[len("02 15:04 "):]]++
	}
	for _, m := range manifests {
		if n := looks[m]; n < 12 || n > 24*12+4 {
			r.t.Errorf("until %s, the manifest of %s was asked for in %d minutes, want every five minutes or less", time.Now().UTC().Format("02 15:04"), m, n)
		}
	}
}

// a month's datasets: demo and notes follow the newest version, waves stays at 1.0.
func january(t *testing.T) (*library, daemon.Settings) {
	l := newLibrary()
	l.publish(ref(t, "demo@1.0"), numbered("demo", 100, "first"))
	l.publish(ref(t, "notes@1.0"), numbered("notes", 10, "first"))
	l.publish(ref(t, "waves@1.0"), numbered("waves", 10, "first"))
	spread, err := daemon.ParseSchedule("0 22 * * *", "UTC", time.Hour, "waves")
	must(t, err)
	if minutes := spread.Next(time.Now()).Minute(); minutes != 52 {
		t.Fatalf("the jitter of waves is %d minutes", minutes)
	}
	windows, err := daemon.ParseWindows([]string{"20:00-08:00"}, "UTC")
	must(t, err)
	return l, daemon.Settings{
		Datasets: []daemon.Dataset{
			{Ref: ref(t, "demo"), Schedule: schedule(t, "30 7 * * *")},
			{Ref: ref(t, "notes"), Schedule: schedule(t, "0 12 * * *")},
			{Ref: ref(t, "waves@1.0"), Schedule: spread},
		},
		Windows: windows,
		Scrub:   daemon.Scrub{Schedule: schedule(t, "0 5 * * Sun")},
	}
}

// numbered are files with content of their own.
func numbered(name string, n int, content string) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("%03d.csv", i)] = fmt.Sprintf("%s %d %s\n", name, i, content)
	}
	return files
}

// denial is what PhysioNet says to an account.
func denial(d source.Denial, of manifest.Ref) error {
	return &source.AccessError{Denial: d, Ref: of, Source: "library", User: "ada"}
}

// A month in the life of a daemon, with all that happens to one.
func TestThirtyDays(t *testing.T) {
	takesTime(t)
	before := openFiles(t)
	synctest.Test(t, func(t *testing.T) {
		l, settings := january(t)
		r := newRig(t, l, settings)
		r.start()
		ordinaryDays(r)
		aNewVersion(r)
		twoDaysAway(r)
		aChangedPassword(r)
		anAgreementToSign(r)
		aRottenFile(r)
		anOutage(r)
		aFullDisk(r)
		aNightTooShort(r)
		r.until("31 00:00")
		r.stop()
	})
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open after the month, %d were before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return len(fds)
}

// What was never fetched begins at once. Then each refresh has its time, and one
// that is due while the run window is closed begins when it opens.
func ordinaryDays(r *rig) {
	r.until("01 00:01")
	r.wantAsked("01 00:00 demo@1.0", "01 00:00 notes@1.0", "01 00:00 waves@1.0")
	r.wantEvents("complete demo", "complete notes", "complete waves")
	r.has("demo/1.0/007.csv", "demo 7 first\n")
	r.library.served()
	r.until("01 13:00")
	r.want("demo", daemon.Idle)
	r.want("notes", daemon.Closed)
	r.until("02 00:00")
	r.want("notes", daemon.Idle)
	r.wantAsked("01 07:30 demo@1.0", "01 20:00 notes@1.0", "01 22:52 waves@1.0")
	r.until("04 00:00")
	r.wantAsked("02 07:30 demo@1.0", "02 20:00 notes@1.0", "02 22:52 waves@1.0", "03 07:30 demo@1.0", "03 20:00 notes@1.0", "03 22:52 waves@1.0")
	r.wantEvents()
	if n := r.library.served(); n != 0 {
		r.t.Errorf("%d bytes of data came on days without a change", n)
	}
	history, err := r.History("demo", 10)
	must(r.t, err)
	var kinds []string
	for _, p := range history {
		kinds = append(kinds, p.Start.UTC().Format("02 15:04 ")+string(p.Kind)+" "+p.State.String())
	}
	if want := []string{
		"03 07:30 refresh complete", "02 07:30 refresh complete", "02 05:00 scrub complete", "01 07:30 refresh complete", "01 00:00 refresh complete",
	}; !slices.Equal(kinds, want) {
		r.t.Errorf("the history of demo is\n%s\nwant\n%s", strings.Join(kinds, "\n"), strings.Join(want, "\n"))
	}
}

// A new version with one changed file: that one is fetched, the rest is linked.
func aNewVersion(r *rig) {
	files := numbered("demo", 100, "first")
	files["042.csv"] = "demo 42 second\n"
	r.library.publish(ref(r.t, "demo@2.0"), files)
	r.library.served()
	r.until("04 07:45")
	r.wantAsked("04 07:30 demo@2.0")
	if want := "demo@2.0 is complete: 100 files, 1 fetched, 99 linked from another version"; r.inbox.last().Text != want {
		r.t.Errorf("people were told %q, want %q", r.inbox.last().Text, want)
	}
	r.wantEvents("complete demo")
	if got := r.library.served(); got != int64(len(files["042.csv"])) {
		r.t.Errorf("%d bytes came for one changed file of %d", got, len(files["042.csv"]))
	}
	last := r.dataset("demo").Last
	if last == nil || last.Version != "2.0" || last.Total != 100 {
		r.t.Errorf("the pass: %+v", last)
	}
	r.has("demo/1.0/042.csv", "demo 42 first\n")
	r.has("demo/2.0/042.csv", "demo 42 second\n")
	if s := r.dataset("demo"); s.Version != "2.0" || s.Files != 100 || !slices.Equal(r.versions("demo"), []string{"2.0", "1.0"}) {
		r.t.Errorf("the dataset: %+v", s)
	}
}

// The machine is off for two days. What was missed is done once.
func twoDaysAway(r *rig) {
	r.until("04 21:00")
	r.wantAsked("04 20:00 notes@1.0")
	r.stop()
	r.until("06 21:30")
	r.start()
	r.until("07 00:00")
	r.wantAsked("06 21:30 demo@2.0", "06 21:30 notes@1.0", "06 21:30 waves@1.0")
	r.until("08 00:00")
	r.wantAsked("07 07:30 demo@2.0", "07 20:00 notes@1.0", "07 22:52 waves@1.0")
	r.wantEvents()
}

// The password is another one for two days. Each dataset says so once, and is
// looked at now and then; then all is well by itself within minutes.
func aChangedPassword(r *rig) {
	r.library.befall(func(of manifest.Ref) error { return denial(source.BadCredentials, of) })
	r.until("09 00:00")
	for _, name := range []string{"demo", "notes", "waves"} {
		r.want(name, daemon.Parked)
	}
	r.wantEvents("parked demo", "parked notes", "parked waves")
	r.wantLooks("waves@1.0") // of the others, the newest version is asked for first
	if s := r.dataset("demo"); s.Cure != "the cure" || s.Files != 100 || s.Next.After(time.Now().Add(5*time.Minute)) {
		r.t.Errorf("the dataset: %+v", s)
	}
	r.stop() // what people were told, the next process knows
	r.start()
	r.want("demo", daemon.Parked)
	r.until("10 00:00")
	r.wantEvents()
	r.wantLooks("demo@2.0", "notes@1.0", "waves@1.0")
	r.library.befall(nil)
	r.until("10 00:06")
	r.wantEvents("recovery demo", "recovery notes", "recovery waves")
	r.want("demo", daemon.Idle)
	r.library.readDiary()
	r.until("11 00:00")
	r.wantAsked("10 07:30 demo@2.0", "10 20:00 notes@1.0", "10 22:52 waves@1.0")
}

// The agreement of a new version is not signed yet: the version waits, and the
// former one stays what the mirror shows.
func anAgreementToSign(r *rig) {
	r.until("13 00:00")
	r.library.readDiary()
	r.library.publish(ref(r.t, "notes@2.0"), numbered("notes", 10, "second"))
	r.library.befall(func(of manifest.Ref) error {
		if of.String() == "notes@2.0" {
			return denial(source.Forbidden, of)
		}
		return nil
	})
	r.until("15 00:00")
	r.wantEvents("parked notes")
	r.want("notes", daemon.Parked)
	if s := r.dataset("notes"); s.Version != "1.0" || s.Files != 10 || !strings.Contains(s.Why, "notes@2.0") {
		r.t.Errorf("the dataset: %+v", s)
	}
	r.wantLooks("notes@2.0")
	r.library.befall(nil)
	r.until("15 00:06")
	r.wantEvents("recovery notes", "complete notes")
	r.library.readDiary()
	r.until("16 00:00")
	r.wantAsked("15 07:30 demo@2.0", "15 20:00 notes@2.0", "15 22:52 waves@1.0")
	r.has("notes/2.0/003.csv", "notes 3 second\n")
}

// A disk loses a bit, and nothing shows it but reading. The weekly scrub does.
func aRottenFile(r *rig) {
	name := r.path("waves/1.0/005.csv")
	fi, err := os.Stat(name)
	must(r.t, err)
	must(r.t, os.WriteFile(name, []byte("waves 5 f?rst\n"), 0o600))
	must(r.t, os.Chtimes(name, time.Time{}, fi.ModTime()))
	r.until("16 06:00")
	if want := "waves: 1 file damaged; fetched again"; r.inbox.last().Text != want {
		r.t.Errorf("people were told %q, want %q", r.inbox.last().Text, want)
	}
	r.wantEvents("rot waves")
	r.has("waves/1.0/005.csv", "waves 5 first\n")
	r.want("waves", daemon.Idle)
}

// PhysioNet is down for a day. That is not worth a word for six hours.
func anOutage(r *rig) {
	r.until("17 22:00")
	r.library.readDiary()
	r.library.befall(func(manifest.Ref) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	})
	r.until("17 23:30")
	for r.dataset("waves").Condition == daemon.Running { // a try, of which nobody knows the moment
		after(time.Minute)
	}
	r.want("waves", daemon.Failing)
	r.until("18 04:50")
	r.wantEvents()
	r.until("18 08:00")
	r.wantEvents("failure waves")
	if tries := len(r.library.readDiary()); tries < 5 || tries > 40 {
		r.t.Errorf("the manifest of waves was asked for in %d minutes of the night, want a few", tries)
	}
	r.until("18 22:00")
	r.wantEvents("failure demo")
	r.library.befall(nil)
	r.until("19 01:00")
	r.wantEvents("recovery demo", "recovery waves")
	r.want("notes", daemon.Idle) // it was away for two hours only
}

// The disk is full. All passes wait, people hear of it once, and when there is
// room they go on.
func aFullDisk(r *rig) {
	r.until("20 02:00")
	r.library.readDiary()
	r.library.publish(ref(r.t, "demo@3.0"), numbered("demo", 100, "third"))
	r.library.befall(func(of manifest.Ref) error {
		if of.String() == "demo@3.0" {
			r.free.Store(1000)
			return syscall.ENOSPC // as a write says it
		}
		return nil
	})
	r.until("20 07:45")
	r.want("demo", daemon.NoSpace)
	r.wantEvents("no_space demo")
	if err := r.Ready(); !errors.Is(err, failure.ErrNoSpace) {
		r.t.Errorf("Ready() = %v, want that there is no room", err)
	}
	r.until("20 23:00")
	r.want("notes", daemon.NoSpace)
	r.want("waves", daemon.NoSpace)
	r.wantAsked("20 07:30 demo@3.0")
	r.library.befall(nil)
	r.free.Store(0)
	r.until("21 00:00")
	r.wantAsked("20 23:00 demo@3.0", "20 23:00 notes@2.0", "20 23:00 waves@1.0")
	r.wantEvents("complete demo")
	must(r.t, r.Ready())
}

// A version too large for one night: the pass ends with the window and goes on with
// the next one, and no file is fetched twice but those that were on their way.
func aNightTooShort(r *rig) {
	r.until("24 00:00")
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("%03d.dat", i)] = strings.Repeat(fmt.Sprintf("%04d", i), 25_000)
	}
	r.library.publish(ref(r.t, "demo@4.0"), files)
	r.library.slow(1000)
	r.library.served()
	r.until("24 07:59")
	r.want("demo", daemon.Running)
	if s := r.dataset("demo"); s.Pass == nil || s.Pass.Rate < 1000 || s.Pass.Rate > 8000 || s.Pass.Done < 10 {
		r.t.Errorf("the dataset: %+v", s)
	}
	closed := r.closed.Load()
	r.until("24 08:01")
	r.want("demo", daemon.Closed)
	if s := r.dataset("demo"); s.Last.State != store.Interrupted || r.closed.Load() != closed+1 {
		r.t.Errorf("the pass: %+v; connections were closed %d times", s.Last, r.closed.Load()-closed)
	}
	r.library.slow(10_000)
	r.until("25 02:00")
	r.wantEvents("complete demo")
	if got, want := r.library.served(), int64(20_000_000); got < want || got > want+4*100_000 {
		r.t.Errorf("%d bytes came for %d", got, want)
	}
	r.library.slow(0)
	_, days := r.Throughput()
	if n := len(days); n != 30 {
		r.t.Errorf("Throughput() has %d days", n)
	}
}
