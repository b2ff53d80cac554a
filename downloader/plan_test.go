package downloader_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
	"mimicsync/store"
)

func (r *rig) plan(include ...string) *report.Plan {
	r.t.Helper()
	selection, err := manifest.NewSelection(include, nil)
	must(r.t, err)
	p, err := r.syncer.Plan(r.t.Context(), demo, selection)
	must(r.t, err)
	return p
}

func (r *rig) wantSourcePlans(p *report.Plan, want ...report.SourcePlan) {
	r.t.Helper()
	if diff := cmp.Diff(want, p.Sources); diff != "" {
		r.t.Errorf("sources of the plan (-want +got):\n%s", diff)
	}
}

// A listing counts to the byte, and only what the manifest has and the mirror
// lacks; who does not list gets the published size.
func TestAPlanComparesTheSources(t *testing.T) {
	t.Parallel()
	files := []lookalike.GeneratedFile{file("hosp/a", 3*mega), file("hosp/b", 1000), file("icu/c", 500), file("icu/d", 20)}
	s := newAmazon(t, nil, withManifest(append(files[:3:3], file("demo-1.0.zip", 4*mega))...)...) // d is not there
	g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{NoList: true}, files...)
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{s.source, dear(g.source), authority}, authority: &authority})
	r.plant("icu/c", content(t, files[2]))
	r.pull("icu/c")

	price := cost.Price{PerGB: 1e9, Per10000Requests: 1e9}
	r.wantSourcePlans(r.plan(),
		report.SourcePlan{Name: "s3", Files: 2, Lacks: 1, Bytes: 3*mega + 1000, Basis: report.BasisListing},
		report.SourcePlan{Name: "gcs", Files: 3, Bytes: 3*mega + 1020, Basis: report.BasisPublished, Price: price, Cost: price.Cost(3*mega+1020, 3)},
		report.SourcePlan{Name: "physionet", Files: 3, Bytes: 3*mega + 1020, Basis: report.BasisPublished})
	// Of a part, PhysioNet has not said the size.
	share := int64(3*mega+1520) / 4
	r.wantSourcePlans(r.plan("hosp/b"),
		report.SourcePlan{Name: "s3", Files: 1, Bytes: 1000, Basis: report.BasisListing},
		report.SourcePlan{Name: "gcs", Files: 1, Bytes: share, Basis: report.BasisShare, Price: price, Cost: price.Cost(share, 1)},
		report.SourcePlan{Name: "physionet", Files: 1, Bytes: share, Basis: report.BasisShare})
	r.wantSourcePlans(r.plan("icu/c"),
		report.SourcePlan{Name: "s3", Basis: report.BasisPublished},
		report.SourcePlan{Name: "gcs", Basis: report.BasisPublished, Price: price},
		report.SourcePlan{Name: "physionet", Basis: report.BasisPublished})
}

// Beside a pass a plan goes by the manifest that is known, and asks nobody.
func TestAPlanByWhatIsKnown(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", 1000), file("b", 500)))
	r := newRig(t, rigOptions{site: s})
	if _, err := r.syncer.PlanAsKnown(t.Context(), nil, demo, selectAll); !errors.Is(err, failure.ErrNoManifest) {
		t.Errorf("PlanAsKnown() = %v, want %v", err, failure.ErrNoManifest)
	}
	r.pull("a")
	s.Reset()
	plan, err := r.syncer.PlanAsKnown(t.Context(), []string{"physionet"}, demo, selectAll)
	must(t, err)
	if plan.Present != 1 || plan.Fetch != 1 || plan.Sources[0].Bytes < 400 || plan.Sources[0].Bytes > 600 {
		t.Errorf("PlanAsKnown() = %+v, want the 500 bytes of b to fetch", plan)
	}
	if n := s.Counters().Requests; n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

// A plan looks at the mirror: what lies in the version's folder stays, and nothing
// comes into it.
func TestAPlanLeavesTheFolderAsItIs(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", 1000)))
	r := newRig(t, rigOptions{site: s})
	r.plan()
	if _, err := os.Lstat(filepath.Join(r.dir, "demo")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a plan made the dataset's folder (%v)", err)
	}
	r.plant(manifest.Name, []byte("of wget"))
	r.plan()
	if got := string(r.read(manifest.Name)); got != "of wget" {
		t.Errorf("a plan replaced the manifest by %q", got)
	}
	r.pull()
	if got := string(r.read(manifest.Name)); got != sums(file("a", 1000)) {
		t.Errorf("the manifest is %q after a pull, want the published one", got)
	}
}

// Nobody knows the size: neither time nor money is made up.
func TestAPlanSaysWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	p := newSite(t, nil, handmade(sums(file("a", 1000)), file("a", 1000)))
	r := newRig(t, rigOptions{sources: []host.Source{dear(p.source(t, physionet.Credentials{}, 4))}})
	must(t, r.store.PutRate("physionet", store.SmallFiles, rate(1e6, 10, time.Second)))
	plan := r.plan()
	if got := plan.Sources[0]; got.Bytes != -1 || got.Basis != report.BasisUnknown || got.Cost != -1 || got.Time != 0 || got.Rate.Files != 10 {
		t.Errorf("plan = %+v, want bytes, cost and time unknown", got)
	}
}

