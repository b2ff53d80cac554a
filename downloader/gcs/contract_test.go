package gcs_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"mimicsync/downloader/gcs"
	"mimicsync/downloader/sourcetest"
)

// TestContractWithEmulator is the contract against a server that is not ours,
// so that the look-alike cannot lead us astray.
func TestContractWithEmulator(t *testing.T) {
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
