package daemon_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mimicsync/daemon"
	"mimicsync/store"
)

const (
	crashFiles = 48
	crashSize  = 20_000
)

// crashContent is a file of demo@1.<version>: every version changes a third of
// them.
func crashContent(version, file int) string {
	for version > 0 && file%3 != version%3 {
		version--
	}
	return strings.Repeat(fmt.Sprintf("%04d %04d ", version, file), crashSize/10)
}

// crashLibrary has the versions up to one, and takes its time.
func crashLibrary(t *testing.T, newest int) *library {
	l := newLibrary()
	for v := range newest + 1 {
		files := map[string]string{}
		for i := range crashFiles {
			files[fmt.Sprintf("%02d.dat", i)] = crashContent(v, i)
		}
		l.publish(ref(t, fmt.Sprintf("demo@1.%d", v)), files)
	}
	l.slow(4 << 20)
	return l
}

// TestVictim is what the re-executed test binary does: it runs a daemon, says what
// it fetches, and ends on SIGTERM.
func TestVictim(t *testing.T) {
	dir := os.Getenv("MIMICSYNC_VICTIM_DIR")
	if dir == "" {
		t.Skip("runs only as the child of the crash test")
	}
	newest, err := strconv.Atoi(os.Getenv("MIMICSYNC_VICTIM_NEWEST"))
	must(t, err)
	ctx, cancel := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer cancel()
	l := crashLibrary(t, newest)
	l.onFetch = func(name string) { fmt.Println("fetch", name) }
	r := newRigIn(t, dir, l, daemon.Settings{Datasets: []daemon.Dataset{{Ref: ref(t, "demo"), Schedule: schedule(t, "* * * * *")}}})
	r.startIn(ctx)
	changed, stop := r.Watch()
	defer stop()
	id := r.pull("demo")
	for ctx.Err() == nil {
		p, err := r.Pass(id)
		must(t, err)
		if p.State == store.Complete {
			fmt.Println("complete", p.Version)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	r.stop()
}

// startVictim starts a daemon in a process of its own, and returns what it says,
// line by line until it ends.
func startVictim(t *testing.T, dir string, newest int) (*exec.Cmd, <-chan string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), "MIMICSYNC_VICTIM_DIR="+dir, "MIMICSYNC_VICTIM_NEWEST="+strconv.Itoa(newest))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return cmd, lines
}

// A daemon is killed, or told to end, at random in fifty passes. Each time the
// state and the tree agree, every file under its final name is right, and none of
// those is fetched again, by that version or by a later one.
func TestKillsAtRandom(t *testing.T) {
	takesTime(t)
	const kills = 50
	dir := t.TempDir()
	have := map[string]bool{} // contents under their final names
	for i := range kills {
		newest := i / 5
		signal := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[rand.N(2)]
		cmd, lines := startVictim(t, dir, newest)
		for left := 1 + rand.N(crashFiles/2); left > 0; left-- {
			line := <-lines
			if strings.HasPrefix(line, "complete") {
				break
			}
			wantAbsent(t, have, line)
		}
		sent := time.Now()
		must(t, cmd.Process.Signal(signal))
		for line := range lines {
			wantAbsent(t, have, line)
		}
		err := cmd.Wait()
		if took := time.Since(sent); signal == syscall.SIGTERM && (err != nil || took > 10*time.Second) {
			t.Fatalf("a daemon told to end: %v after %s", err, took)
		}
		checkMirror(t, dir, have)
	}
	l := crashLibrary(t, (kills-1)/5)
	l.onFetch = func(name string) { wantAbsent(t, have, "fetch "+name) }
	r := newRigIn(t, dir, l, daemon.Settings{})
	r.start()
	changed, stop := r.Watch()
	defer stop()
	for id := r.pull("demo"); ; <-changed {
		if p, err := r.Pass(id); err != nil || p.State == store.Complete {
			must(t, err)
			break
		}
	}
	r.stop()
	checkMirror(t, dir, have)
	t.Logf("%d different files, for %d versions of %d", len(have), (kills-1)/5+1, crashFiles)
}

// content is what a file has by its name in the mirror.
func content(t *testing.T, name string) string {
	t.Helper()
	var version, file int
	_, err := fmt.Sscanf(name, "demo@1.%d/%02d.dat", &version, &file)
	must(t, err)
	return crashContent(version, file)
}

// wantAbsent fails the test if a line says that something is fetched which the
// mirror has.
func wantAbsent(t *testing.T, have map[string]bool, line string) {
	t.Helper()
	if name, ok := strings.CutPrefix(line, "fetch "); ok && have[content(t, name)] {
		t.Errorf("%s is fetched again", name)
	}
}

// checkMirror opens a mirror as the next process does, and adds what it has to
// have.
func checkMirror(t *testing.T, dir string, have map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "demo", "*", "*.dat"))
	must(t, err)
	for _, file := range files {
		got, err := os.ReadFile(file)
		must(t, err)
		name := "demo@" + filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file)
		if string(got) != content(t, name) {
			t.Errorf("%s is wrong", name)
		}
		have[string(got)] = true
	}
	r := newRigIn(t, dir, newLibrary(), daemon.Settings{})
	r.open()
	r.close() // checks that each record has its file
}
