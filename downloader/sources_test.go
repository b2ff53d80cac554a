package downloader_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
	"mimicsync/store"
)

// S3 lacks 10 %, GCS has 1 % wrong and denies 5 %, PhysioNet has all: the pass
// is complete, and says to the byte what came from where.
func TestThreeSourcesMakeOneCompleteMirror(t *testing.T) {
	const n = 400
	lacks := func(i int) bool { return i%10 == 3 }
	wrong := func(i int) bool { return i%100 == 23 }
	denied := func(i int) bool { return i%20 == 13 }
	var files, atAmazon []lookalike.GeneratedFile
	place := map[string]int{}
	fromS3, fromGCS, fromPhysioNet := report.SourceReport{Name: "s3"}, report.SourceReport{Name: "gcs"}, report.SourceReport{Name: "physionet"}
	give := func(r *report.SourceReport, f lookalike.GeneratedFile) {
		r.Files, r.Bytes = r.Files+1, r.Bytes+f.Size
	}
	for i := range n {
		f := file(fmt.Sprintf("files/p%02d/%03d.dcm", i/40, i), 1000+int64(i)*131)
		files, place[f.Path] = append(files, f), i
		switch {
		case !lacks(i):
			atAmazon = append(atAmazon, f)
			give(&fromS3, f)
		case wrong(i), denied(i):
			fromS3.Failed, fromGCS.Failed = fromS3.Failed+1, fromGCS.Failed+1
			give(&fromPhysioNet, f)
		default:
			fromS3.Failed++
			give(&fromGCS, f)
		}
	}
	a := newAmazon(t, nil, withManifest(atAmazon...)...)
	is := func(property func(int) bool) func(string) bool {
		return func(path string) bool { i, known := place[path]; return known && property(i) }
	}
	g := newGoogle(t, gcs.Options{}, lookalike.Bucket{Wrong: is(wrong), Denied: is(denied), NoList: true}, withManifest(files...)...)
	g.logIn(t, strings.TrimPrefix(fmt.Sprint(g.source.Source), "gcs at "))
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, g.source, authority}, authority: &authority})

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: n, Fetched: n})
	wantSources(t, report, fromS3, fromGCS, fromPhysioNet)
	if report.ManifestFrom != "physionet" || report.AuthorityErr != nil {
		t.Errorf("manifest from %s (%v), want physionet", report.ManifestFrom, report.AuthorityErr)
	}
	if got := fromS3.Bytes + fromGCS.Bytes + fromPhysioNet.Bytes; got != report.Bytes.Fetched {
		t.Errorf("the sources gave %d bytes, fetched were %d", got, report.Bytes.Fetched)
	}
	r.has(files...)
}

// badKey makes S3 refuse everything from some request on.
func (a *amazon) badKey(f lookalike.Fault) *lookalike.Injected {
	f.Kind, f.Code, f.Reason = lookalike.Status, http.StatusForbidden, "InvalidAccessKeyId"
	return a.Inject(f)
}

// A source that fails as a whole in mid-pass is dropped, which is said once, and
// the rest comes from the next.
func TestASourceIsDroppedInMidPass(t *testing.T) {
	t.Parallel()
	files := manyFiles(120, 3000)
	a := newAmazon(t, nil, files...)
	a.badKey(lookalike.Fault{Skip: 40})
	p := newSite(t, nil, project(files...))
	var log bytes.Buffer
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, authority}, authority: &authority, log: &log})

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 120, Fetched: 120})
	if report.Sources[0].Files != 40 || report.Sources[1].Files != 80 || report.Sources[0].Failed != 0 {
		t.Errorf("sources = %+v, want 40 files from the first and 80 from the second", report.Sources)
	}
	if got := report.Sources[0].Dropped; !strings.Contains(got, "doesn't know the access key") {
		t.Errorf("dropped = %q, want the reason", got)
	}
	if got := strings.Count(log.String(), "source dropped"); got != 1 {
		t.Errorf("%d messages about a dropped source, want one:\n%s", got, log.String())
	}
	if got := a.Counters().Requests; got > 40+3*(4+16) { // each of four connections, and who stands in for it while it waits, asks three times
		t.Errorf("%d requests to a source that refuses all from the 40th on", got)
	}
}

