package terminal

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"mimicsync/downloader/progress"
)

var quarterPast = time.Date(2026, time.March, 3, 14, 15, 0, 0, time.Local)

func TestWaitLine(t *testing.T) {
	in := func(d time.Duration) time.Time { return quarterPast.Add(d) }
	for _, tt := range []struct {
		wait progress.Wait
		want string
	}{
		{
			progress.Wait{For: "physionet", Why: "status 429 (too many requests)", Until: in(90 * time.Minute)},
			"waiting for physionet: status 429 (too many requests); next try 15:45, in 1h30m",
		},
		{progress.Wait{For: "gcs", Why: "status 502 (bad gateway)", Until: in(-time.Second)}, "waiting for gcs: status 502 (bad gateway); next try now"},
		{
			progress.Wait{For: "the run window", Why: "passes run only while it is open", Until: in(31 * time.Hour)},
			"waiting for the run window: passes run only while it is open; until Wed 21:15, in 31h00m",
		},
		{
			progress.Wait{For: "another command", Why: "a plan or prune of demo has been running since 14:14:18", Since: in(-40 * time.Second)},
			"waiting for another command: a plan or prune of demo has been running since 14:14:18",
		},
		{progress.Wait{For: "s3", Why: "dial tcp: lookup s3.lab: no such host", Since: quarterPast}, "waiting for s3: dial tcp: lookup s3.lab: no such host"},
	} {
		if got := waitLine(tt.wait, quarterPast); got != tt.want {
			t.Errorf("waitLine = %q\nwant       %q", got, tt.want)
		}
	}
}

// What does not fit on the line goes, and for whom and how long stays.
func TestAWaitFitsTheTerminal(t *testing.T) {
	busy := progress.Wait{For: "physionet", Why: "status 503 (busy)", Until: quarterPast.Add(112 * time.Second)}
	refused := progress.Wait{For: "physionet", Why: "dial tcp 203.0.113.77:443: connect: connection refused", Until: quarterPast.Add(8 * time.Second)}
	page := progress.Wait{For: "physionet", Why: "the server sent a web page instead of the file", Until: quarterPast.Add(15 * time.Second)}
	forever := progress.Wait{For: "the pass before it", Why: "a verification of demo-set has been running since 13:02:11"}
	for _, tt := range []struct {
		wait  progress.Wait
		width int
		want  string
	}{
		{busy, 99, "demo-set@1.0  waiting for physionet: status 503 (busy); next try 14:16:52, in 1m52s"},
		{busy, 79, "demo-set@1.0  waiting for physionet: status 503 (busy); next try in 1m52s"},
		{busy, 71, "waiting for physionet: status 503 (busy); next try 14:16:52, in 1m52s"},
		{busy, 60, "waiting for physionet: status 503 (busy); next try in 1m52s"},
		{busy, 39, "physionet: status 503…; again in 1m52s"},
		{busy, 20, "physionet; again in…"},
		{refused, 79, "waiting for physionet: dial tcp 203.0.113.77:443: connect: con…; next try in 8s"},
		{refused, 39, "physionet: dial tcp 203.0…; again in 8s"},
		{page, 79, "physionet: the server sent a web page instead of the file; next try in 15s"},
		{forever, 79, "the pass before it: a verification of demo-set has been running since 13:02:11"},
		{forever, 39, "the pass before it: a verification of…"},
	} {
		got := fitWait("demo-set@1.0", tt.wait, quarterPast, tt.width)
		if got != tt.want {
			t.Errorf("in %d columns: %q\nwant %q", tt.width, got, tt.want)
		}
		if n := utf8.RuneCountInString(got); n > tt.width {
			t.Errorf("in %d columns: %q has %d", tt.width, got, n)
		}
	}
}

// The bar makes way for a line that counts down, and comes back.
func TestTheBarSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		u := &UI{Stderr: &screen}
		p := new(progress.Progress)
		stop := u.Show("bar", "demo", p, nil)
		shown := func() string { // since the last call
			u.mu.Lock()
			defer u.mu.Unlock()
			defer screen.Reset()
			return screen.String()
		}
		want := func(what string) {
			t.Helper()
			if text := shown(); !strings.Contains(text, what) {
				t.Errorf("the screen: %q, want it to say %q", text, what)
			}
		}
		now := time.Now()
		p.Tell([]progress.Wait{{For: "physionet", Object: "latest", Why: "status 503 (busy)", Since: now, Until: now.Add(2 * time.Minute)}})
		time.Sleep(barEvery + barEvery/2)
		want("demo  waiting for physionet: status 503 (busy); next try " + now.Add(2*time.Minute).Local().Format(time.TimeOnly) + ", in 2m0s")
		time.Sleep(time.Second)
		want("in 1m59s")
		u.Rename("demo@1.0")
		p.Connections.Store(1)
		time.Sleep(barEvery)
		want("demo@1.0  fetching the manifest")
		p.Connections.Store(0)
		p.Tell([]progress.Wait{{For: "physionet", Why: "a moment", Since: time.Now(), Until: time.Now().Add(barsLeast / 2)}})
		time.Sleep(barEvery)
		if text := shown(); strings.Contains(text, "a moment") {
			t.Errorf("a wait of %v is shown: %q", barsLeast/2, text)
		}
		p.Tell(nil)
		p.Total.Store(10)
		p.Expected.Store(1e6)
		p.Phase.Store(int32(progress.PhaseTransfer))
		time.Sleep(barEvery)
		want("0 of 10 files")
		p.Tell([]progress.Wait{{For: "physionet", Why: "status 502", Since: time.Now()}})
		time.Sleep(2 * time.Second)
		want("demo@1.0  0 of 10 files  waiting for physionet: status 502; since ")
		stop()
	})
}