func rate(bytes, files int64, elapsed time.Duration) store.Rate {
	return store.Rate{Bytes: bytes, Files: files, Elapsed: elapsed, At: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}
}

// Small files take the time of their requests, large ones that of their bytes.
func TestTheTimeOfAPlan(t *testing.T) {
	t.Parallel()
	small, large := rate(1e6, 1000, time.Second), rate(100e6, 2, time.Second)
	for _, tt := range []struct {
		name  string
		files []lookalike.GeneratedFile
		known map[store.Kind]store.Rate
		want  time.Duration
	}{
		{"small files by their number", manyFiles(3000, 10), map[store.Kind]store.Rate{store.SmallFiles: small, store.LargeFiles: large}, 3 * time.Second},
		{"small files by their bytes", manyFiles(10, 500_000), map[store.Kind]store.Rate{store.SmallFiles: small}, 5 * time.Second},
		{"large files", manyFiles(5, 2_000_000), map[store.Kind]store.Rate{store.SmallFiles: small, store.LargeFiles: large}, 100 * time.Millisecond},
		{"small files, after a pass of large ones", manyFiles(3000, 1000), map[store.Kind]store.Rate{store.LargeFiles: large}, 30 * time.Millisecond},
		{"after no pass", manyFiles(3, 1000), nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newSite(t, nil, project(tt.files...))
			r := newRig(t, rigOptions{site: p})
			for kind, rate := range tt.known {
				must(t, r.store.PutRate("physionet", kind, rate))
			}
			if got := r.plan().Sources[0].Time; got != tt.want {
				t.Errorf("time = %v, want %v", got, tt.want)
			}
		})
	}
}

// A pass leaves the rate of who gave most of it, for the plans to come.
func TestAPassRemembersItsRates(t *testing.T) {
	t.Parallel()
	files := manyFiles(150, 3000)
	s := newAmazon(t, nil, files[:140]...)
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{s.source, authority}, authority: &authority})
	r.pull()
	got, known, err := r.store.Rate("s3", store.SmallFiles)
	if !known || err != nil || got.Files != 140 || got.Elapsed <= 0 || time.Since(got.At) > time.Minute {
		t.Errorf("Rate(s3) = %+v, %v, %v, want 140 files", got, known, err)
	}
	if got, known, _ := r.store.Rate("physionet", store.SmallFiles); known {
		t.Errorf("Rate(physionet) = %+v of the ten files that s3 lacks", got)
	}
	r.pull() // has nothing to do, and nothing to say
	if again, _, _ := r.store.Rate("s3", store.SmallFiles); !again.At.Equal(got.At) {
		t.Errorf("Rate(s3) = %+v after a pass without a transfer, want it as it was", again)
	}
}

// A pass that is interrupted in a big file leaves no rate: what came of that file
// counts only when it is whole, and the time has passed already. The next one does.
func TestAnInterruptedFileLeavesNoRate(t *testing.T) {
	t.Parallel()
	files := []lookalike.GeneratedFile{file("a.csv", 2*mega), file("big.csv", 40*mega)}
	s := newSite(t, func(l *lookalike.Server) { l.BytesPerSecondPerConn = 20 * mega }, project(files...))
	r := newRig(t, rigOptions{site: s})
	r.interrupt(12 * mega)
	if got, known, err := r.store.Rate("physionet", store.LargeFiles); known || err != nil {
		t.Errorf("Rate = %+v, %v after the interruption, want none", got, err)
	}
	r.pull()
	if got, known, err := r.store.Rate("physionet", store.LargeFiles); !known || err != nil || got.Bytes < 10*mega {
		t.Errorf("Rate = %+v, %v, %v, want that of the second pass", got, known, err)
	}
}