// A training that expires in mid-pass: file by file it looks like a closed
// folder, until the manifest is refused, too.
func TestASourceThatTurnsEverybodyAwayIsDropped(t *testing.T) {
	slow(t)
	files := manyFiles(60, 3000)
	p := newSite(t, ada(), guarded(files...))
	a := newAmazon(t, nil, withManifest(files...)...)
	r := newRig(t, rigOptions{sources: []host.Source{p.source(t, login, 4), a.source}})
	p.Sign("ada", "demo", "1.0")
	p.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden, Skip: 20})

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 60, Fetched: 60})
	if got := report.Sources[0]; got.Dropped == "" || got.Files == 0 || got.Failed > 20 { // of 40: five in a row, and what the other connections ask while the manifest is on its way
		t.Errorf("physionet = %+v, want it dropped after a few refusals", got)
	}
	r.has(files...)
}

// When the last source is dropped, the pass ends, and says why of each.
func TestAPassEndsWithItsLastSource(t *testing.T) {
	t.Parallel()
	files := manyFiles(60, 3000)
	a := newAmazon(t, nil, files...)
	a.badKey(lookalike.Fault{Skip: 10})
	g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{RequesterPays: true}, files...)
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, g.source}, authority: &authority})

	report, err := r.tryPull(t.Context())
	access, ok := errors.AsType[*source.AccessError](err)
	if !ok || access.Cause != source.CauseUnknownKey || !strings.Contains(err.Error(), "no billing project") || strings.Contains(err.Error(), "\n") {
		t.Errorf("Pull = %v, want what each source said in one line", err)
	}
	if n := report.Files.Fetched; report.State != store.Failed || n < 10-3 || n > 10 { // what the three other connections have in hand may be cut off
		t.Errorf("report = %+v, want failed, with what came before", report)
	}
}

// The source of a big file refuses in the middle of it, with parts of the file
// on their way: the start stays, and the next source goes on from there.
func TestABigFileGoesOnAtTheNextSource(t *testing.T) {
	slow(t)
	f := file("big.csv", 64*mega)
	a := newAmazon(t, func(l *lookalike.S3) { l.BytesPerSecondPerConn = 12 * mega }, f)
	a.badKey(lookalike.Fault{Skip: 5})
	g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{}, f)
	p := newSite(t, nil, project(f))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, g.source, authority}, authority: &authority})

	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	s3, gcs := report.Sources[0], report.Sources[1]
	if s3.Bytes < 8*mega || gcs.Bytes == 0 || s3.Bytes+gcs.Bytes != f.Size || gcs.Files != 1 {
		t.Errorf("sources = %+v, want the start from the first and the rest from the second", report.Sources)
	}
	if got := r.arrived.Fetched.Load() - report.Bytes.Discarded; got != f.Size {
		t.Errorf("%d bytes arrived and %d were discarded, want each other byte once", r.arrived.Fetched.Load(), report.Bytes.Discarded)
	}
	if n := asked(p, "big.csv"); n != 0 {
		t.Errorf("%d requests to the third source", n)
	}
}

// A source that lacks the file costs nothing of what another one gave of it
// before: not even the parts ahead of a gap.
func TestASourceThatLacksAFileTakesNothingOfIt(t *testing.T) {
	slow(t)
	f := file("big.csv", 64*mega)
	a := newAmazon(t, nil, file("other", 10))
	p := newSite(t, func(l *lookalike.Server) { l.BytesPerSecondPerConn = 12 * mega }, project(f))
	p.crawl(2 * mega)
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, authority}, authority: &authority})
	r.interrupt(30 * mega)
	partial, _ := r.partialOf()
	if len(partial.Ahead) == 0 {
		t.Fatalf("the record %+v speaks of no part ahead of a gap", partial)
	}
	r.reopen()

	result := r.pull()
	wantFiles(t, result, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(f)
	if result.Bytes.Discarded != 0 {
		t.Errorf("discarded %d bytes, want none", result.Bytes.Discarded)
	}
	wantSources(t, result, report.SourceReport{Name: "s3", Failed: 1},
		report.SourceReport{Name: "physionet", Files: 1, Bytes: r.arrived.Fetched.Load()})
}

