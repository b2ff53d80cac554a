package physionet_test

import (
	"net/http"
	"sync"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/manifest"
)

// account may read what restricted makes of a project.
var account = physionet.Credentials{User: "alice", Password: marker, From: "the test"}

func restricted(p lookalike.Project) lookalike.Project {
	p.Policy = lookalike.Restricted
	return p
}

func addAlice(site *lookalike.Server, signed ...string) {
	site.AddUser(lookalike.User{Name: account.User, Password: account.Password, Signed: signed})
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, objects map[string][]byte) sourcetest.Fixture {
		return fixture(t, publish(objects), physionet.Credentials{})
	})
}

func TestContractWithPassword(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, objects map[string][]byte) sourcetest.Fixture {
		return fixture(t, restricted(publish(objects)), account)
	})
}

func publish(objects map[string][]byte) lookalike.Project {
	var files []lookalike.GeneratedFile
	for path, data := range objects {
		if path != manifest.Name {
			files = append(files, lookalike.GeneratedFile{Path: path, Data: data})
		}
	}
	return lookalike.Project{Slug: sourcetest.Ref.Dataset, Title: "Demo", Versions: []lookalike.Version{{
		Version: sourcetest.Ref.Version, Files: lookalike.Generated(files), Manifest: objects[manifest.Name],
	}}}
}

func fixture(t *testing.T, p lookalike.Project, c physionet.Credentials) sourcetest.Fixture {
	t.Helper()
	site := lookalike.New(p)
	addAlice(site, sourcetest.Ref.String())
	var hang sync.Map // what the next request for a path does
	hs := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := hang.LoadAndDelete(r.URL.Path); ok {
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // a mere return would be an answer, which may overtake the client's leave
		}
		site.ServeHTTP(w, r)
	}))
	t.Cleanup(site.Close)
	address := func(path string) string {
		return "/files/" + sourcetest.Ref.Dataset + "/" + sourcetest.Ref.Version + "/" + path
	}
	inject := func(path string, f lookalike.Fault) {
		f.Path, f.Times = address(path), 1
		site.Inject(f)
	}
	return sourcetest.Fixture{
		Source: newSource(t, physionet.Options{URL: hs.URL, Credentials: c, Connections: 4}),
		Cut: func(path string, after int64) {
			inject(path, lookalike.Fault{Kind: lookalike.ShortBody, After: after})
		},
		Stall: func(path string, after int64) {
			inject(path, lookalike.Fault{Kind: lookalike.Stall, After: after})
		},
		Hang: func(path string) { hang.Store(address(path), true) },
	}
}
