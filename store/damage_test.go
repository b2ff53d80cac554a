package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"mimicsync/manifest"
	"mimicsync/store"
)

// refuses wants Open to fail and to leave the file as it is.
func refuses(t *testing.T, place store.Place, want error) {
	t.Helper()
	_ = refusal(t, place, want) // what it says does not matter
}

// refusal is refuses, and the error.
func refusal(t *testing.T, place store.Place, want error) error {
	t.Helper()
	before := read(t, place.File())
	s, err := store.Open(place, "test")
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, want) {
		t.Errorf("Open(%s) = %v, want %v", place.File(), err, want)
	}
	if err == nil || !strings.Contains(err.Error(), place.File()) {
		t.Errorf("Open(%s) = %v, want the file's name in it", place.File(), err)
	}
	if read(t, place.File()) != before {
		t.Errorf("Open(%s) changed the file that it refused", place.File())
	}
	if _, err := os.Stat(ownerPath(place.Mirror)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(owner) after a refusal = %v, want no owner", err)
	}
	return err
}

// withFile is the place of a mirror whose state file has these bytes.
func withFile(t *testing.T, data []byte) store.Place {
	t.Helper()
	place := locate(t, t.TempDir(), "")
	must(t, os.WriteFile(place.File(), data, 0o600))
	return place
}

// sample is the state file of a mirror in use, without the room that bbolt
// keeps at its end.
func sample(t *testing.T, records int64) []byte {
	t.Helper()
	place := locate(t, t.TempDir(), "")
	s, err := store.Open(place, "test")
	must(t, err)
	m := &mirror{Store: s, t: t, place: place}
	id := m.put(demo, "a").ID
	for from := int64(0); from < records; from += 1000 {
		m.commit(store.Batch{ID: id, Put: verifiedRange(from, min(1000, records-from))})
	}
	must(t, m.PutPartials(store.Partial{Digest: digest("p"), Ref: demo, Path: "p"}))
	must(t, m.AddPass(demo, store.Pass{Start: noon}))
	m.close()
	db, err := bolt.Open(place.File(), 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	must(t, err)
	var used int64
	must(t, db.View(func(tx *bolt.Tx) error { used = tx.Size(); return nil }))
	must(t, db.Close())
	return []byte(read(t, place.File()))[:used]
}

func TestOpenRandomBytes(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{1, 100, 4095, 4096, 8192, 100_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			data := make([]byte, size)
			_, _ = random.Read(data)
			refuses(t, withFile(t, data), store.ErrDamaged)
		})
	}
	t.Run("zeros", func(t *testing.T) {
		refuses(t, withFile(t, make([]byte, 32768)), store.ErrDamaged)
	})
	t.Run("HTML", func(t *testing.T) {
		refuses(t, withFile(t, bytes.Repeat([]byte("<html>"), 5000)), store.ErrDamaged)
	})
}

// A file of no bytes is what a crash leaves that came before the first write:
// nothing is lost by starting with it.
func TestOpenEmptyFile(t *testing.T) {
	m := openMirror(t, withFile(t, nil))
	m.put(demo, "a")
}

func TestOpenCutFile(t *testing.T) {
	whole := sample(t, 5000)
	for _, keep := range []int{len(whole) / 2, len(whole) / 4, 3 * 4096, 2 * 4096, 4096 + 100} {
		for _, crashed := range []bool{false, true} {
			t.Run(fmt.Sprint(keep, crashed), func(t *testing.T) {
				place := withFile(t, whole[:keep])
				if !crashed {
					refuses(t, place, store.ErrDamaged)
					return
				}
				must(t, os.WriteFile(ownerPath(place.Mirror), []byte("{}\n"), 0o600))
				s, err := store.Open(place, "test")
				if err == nil {
					_ = s.Close()
				}
				if !errors.Is(err, store.ErrDamaged) {
					t.Errorf("Open = %v, want ErrDamaged", err)
				}
				if read(t, place.File()) != string(whole[:keep]) {
					t.Error("Open changed the file that it refused")
				}
			})
		}
	}
}