// The first source breaks off and refuses; the second has other bytes, and
// changes them on top of that; the third is right.
func TestAChangedObjectAtTheSecondSource(t *testing.T) {
	slow(t)
	f := file("a.csv", 3*mega)
	a := newAmazon(t, nil, f)
	a.Inject(lookalike.Fault{Kind: lookalike.Reset, After: mega, Times: 1, Path: "a.csv"})
	a.badKey(lookalike.Fault{Skip: 1, Path: "a.csv"})
	g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{}, lookalike.GeneratedFile{Path: "a.csv", Size: 3 * mega, Seed: 7})
	g.Inject(lookalike.Fault{Kind: lookalike.Reset, After: mega, Times: 1, Path: "a.csv", Match: func(r *http.Request) bool { return !isPart(r) }})
	g.Inject(lookalike.Fault{Kind: lookalike.ChangeETag, Skip: 2, Times: 1, Path: "a.csv"})
	p := newSite(t, nil, project(f))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, g.source, authority}, authority: &authority})

	result := r.pull()
	wantFiles(t, result, store.Complete, store.Files{Total: 1, Fetched: 1})
	wantSources(t, result, report.SourceReport{Name: "s3"}, report.SourceReport{Name: "gcs", Failed: 1},
		report.SourceReport{Name: "physionet", Files: 1, Bytes: f.Size})
	r.has(f)
	if got, want := r.arrived.Fetched.Load()-result.Bytes.Discarded, f.Size; got != want {
		t.Errorf("%d bytes arrived and %d were discarded, want %d to be left", r.arrived.Fetched.Load(), result.Bytes.Discarded, want)
	}
}

// What a source had wrong is asked for there last, by the next process too.
func TestWhoWasWrongIsAskedLast(t *testing.T) {
	slow(t)
	right := same("a", "the right content")
	files := []lookalike.GeneratedFile{right, file("b", 1000)}
	a := newAmazon(t, nil, same("a", "some other content"), file("b", 1000))
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, authority}, authority: &authority})
	result := r.pull()
	wantFiles(t, result, store.Complete, store.Files{Total: 2, Fetched: 2})
	wantSources(t, result, report.SourceReport{Name: "s3", Files: 1, Bytes: 1000, Failed: 1},
		report.SourceReport{Name: "physionet", Files: 1, Bytes: int64(len(right.Data))})
	if n := asked(a, "a"); n != 2 {
		t.Errorf("s3 was asked %d times for what it has wrong, want twice", n)
	}

	must(t, os.Remove(r.path("a")))
	must(t, os.Remove(r.path("b")))
	r.reopen()
	a.Reset()
	result = r.pull()
	wantFiles(t, result, store.Complete, store.Files{Total: 2, Fetched: 2})
	if asked(a, "a") != 0 || asked(a, "b") != 1 {
		t.Errorf("s3 was asked %d times for what it had wrong, and %d for the other file, want none and once", asked(a, "a"), asked(a, "b"))
	}

	p.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusNotFound, Path: "a"})
	must(t, os.Remove(r.path("a")))
	result = r.pull()
	wantFiles(t, result, store.Incomplete, store.Files{Total: 2, Present: 1, Failed: 1})
	if asked(a, "a") == 0 {
		t.Error("s3 was not asked last, but not at all")
	}
	p.ClearFaults()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 1, Fetched: 1})
}

// No source has it right: the report says what each of them had.
func TestAnEntryThatNoSourceHasRight(t *testing.T) {
	slow(t)
	files := []lookalike.GeneratedFile{same("wrong", "right"), same("missing", "x"), same("mixed", "right")}
	a := newAmazon(t, nil, same("wrong", "other"))
	p := newSite(t, nil, handmade(sums(files...), same("wrong", "another"), same("mixed", "left")))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, authority}, authority: &authority})
	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 3, Failed: 3})
	for path, want := range map[string]failure.Reason{
		"wrong": failure.ReasonChecksum, "missing": failure.ReasonNotFound, "mixed": failure.ReasonChecksum,
	} {
		if got := reasonOf(report, path); got != string(want) {
			t.Errorf("%s: reason %s, want %s", path, got, want)
		}
	}
	for _, f := range report.Failures {
		if !strings.HasPrefix(f.Detail, "s3: ") || !strings.Contains(f.Detail, "; physionet: ") || strings.Contains(f.Detail, "\n") {
			t.Errorf("%s: detail %q, want what each source did in one line", f.Path, f.Detail)
		}
	}
}

