package downloader_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// victim is what the re-executed test binary does: it pulls demo@1.0 into a
// mirror, or prunes it there, and kills itself, as kill -9 and a power switch do, when a named point
// is reached for the n-th time.
func TestVictim(t *testing.T) {
	dir := os.Getenv("MIMICSYNC_VICTIM_DIR")
	if dir == "" {
		t.Skip("runs only as the child of the crash tests")
	}
	n, err := strconv.Atoi(os.Getenv("MIMICSYNC_VICTIM_N"))
	must(t, err)
	connections, err := strconv.Atoi(os.Getenv("MIMICSYNC_VICTIM_CONNECTIONS"))
	must(t, err)
	r := newRig(t, rigOptions{site: &site{url: os.Getenv("MIMICSYNC_VICTIM_URL")}, dir: dir, connections: connections})
	var count atomic.Int64
	r.syncer.SetReached(func(point string) {
		if point == os.Getenv("MIMICSYNC_VICTIM_POINT") && count.Add(1) == int64(n) {
			self, err := os.FindProcess(os.Getpid())
			must(t, errors.Join(err, self.Kill()))
			select {} // this goroutine does nothing more before it dies
		}
	})
	if os.Getenv("MIMICSYNC_VICTIM_PRUNES") != "" {
		_, err := r.syncer.Prune(t.Context(), demo)
		must(t, err)
		return
	}
	r.pull()
}

func victim(t *testing.T, s *site, dir string, connections int, point string, n int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), "MIMICSYNC_VICTIM_DIR="+dir, "MIMICSYNC_VICTIM_URL="+s.url, "MIMICSYNC_VICTIM_CONNECTIONS="+strconv.Itoa(connections),
		"MIMICSYNC_VICTIM_POINT="+point, "MIMICSYNC_VICTIM_N="+strconv.Itoa(n))
	return cmd
}

func killed(err error) bool {
	if runtime.GOOS == "windows" {
		return err != nil // it doesn't say what ended a process
	}
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
	t.Parallel()
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
				out, err := victim(t, s, dir, 4, point, n).CombinedOutput()
				if err != nil && !killed(err) {
					t.Fatalf("the victim died of something else: %v\n%s", err, out)
				}
				afterTheCrash(t, s, dir, files)
			})
		}
	}
}

// A kill may cost the last 2 s, at most 8 MiB of each connection, beside the
// buffers of the workers and what was on its way when the connections broke. With
// one connection the length of the file tells what came, and only these are lost.
func TestKillNineFiveTimesInOneBigFile(t *testing.T) {
	t.Parallel()
	const onTheWay = 3 << 20 // of a connection
	for _, tt := range []struct {
		name        string
		connections int
		rate        int64 // bytes per second and connection
		cost        int64 // of a kill, per connection
	}{{"one connection", 1, 16 << 20, onTheWay}, {"four connections", 4, 6 << 20, 2*6<<20 + onTheWay}, {"four fast ones", 4, 24 << 20, 8<<20 + onTheWay}} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			size := tt.rate * int64(tt.connections) * 6
			files := []lookalike.GeneratedFile{file("big.bin", size)}
			s := newSite(t, func(l *lookalike.Server) { l.BytesPerSecondPerConn = tt.rate }, project(files...))
			dir := t.TempDir()
			for kill := range 5 {
				cmd := victim(t, s, dir, tt.connections, "never", 1)
				before := s.Counters().BytesSent
				must(t, cmd.Start())
				for began := time.Now(); s.Counters().BytesSent < before+1<<20; time.Sleep(10 * time.Millisecond) {
					if time.Since(began) > 30*time.Second {
						t.Fatalf("kill %d: the server sent nothing since the one before", kill+1)
					}
				}
				time.Sleep(rand.N(700 * time.Millisecond))
				must(t, cmd.Process.Kill())
				_ = cmd.Wait() // it was killed
			}
			afterTheCrash(t, s, dir, files)
			again := s.Counters().BytesSent - size
			t.Logf("five kills cost %.1f MB, what was on its way included", float64(again)/1e6)
			if most := 5 * int64(tt.connections) * tt.cost; again > most {
				t.Errorf("%d bytes were sent again after five kills, want at most %d", again, most)
			}
		})
	}
}