// A log says at once what is waited for, then less and less often, and when it goes
// on.
func TestPlainSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		u := &UI{Stderr: &log}
		p := new(progress.Progress)
		stop := u.Show("plain", "demo@1.0", p, nil)
		said := func(what string, want ...string) {
			t.Helper()
			u.mu.Lock()
			defer u.mu.Unlock()
			lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
			log.Reset()
			ok := len(lines) == len(want) || lines[0] == "" && len(want) == 0
			for i := range min(len(lines), len(want)) {
				ok = ok && strings.Contains(lines[i], want[i])
			}
			if !ok {
				t.Errorf("%s: %q, want %q", what, lines, want)
			}
		}
		wait := func(why string, since time.Time, d time.Duration) {
			p.Tell([]progress.Wait{{For: "physionet", Object: "SHA256SUMS.txt", Why: why, Since: since, Until: since.Add(d)}})
		}
		wait("status 500", time.Now(), time.Second)
		time.Sleep(900 * time.Millisecond)
		said("a short wait")
		began := time.Now()
		wait("status 503 (busy)", began, time.Hour)
		time.Sleep(plainLook)
		said("a long one", "demo@1.0: waiting for physionet: status 503 (busy); next try ")
		time.Sleep(15 * time.Minute)
		said("a quarter of an hour", // 10, 30, 70 s and then each minute
			", in 59m50s", ", in 59m30s", ", in 58m50s", ", in 57m50s", ", in 56m50s", ", in 55m50s", ", in 54m50s", ", in 53m50s", ", in 52m50s",
			", in 51m50s", ", in 50m50s", ", in 49m50s", ", in 48m50s", ", in 47m50s", ", in 46m50s", ", in 45m50s")
		wait("status 429 (too many requests)", began, time.Hour)
		time.Sleep(plainLook)
		said("another reason", "status 429 (too many requests); next try ")
		p.Connections.Store(1) // it is asked again
		time.Sleep(time.Second)
		said("while it is asked")
		p.Connections.Store(0)
		wait("status 429 (too many requests)", time.Now(), 5*time.Minute)
		time.Sleep(newsLeast)
		said("another time", ", in 4m5")
		p.Tell(nil)
		p.Total.Store(34)
		time.Sleep(plainLook)
		said("it goes on", "demo@1.0: continuing: 0 of 34 files, ")
		stop()
	})
}

// A command without progress says nothing while it works.
func TestOnlyWaitsAreShown(t *testing.T) {
	for _, style := range []string{"bar", "plain", "none"} {
		synctest.Test(t, func(t *testing.T) {
			var screen bytes.Buffer
			u := &UI{Stderr: &screen}
			p := new(progress.Progress)
			stop := u.ShowWaits(style, "demo", p)
			defer stop()
			shown := func() string {
				u.mu.Lock()
				defer u.mu.Unlock()
				return screen.String()
			}
			p.Connections.Store(1)
			time.Sleep(time.Minute)
			if text := shown(); text != "" {
				t.Errorf("%s: %q, want nothing", style, text)
			}
			p.Connections.Store(0)
			p.Tell([]progress.Wait{{For: "physionet", Why: "status 503 (busy)", Since: time.Now(), Until: time.Now().Add(time.Minute)}})
			time.Sleep(time.Second)
			if text := shown(); strings.Contains(text, "waiting for physionet: status 503 (busy); next try ") != (style != "none") {
				t.Errorf("%s: %q", style, text)
			}
		})
	}
}

// One source is in trouble, and the files come from another: the numbers stay, with
// a word about it.
func TestAWaitBesideFilesThatCome(t *testing.T) {
	for style, want := range map[string]string{
		"bar":   "2 of 34 files",
		"plain": "demo@1.0: 2 of 34 files, 4.8 MB of 9.0 MB fetched, 1.0 MB/s, about 4 s left, waiting for gcs: status 504 (gateway timeout); next try ",
	} {
		synctest.Test(t, func(t *testing.T) {
			var screen bytes.Buffer
			u := &UI{Stderr: &screen}
			p := new(progress.Progress)
			p.Total.Store(34)
			p.Done.Store(2)
			p.Expected.Store(9e6)
			p.Connections.Store(1)
			p.Phase.Store(int32(progress.PhaseTransfer))
			p.Tell([]progress.Wait{{For: "gcs", Why: "status 504 (gateway timeout)", Since: time.Now(), Until: time.Now().Add(time.Minute)}})
			stop := u.Show(style, "demo@1.0", p, nil)
			defer stop()
			shown := func() string {
				u.mu.Lock()
				defer u.mu.Unlock()
				defer screen.Reset()
				return screen.String()
			}
			time.Sleep(time.Millisecond) // nothing comes at the moment of a line
			for range 48 {
				p.Fetched.Add(100_000)
				time.Sleep(100 * time.Millisecond)
			}
			for range 52 {
				p.Examined.Add(100_000)
				p.Fetched.Add(1)
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(time.Millisecond)
			if text := shown(); !strings.Contains(text, want) || style == "bar" && strings.Contains(text, "waiting") {
				t.Errorf("%s: %q, want %q", style, text, want)
			}
			time.Sleep(2 * flowing) // nothing comes any more
			if text := shown(); !strings.Contains(text, "waiting for gcs: status 504 (gateway timeout); next try ") {
				t.Errorf("%s, when nothing comes: %q", style, text)
			}
		})
	}
}