// PhysioNet cannot be heard: the manifest is that of the first source which has
// it, and the report says so. What PhysioNet said before counts more.
func TestTheAuthorityIsNotHeard(t *testing.T) {
	t.Parallel()
	files := manyFiles(10, 3000)
	older := files[:9] // the copies lag
	for _, tt := range []struct {
		name  string
		quiet func(*site)
	}{
		{"no account", func(s *site) { s.Publish(guarded(files...)) }},
		{"no such version", func(s *site) {
			s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusNotFound})
		}},
		{"trouble", func(s *site) {
			s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusBadGateway})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			p := newSite(t, nil, project(files...))
			a := newAmazon(t, nil, files...)
			g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{}, withManifest(older...)...)
			authority := p.source(t, physionet.Credentials{}, 4)
			options := rigOptions{sources: []host.Source{a.source, g.source}, authority: &authority}
			known := newRig(t, options)
			known.pull()
			tt.quiet(p)

			report := newRig(t, options).pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 9, Fetched: 9})
			if report.ManifestFrom != "gcs" || report.AuthorityErr == nil {
				t.Errorf("manifest from %s, authority %v, want gcs and why", report.ManifestFrom, report.AuthorityErr)
			}

			must(t, os.Remove(known.path(files[9].Path)))
			report = known.pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 10, Present: 9, Fetched: 1})
			if report.ManifestFrom != "physionet" || report.AuthorityErr == nil {
				t.Errorf("manifest from %s, authority %v, want PhysioNet's of before and why", report.ManifestFrom, report.AuthorityErr)
			}
		})
	}
}

// Nobody has the manifest: what counts is what the authority said.
func TestNobodyHasTheManifest(t *testing.T) {
	t.Parallel()
	p := newSite(t, nil, guarded(file("a", 10)))
	a := newAmazon(t, nil, file("a", 10))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source}, authority: &authority})
	_, err := r.tryPull(t.Context())
	wantDenial(t, err, source.NoCredentials)
	if first, rest, _ := strings.Cut(err.Error(), "\n"); !strings.HasPrefix(first, "physionet asks for") || !strings.Contains(rest, "s3: ") {
		t.Errorf("Pull = %v, want PhysioNet's words first, and then the others'", err)
	}
}

// What came from PhysioNet and is no manifest is not replaced by that of a copy.
func TestABadManifestIsNotReplacedByACopy(t *testing.T) {
	slow(t)
	p := newSite(t, nil, handmade("garbage\n", file("a", 10)))
	a := newAmazon(t, nil, withManifest(file("a", 10))...)
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source}, authority: &authority})
	if _, err := r.tryPull(t.Context()); !errors.Is(err, failure.ErrManifest) {
		t.Errorf("Pull = %v, want %v", err, failure.ErrManifest)
	}
	if n := asked(a, manifest.Name); n != 0 {
		t.Errorf("the copy was asked %d times for the manifest", n)
	}
}

// A pass asks the sources that it is told to, in that order, and no other.
func TestAPassChoosesItsSources(t *testing.T) {
	t.Parallel()
	first, second := manyFiles(20, 2000), []lookalike.GeneratedFile{file("late", 500)}
	all := append(first, second...)
	a, p := newAmazon(t, nil, withManifest(all...)...), newSite(t, nil, project(all...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{authority, a.source}, authority: &authority})
	pullFrom := func(include string, sources ...string) (*report.Report, error) {
		selection, err := manifest.NewSelection([]string{include}, nil)
		must(t, err)
		return r.syncer.PullFrom(t.Context(), sources, demo, selection, new(progress.Progress))
	}

	result, err := pullFrom("files/**", "s3", "physionet")
	must(t, err)
	if len(result.Sources) != 2 || result.Sources[0].Name != "s3" || result.Sources[0].Files != 20 {
		t.Errorf("sources = %+v, want all 20 files from s3, which comes first", result.Sources)
	}
	result, err = pullFrom("late", "s3")
	must(t, err)
	wantSources(t, result, report.SourceReport{Name: "s3", Files: 1, Bytes: 500})
	if got := p.Counters().Files; got != 0 {
		t.Errorf("physionet gave %d files, want none", got)
	}
	for _, names := range [][]string{{"s4"}, {"s3", "s3"}} {
		result, err = pullFrom("late", names...)
		if !errors.Is(err, failure.ErrSources) || result.State != store.Failed || !errors.Is(result.Err, err) {
			t.Errorf("PullFrom(%v) = %+v, %v, want failed with %v", names, result, err, failure.ErrSources)
		}
	}
}
