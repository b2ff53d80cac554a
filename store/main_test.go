package store_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"mimicsync/manifest"
	"mimicsync/store"
)

// helperVariable makes this binary a helper process, see helpers.
const helperVariable = "MIMICSYNC_TEST_HELPER"

// helpers are what a test lets another process do. A helper reports on stdout,
// line by line, and ends when its stdin does.
var helpers = map[string]func(args []string) error{
	"hold":  hold,
	"write": writeForEver,
	"probe": probeAll,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperVariable); name != "" {
		if err := helpers[name](os.Args[1:]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is a running helper.
type process struct {
	*exec.Cmd

	stdin io.WriteCloser
	lines *bufio.Scanner

	stderr bytes.Buffer
}

func startHelper(t *testing.T, name string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), helperVariable+"="+name)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	p := &process{Cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	cmd.Stderr = &p.stderr
	must(t, cmd.Start())
	return p
}

// line is what the helper says next.
func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("the helper said no more: %v, %v", p.lines.Err(), p.Wait())
	}
	return p.lines.Text()
}

// kill is kill -9. It returns what the helper still said before.
func (p *process) kill(t *testing.T) (rest []string) {
	t.Helper()
	must(t, p.Process.Kill())
	for p.lines.Scan() {
		rest = append(rest, p.lines.Text())
	}
	_ = p.Wait() // it was killed
	return rest
}

// mirror is an open store, for the time of a test.
type mirror struct {
	*store.Store

	t     testing.TB
	place store.Place
}

func newMirror(t testing.TB) *mirror {
	t.Helper()
	return openMirror(t, locate(t, t.TempDir(), ""))
}

func locate(t testing.TB, dir, state string) store.Place {
	t.Helper()
	place, err := store.Locate(dir, state)
	must(t, err)
	return place
}

// openMirror opens a store that is checked when the test ends.
func openMirror(t testing.TB, place store.Place) *mirror {
	t.Helper()
	m := &mirror{t: t, place: place}
	m.open()
	t.Cleanup(func() {
		if m.Store != nil {
			m.check()
			m.close()
		}
	})
	return m
}

func (m *mirror) open() {
	m.t.Helper()
	s, err := store.Open(m.place, "test")
	if err != nil {
		m.t.Fatalf("Open(%s) = %v, want <nil>", m.place.File(), err)
	}
	m.Store = s
}

func (m *mirror) close() {
	m.t.Helper()
	m.check()
	if err := m.Close(); err != nil {
		m.t.Errorf("Close = %v, want <nil>", err)
	}
	m.Store = nil
}

// check is the invariant of every test.
func (m *mirror) check() {
	m.t.Helper()
	if err := m.Check(); err != nil {
		m.t.Errorf("Check = %v, want <nil>", err)
	}
}

// put stores a version under a manifest that is known by one letter.
func (m *mirror) put(ref manifest.Ref, text string) store.Version {
	m.t.Helper()
	v, err := m.PutVersion(store.Version{Ref: ref, Manifest: store.Manifest{Digest: digest(text), Entries: 3, Size: 300, Source: "test"}})
	must(m.t, err)
	return v
}

func (m *mirror) commit(b store.Batch) {
	m.t.Helper()
	if err := m.Commit(b); err != nil {
		m.t.Fatalf("Commit = %v, want <nil>", err)
	}
}

// offsets are those of all records of an id, as they come.
func (m *mirror) offsets(id uint32) []int64 {
	m.t.Helper()
	records, err := m.Records(id, 0, 1<<30, nil)
	must(m.t, err)
	var all []int64
	for _, r := range records {
		if r.ID != id {
			m.t.Errorf("Records(%d) gave a record of %d", id, r.ID)
		}
		all = append(all, r.Offset)
	}
	return all
}

// keys counts the keys of the closed file by bucket; nested ones count.
func keys(t testing.TB, file string) map[string]int {
	t.Helper()
	db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	n := map[string]int{}
	must(t, db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			n[string(name)] = b.Stats().KeyN
			return nil
		})
	}))
	return n
}

var (
	demo  = manifest.Ref{Dataset: "demo", Version: "1.0"}
	demo2 = manifest.Ref{Dataset: "demo", Version: "2.0"}
	noon  = time.Date(2026, time.November, 22, 12, 0, 0, 123456789, time.UTC)
)

func digest(text string) manifest.Digest { return sha256.Sum256([]byte(text)) }

// digestOf is a digest for each number, as random as real ones.
func digestOf(n int64) manifest.Digest {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// verified is an entry at an offset, with the digest of that number.
func verified(offset int64) store.Verified {
	return store.Verified{
		Offset: offset, Digest: digestOf(offset),
		Record: store.Record{Size: 1000 + offset, ModTime: noon.Add(time.Duration(offset)), Verified: noon.Truncate(time.Second)},
	}
}

func verifiedRange(from, n int64) []store.Verified {
	all := make([]store.Verified, n)
	for i := range all {
		all[i] = verified(from + int64(i))
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openAt(dir, command string) (*store.Store, error) {
	place, err := store.Locate(dir, "")
	if err != nil {
		return nil, err
	}
	return store.Open(place, command)
}

// hold owns the mirror args[0] until stdin ends.
func hold(args []string) error {
	s, err := openAt(args[0], "hold on")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Close())
}

// batchSize is how many records writeForEver puts into a batch.
const batchSize = 64

// writeForEver writes batch after batch into the mirror args[0], and says the
// number of each when it is there.
func writeForEver(args []string) error {
	s, err := openAt(args[0], "write")
	if err != nil {
		return err
	}
	v, err := s.PutVersion(store.Version{Ref: demo, Manifest: store.Manifest{Digest: digest("a")}})
	if err != nil {
		return err
	}
	files, _, err := s.Totals(v.ID)
	if err != nil {
		return err
	}
	for from := files; ; from += batchSize {
		if err := s.PutPartials(store.Partial{Digest: digestOf(from), Ref: demo}); err != nil {
			return err
		}
		if err := s.Commit(store.Batch{ID: v.ID, Put: verifiedRange(from, batchSize), Done: []manifest.Digest{digestOf(from)}}); err != nil {
			return err
		}
		fmt.Println(from)
	}
}

func read(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	return string(b)
}

func ownerPath(dir string) string { return filepath.Join(dir, store.Dir, "owner") }
