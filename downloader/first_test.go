package downloader_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
	"mimicsync/store"
)

// signedOut is what a login service in trouble says of an account.
var signedOut = &source.AccessError{Denial: source.BadCredentials, Source: "physionet", User: "ada"}

// The very first answer for a file, when nothing has come yet, is wrong, and the next
// one would be right.
func TestTheVeryFirstAnswerIsAHiccup(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error // nil: wrong bytes
	}{
		{"not there", source.ErrNotExist},
		{"a refusal", forbidden},
		{"a login that is doubted", signedOut},
		{"other bytes", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 25)
			var answers atomic.Int64
			first := func(r source.Request) bool { return r.Path != manifest.Name && answers.Add(1) == 1 }
			if tt.err != nil {
				f.answer = func(r source.Request) error {
					if first(r) {
						return tt.err
					}
					return nil
				}
			} else {
				f.spoil = func(r source.Request, o *source.Object) {
					if first(r) {
						replaced(o, "502 bad gateway, said a proxy")
					}
				}
			}
			inFakeTime(t, budgeted(3, f), func(t *testing.T, r *rig) {
				wantFiles(t, r.patiently(), store.Complete, store.Files{Total: 25, Fetched: 25})
				if n := f.requests(); n > 25+1+2 {
					t.Errorf("%d requests for 25 files", n)
				}
			})
		})
	}
}

// After the manifest nothing is right for a while: not one file came by which the host
// could be compared. All wait, one asks.
func TestTroubleBeforeTheFirstFile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error // nil: wrong bytes
		lasts time.Duration
	}{
		{"other bytes", nil, 11 * time.Second},
		{"no files", source.ErrNotExist, 13 * time.Second},
		{"refusals", forbidden, 12 * time.Second},
		{"a login that is doubted", signedOut, 14 * time.Second},
		{"pages", source.ErrWebPage, 3 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 120)
			if tt.err != nil {
				f.befall(sick(tt.err))
			}
			inFakeTime(t, budgeted(8, f), func(t *testing.T, r *rig) {
				if tt.err == nil {
					f.spoil = func(r source.Request, o *source.Object) {
						if r.Path != manifest.Name {
							replaced(o, "it works!\n")
						}
					}
				}
				during := 0
				later(tt.lasts, func() {
					during = f.requests()
					f.befall(nil)
					f.mu.Lock()
					defer f.mu.Unlock()
					f.spoil = nil
				})
				report := r.patiently()
				wantFiles(t, report, store.Complete, store.Files{Total: 120, Fetched: 120})
				if during == 0 || during > 20 {
					t.Errorf("%d requests in %v of trouble, want at most 20", during, tt.lasts)
				}
				if report.Elapsed > 2*tt.lasts+20*time.Second {
					t.Errorf("the pass took %v", report.Elapsed)
				}
				t.Logf("%d requests in %v; done after %v", during, tt.lasts, report.Elapsed)
			})
		})
	}
}

// The first folder of a version is not there, or closed, or wrong, for good, and
// nothing came before it: the other folders come all the same, soon.
func TestAFirstFolderThatIsBrokenForGood(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error // nil: wrong bytes
		want failure.Reason
	}{
		{"not there", source.ErrNotExist, failure.ReasonNotFound},
		{"closed", forbidden, failure.ReasonDenied},
		{"wrong", nil, failure.ReasonChecksum},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 210) // 30 in each of seven folders
			isBad := func(r source.Request) bool { return strings.HasPrefix(r.Path, "p00/") }
			f.answer = func(r source.Request) error {
				if isBad(r) {
					return tt.err
				}
				return nil
			}
			f.spoil = func(r source.Request, o *source.Object) {
				if isBad(r) {
					replaced(o, "of another edition")
				}
			}
			inFakeTime(t, budgeted(4, f), func(t *testing.T, r *rig) {
				report := r.patiently()
				wantFiles(t, report, store.Incomplete, store.Files{Total: 210, Fetched: 180, Failed: 30})
				if got := reasonOf(report, "p00/0007.dat"); got != string(tt.want) {
					t.Errorf("it failed because of %q, want %q", got, tt.want)
				}
				if report.Elapsed > 2*time.Minute {
					t.Errorf("the pass took %v", report.Elapsed)
				}
				t.Logf("%d requests, %v", f.requests(), report.Elapsed)
			})
		})
	}
}