// After it was refused, the file can be put right and opened by the same process.
func TestOpenAgainAfterDamage(t *testing.T) {
	whole := sample(t, 2000)
	place := withFile(t, whole[:len(whole)/4])
	refuses(t, place, store.ErrDamaged)
	must(t, os.WriteFile(place.File(), whole, 0o600))
	m := openMirror(t, place)
	v, _, err := m.Version(demo)
	must(t, err)
	if got := len(m.offsets(v.ID)); got != 2000 {
		t.Errorf("%d records, want 2000", got)
	}
}

// foreign makes a database that is not ours.
func foreign(t *testing.T, o bolt.Options, fill func(tx *bolt.Tx) error) store.Place {
	t.Helper()
	place := locate(t, t.TempDir(), "")
	db, err := bolt.Open(place.File(), 0o600, &o)
	must(t, err)
	must(t, db.Update(fill))
	must(t, db.Close())
	return place
}

func TestOpenDatabaseOfAnotherProgram(t *testing.T) {
	other := func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("key"))
		if err != nil {
			return err
		}
		return b.Put([]byte("a"), []byte("b"))
	}
	t.Run("any", func(t *testing.T) {
		refuses(t, foreign(t, bolt.Options{}, other), store.ErrDamaged)
	})
	t.Run("without a free list, as etcd's", func(t *testing.T) {
		refuses(t, foreign(t, bolt.Options{NoFreelistSync: true}, other), store.ErrDamaged)
	})
	t.Run("with a bucket meta", func(t *testing.T) {
		refuses(t, foreign(t, bolt.Options{}, func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("meta"))
			if err != nil {
				return err
			}
			return b.Put([]byte("schema"), []byte("v1"))
		}), store.ErrDamaged)
	})
}

func TestOpenNewerSchema(t *testing.T) {
	for _, schema := range []uint32{2, 1 << 31} {
		place := foreign(t, bolt.Options{}, func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("meta"))
			if err != nil {
				return err
			}
			return b.Put([]byte("schema"), binary.BigEndian.AppendUint32(nil, schema))
		})
		err := refusal(t, place, store.ErrNewerSchema)
		if want := fmt.Sprint("schema ", schema); err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want %q in it", err, want)
		}
	}
}

// A file that names our schema and lacks a bucket is damaged, and not a reason
// to crash.
func TestOpenLacksBuckets(t *testing.T) {
	place := foreign(t, bolt.Options{}, func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		return b.Put([]byte("schema"), binary.BigEndian.AppendUint32(nil, 1))
	})
	s, err := store.Open(place, "test")
	if err == nil {
		_, err = s.Versions()
		_ = s.Close()
	}
	if !errors.Is(err, store.ErrDamaged) {
		t.Errorf("Open, Versions = %v, want ErrDamaged", err)
	}
}

// ways to damage a page of 4096 bytes that begins with 16 of header.
var ways = []struct {
	name   string
	damage func(page, file []byte, random *rand.Rand)
}{
	{"random", func(page, _ []byte, random *rand.Rand) { fill(page, random) }},
	{"random body", func(page, _ []byte, random *rand.Rand) { fill(page[16:], random) }},
	{"zeros", func(page, _ []byte, _ *rand.Rand) { clear(page) }},
	{"ones", func(page, _ []byte, _ *rand.Rand) { copy(page, bytes.Repeat([]byte{0xff}, len(page))) }},
	{"another page", func(page, file []byte, random *rand.Rand) {
		from := random.IntN(len(file)/4096) * 4096
		copy(page, file[from:from+4096])
	}},
	{"some bytes", func(page, _ []byte, random *rand.Rand) {
		for range 8 {
			page[random.IntN(256)] ^= 1 << random.IntN(8)
		}
	}},
}

