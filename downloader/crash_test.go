package downloader_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// victim is what the re-executed test binary does: it pulls demo@1.0 into a
// mirror and kills itself, as kill -9 and a power switch do, when a named point
// is reached for the n-th time.
func TestVictim(t *testing.T) {
	dir := os.Getenv("MIMICSYNC_VICTIM_DIR")
	if dir == "" {
		t.Skip("runs only as the child of the crash tests")
	}
	n, err := strconv.Atoi(os.Getenv("MIMICSYNC_VICTIM_N"))
	must(t, err)
	r := newRig(t, rigOptions{site: &site{url: os.Getenv("MIMICSYNC_VICTIM_URL")}, dir: dir})
	var count atomic.Int64
	r.syncer.SetReached(func(point string) {
		if point == os.Getenv("MIMICSYNC_VICTIM_POINT") && count.Add(1) == int64(n) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // this goroutine does nothing more before it dies
		}
	})
	r.pull()
}

func victim(t *testing.T, s *site, dir, point string, n int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), "MIMICSYNC_VICTIM_DIR="+dir, "MIMICSYNC_VICTIM_URL="+s.url,
		"MIMICSYNC_VICTIM_POINT="+point, "MIMICSYNC_VICTIM_N="+strconv.Itoa(n))
	return cmd
}

func killed(err error) bool {
	exit, ok := err.(*exec.ExitError) //nolint:errorlint // as os/exec returns it
	return ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// afterTheCrash opens the mirror as the next process does, checks it, and pulls
// to the end.
func afterTheCrash(t *testing.T, s *site, dir string, files []lookalike.GeneratedFile) {
	t.Helper()
	r := newRig(t, rigOptions{site: s, dir: dir})
	r.checkTree()
	if report := r.pull(); report.State != store.Complete {
		t.Fatalf("the pass after the crash: %+v", report)
	}
	for _, f := range files {
		if !bytes.Equal(r.read(f.Path), content(t, f)) {
			t.Errorf("%s is wrong after the crash", f.Path)
		}
	}
}

func TestACrashAtAnyNamedPointLosesNothingVerified(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some twenty processes")
	}
	files := lookalike.CXR(700, nil)
	files = append(files, file("big.bin", 20<<20))
	for _, point := range []string{"written", "verified", "synced", "renamed", "recorded", "partials synced", "partials recorded"} {
		for _, n := range []int{1, 2, 300} {
			t.Run(fmt.Sprint(point, " ", n), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, nil, project(files...))
				dir := t.TempDir()
				out, err := victim(t, s, dir, point, n).CombinedOutput()
				if err != nil && !killed(err) {
					t.Fatalf("the victim died of something else: %v\n%s", err, out)
				}
				afterTheCrash(t, s, dir, files)
			})
		}
	}
}

// What a kill may cost beside the last 2 s: the buffer of the worker, and what
// was on its way between the two ends when the connection broke.
const onTheWay = 3 << 20

func TestKillNineFiveTimesInOneBigFile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const size, rate = 96 << 20, 16 << 20
	files := []lookalike.GeneratedFile{file("big.bin", size)}
	s := newSite(t, func(l *lookalike.Server) { l.BytesPerSecondPerConn = rate }, project(files...))
	dir := t.TempDir()
	before := int64(0)
	for kill := range 5 {
		cmd := victim(t, s, dir, "never", 1)
		must(t, cmd.Start())
		time.Sleep(500*time.Millisecond + rand.N(600*time.Millisecond))
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		sent := s.Counters().BytesSent
		if kill > 0 && sent == before {
			t.Errorf("kill %d: the server sent nothing since the one before", kill+1)
		}
		before = sent
	}
	afterTheCrash(t, s, dir, files)
	again := s.Counters().BytesSent - size
	t.Logf("five kills cost %.1f MB, what was on its way included", float64(again)/1e6)
	if again > 5*onTheWay {
		t.Errorf("%d bytes were sent again after five kills, want at most %d each", again, onTheWay)
	}
}