// Three hundred files are broken for good, beside others that come: once that is known,
// each costs one request.
func TestABrokenFolderCostsARequestForEachFile(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want failure.Reason
	}{
		{"not there", source.ErrNotExist, failure.ReasonNotFound},
		{"closed", forbidden, failure.ReasonDenied},
		{"pages", source.ErrWebPage, failure.ReasonNetwork},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFickle("physionet", 2100)
			f.answer = func(r source.Request) error {
				if strings.HasPrefix(r.Path, "p03/") {
					return tt.err
				}
				return nil
			}
			inFakeTime(t, budgeted(6, f), func(t *testing.T, r *rig) {
				report := r.patiently()
				wantFiles(t, report, store.Incomplete, store.Files{Total: 2100, Fetched: 1800, Failed: 300})
				if got := reasonOf(report, "p03/0010.dat"); got != string(tt.want) {
					t.Errorf("it failed because of %q, want %q", got, tt.want)
				}
				broken := f.requests() - 1801
				if broken > 420 || report.Elapsed > 30*time.Second {
					t.Errorf("%d requests for 300 broken files, in %v", broken, report.Elapsed)
				}
				t.Logf("%d requests for them, in %v", broken, report.Elapsed)
			})
		})
	}
}

// A login that was good for the manifest, and is doubted for files until the pass gives
// up, is the account's matter then.
func TestALoginThatIsDoubtedForGood(t *testing.T) {
	f := newFickle("physionet", 80)
	f.befall(sick(signedOut))
	inFakeTime(t, budgeted(5, f), func(t *testing.T, r *rig) {
		report, err := r.tryPull(t.Context())
		if access, ok := errors.AsType[*source.AccessError](err); !ok || access.Denial != source.BadCredentials {
			t.Errorf("Pull = %v, want that the account is refused", err)
		}
		if n := f.requests(); n > 30 || report.Elapsed > time.Minute {
			t.Errorf("%d requests in %v, want few: each costs the server a hash", n, report.Elapsed)
		}
	})
}

// The only source asked for files is not the one of the manifest, and lacks the first
// of them for a moment.
func TestALoneCopyIsAskedAgain(t *testing.T) {
	t.Parallel()
	files := manyFiles(6, 900)
	a, p := newAmazon(t, nil, withManifest(files...)...), newSite(t, nil, project(files...))
	a.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusNotFound, Reason: "NoSuchKey", Times: 1})
	authority := p.source(t, physionet.Credentials{}, 2)
	r := newRig(t, rigOptions{sources: []host.Source{a.source}, authority: &authority})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 6, Fetched: 6})
}

// For most of half a minute the manifest is something else, or half of it: it is asked
// for again all that time, less and less often, and no longer.
func TestAManifestThatIsNoneForAWhile(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"empty", ""},
		{"garbage", "upstream connect error\n"},
		{"half a line", "5f3a1c"},
		{"zeros", strings.Repeat("\x00", 4000)},
	} {
		for _, lasts := range []time.Duration{20 * time.Second, time.Hour} {
			t.Run(tt.name+" for "+lasts.String(), func(t *testing.T) {
				f := newFickle("physionet", 9)
				f.spoil = func(r source.Request, o *source.Object) {
					if r.Path == manifest.Name {
						replaced(o, tt.text)
					}
				}
				inFakeTime(t, budgeted(2, f), func(t *testing.T, r *rig) {
					mended := time.AfterFunc(lasts, func() {
						f.mu.Lock()
						defer f.mu.Unlock()
						f.spoil = nil
					})
					defer mended.Stop()
					report, err := r.tryPull(t.Context())
					switch {
					case lasts < time.Minute:
						must(t, err)
						wantFiles(t, report, store.Complete, store.Files{Total: 9, Fetched: 9})
					case !errors.Is(err, failure.ErrManifest) || errors.Is(err, failure.ErrNoService):
						t.Errorf("Pull = %v, want what is wrong with the manifest", err)
					}
					if report.Elapsed < min(lasts, 30*time.Second) || report.Elapsed > 53*time.Second { // half a minute, and the longest wait, which is 15 s and half of it
						t.Errorf("the pass took %v, want about half a minute", report.Elapsed)
					}
					if n := f.askedFor(manifest.Name); n < 3 || n > 12 {
						t.Errorf("%d requests for the manifest in %v, want a few", n, report.Elapsed)
					}
				})
			})
		}
	}
}