func fill(b []byte, random *rand.Rand) {
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

// Whatever a page in the middle holds, it is ErrDamaged that says so, and the
// process lives. Another process has a look, since a fault would end it.
func TestPageOverwritten(t *testing.T) {
	whole := sample(t, 5000)
	pages, n := len(whole)/4096, 48
	if testing.Short() {
		n = 12
	}
	random := rand.New(rand.NewPCG(1, 2))
	var dirs []string
	for i := range n {
		way := ways[i%len(ways)]
		data := slices.Clone(whole)
		page := 2 + random.IntN(pages-2)
		way.damage(data[page*4096:][:4096], whole, random)
		dir := filepath.Join(t.TempDir(), fmt.Sprintf("%03d %s in page %d", i, way.name, page))
		place := locate(t, dir, "")
		must(t, os.WriteFile(place.File(), data, 0o600))
		dirs = append(dirs, dir)
	}

	if probeIn(t, dirs) == 0 {
		t.Error("no damage was found")
	}
}

// probeIn has other processes probe mirrors, and counts the damaged ones.
func probeIn(t *testing.T, dirs []string) (found int) {
	t.Helper()
	for len(dirs) > 0 {
		p := startHelper(t, "probe", dirs...)
		done, problem := 0, ""
		for p.lines.Scan() {
			result, name, _ := strings.Cut(p.lines.Text(), " ")
			switch result {
			case "begin":
			case "damaged":
				found++
				done++
			case "fine": // the page was free, or nothing that matters was hit
				done++
			default:
				problem = result + " " + name
				done++
			}
		}
		err := p.Wait()
		if problem != "" {
			t.Errorf("%s\n%s", problem, head(p.stderr.String()))
		}
		if err != nil && done < len(dirs) {
			t.Errorf("the process crashed on %s: %v\n%s", filepath.Base(dirs[done]), err, head(p.stderr.String()))
			done++
		}
		dirs = dirs[done:]
	}
	return found
}

// head is the beginning of a stack trace: the fault, and the functions of the
// store and of bbolt.
func head(trace string) string {
	lines := slices.DeleteFunc(strings.Split(trace, "\n"), func(line string) bool {
		return !strings.Contains(line, "fault") && !strings.Contains(line, "store.") && !strings.Contains(line, "bbolt.")
	})
	return strings.Join(lines[:min(len(lines), 16)], "\n")
}

// probeAll does everything to each mirror, and says what came of it.
func probeAll(dirs []string) error {
	for _, dir := range dirs {
		fmt.Println("begin", filepath.Base(dir))
		result := make(chan error, 1)
		go func() { result <- probe(dir) }()
		select {
		case err := <-result:
			switch {
			case err == nil:
				fmt.Println("fine", filepath.Base(dir))
			case errors.Is(err, store.ErrDamaged):
				fmt.Println("damaged", filepath.Base(dir))
			default:
				fmt.Println("unexpected", filepath.Base(dir), err)
				return nil
			}
		case <-time.After(10 * time.Second):
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
			fmt.Println("hangs", filepath.Base(dir))
			return nil
		}
	}
	return nil
}

func probe(dir string) error {
	s, err := openAt(dir, "probe")
	if err != nil {
		return err
	}
	var all []error
	for id := range uint32(3) {
		_, err := s.Records(id, 0, 1<<30, nil)
		all = append(all, err)
		_, _, err = s.Totals(id)
		all = append(all, err)
	}
	for n := range int64(50) {
		_, err := s.Copies(digestOf(n*100), store.Located{}, 10)
		all = append(all, err)
	}
	_, err = s.Versions()
	all = append(all, err)
	_, err = s.Partials()
	all = append(all, err)
	_, err = s.Passes(demo, 10)
	all = append(all, err)
	all = append(all, s.Check())
	for i := range int64(3) {
		all = append(all,
			s.Commit(store.Batch{ID: 1, Put: verifiedRange(10_000+i*100, 100), Lost: verifiedRange(i*1000, 10)}),
			s.PutPartials(store.Partial{Digest: digestOf(i)}),
			s.AddPass(demo, store.Pass{Start: noon.Add(time.Hour)}),
		)
	}
	_, err = s.PutVersion(store.Version{Ref: demo, Manifest: store.Manifest{Digest: manifest.Digest{1}}})
	all = append(all, err, s.DropFormer(demo), s.Check(), s.Close())
	return errors.Join(all...)
}
