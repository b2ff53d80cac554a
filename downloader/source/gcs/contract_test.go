package gcs_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/sourcetest"
)

// TestContractWithEmulator is the contract against a server that is not ours,
// so that the look-alike cannot lead us astray.
func TestContractWithEmulator(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	sourcetest.Run(t, func(t *testing.T, objects map[string][]byte) sourcetest.Fixture {
		hs, address := unstarted(t)
		bucket := gcs.DefaultBucket(sourcetest.Ref)
		var initial []fakestorage.Object
		for path, data := range objects {
			initial = append(initial, fakestorage.Object{
				ObjectAttrs: fakestorage.ObjectAttrs{BucketName: bucket, Name: path, Generation: int64(1e15 + len(initial))},
				Content:     data,
			})
		}
		// PublicHost is where it answers the XML API.
		emulator, err := fakestorage.NewServerWithOptions(fakestorage.Options{InitialObjects: initial, NoListener: true, PublicHost: address})
		if err != nil {
			t.Fatal(err)
		}
		var hang sync.Map // what the next request for a path does
		start(t, hs, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, ok := hang.LoadAndDelete(r.URL.Path); ok {
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			}
			emulator.HTTPHandler().ServeHTTP(w, r)
		}))
		return sourcetest.Fixture{
			Source: newSource(t, gcs.Options{Endpoint: "http://" + address, Anonymous: true}),
			Hang:   func(path string) { hang.Store(strings.Join([]string{"", bucket, path}, "/"), true) },
		}
	})
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, objects map[string][]byte) sourcetest.Fixture {
		return fixture(t, lookalike.Bucket{Name: bucketOf, Objects: objectsOf(objects)}, gcs.Options{Anonymous: true})
	})
}

// TestContractWithLogin is the contract as most people meet it: a login, a
// bucket for few, and a bill.
func TestContractWithLogin(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	sourcetest.Run(t, func(t *testing.T, objects map[string][]byte) sourcetest.Fixture {
		b := lookalike.Bucket{Name: bucketOf, Objects: objectsOf(objects), RequesterPays: true, Readers: []string{robot}}
		return fixture(t, b, gcs.Options{BillingProject: "the-lab"})
	})
}

func fixture(t *testing.T, b lookalike.Bucket, o gcs.Options) sourcetest.Fixture {
	t.Helper()
	store := lookalike.NewGCS(b)
	store.PutAccount(lookalike.Account{Email: robot, Projects: []string{"the-lab"}})
	hs, host := unstarted(t)
	var hang sync.Map // what the next request for a path does
	start(t, hs, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := hang.LoadAndDelete(r.URL.Path); ok {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(store.Close)
	o.Endpoint = "http://" + host
	if !o.Anonymous {
		logInAsRobot(t, o.Endpoint, "")
	}
	address := func(path string) string { return "/" + b.Name + "/" + path }
	inject := func(path string, f lookalike.Fault) {
		f.Path, f.Times = address(path), 1
		store.Inject(f)
	}
	return sourcetest.Fixture{
		Source: newSource(t, o),
		Cut:    func(path string, after int64) { inject(path, lookalike.Fault{Kind: lookalike.ShortBody, After: after}) },
		Stall:  func(path string, after int64) { inject(path, lookalike.Fault{Kind: lookalike.Stall, After: after}) },
		Hang:   func(path string) { hang.Store(address(path), true) },
	}
}
