package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/daemon/dashboard"
	"mimicsync/downloader"
	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/tree"
	"mimicsync/store"
)

// serve runs a daemon over an empty mirror, fed by a slow look-alike of PhysioNet
// with one dataset, and returns the address of its page and the token for changes.
func serve(t *testing.T) (address, token string) {
	t.Helper()
	address, token, _ = serveSite(t, slowSite(t))
	return address, token
}

// serveSite does so for another site.
func serveSite(t *testing.T, url string) (address, token string, d *daemon.Daemon) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	mirror := t.TempDir()
	d = daemonOf(t, mirror, url)
	token, err := api.Token(mirror, "")
	must(t, err)
	server := api.New(d, api.Options{
		Mirror: mirror, Listen: []string{"127.0.0.1:0"}, Token: token,
		Page: dashboard.New(dashboard.Options{Daemon: d, MayChange: api.MayChange}),
	})
	must(t, server.Listen(ctx))
	ended := make(chan error, 2)
	go func() { ended <- d.Run(ctx) }()
	go func() { ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	return "http://" + server.Addresses()[0], token, d
}

// slowSite serves a dataset of 2.4 MB that takes six seconds over two connections.
func slowSite(t *testing.T) (url string) {
	t.Helper()
	files := lookalike.Generated(lookalike.CXR(60, func(int) int64 { return 40_000 }))
	sums := files.Manifest()
	site := lookalike.New(lookalike.Project{
		Slug: "cxr-demo", Title: "A demo in the layout of MIMIC-CXR", Policy: lookalike.Open,
		Versions: []lookalike.Version{{Version: "1.0", Files: files, Manifest: sums, Bytes: files.Bytes() + int64(len(sums))}},
	})
	site.BytesPerSecondPerConn = 200_000
	return serveLookalike(t, site)
}

// busySite wants to be left alone for a minute and a half.
func busySite(t *testing.T) (url string) {
	t.Helper()
	site := lookalike.New()
	site.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusServiceUnavailable, RetryAfter: "90"})
	return serveLookalike(t, site)
}

func serveLookalike(t *testing.T, site *lookalike.Server) (url string) {
	t.Helper()
	h := httptest.NewUnstartedServer(site)
	site.Attach(h.Config)
	h.Start()
	t.Cleanup(func() {
		site.Close()
		h.Close()
	})
	return h.URL
}

func daemonOf(t *testing.T, mirror, url string) *daemon.Daemon {
	t.Helper()
	place, err := store.Locate(mirror, "")
	must(t, err)
	s, err := store.Open(place, "test")
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	tree, err := tree.Open(mirror, tree.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, tree.Close()) })
	const connections = 2
	source, err := physionet.New(physionet.Options{URL: url, Version: "test", Connections: connections})
	must(t, err)
	syncer, err := downloader.New(downloader.Options{
		Tree: tree, Store: s, Sources: []host.Source{{Source: source, Budget: pace.NewBudget(connections)}},
	})
	must(t, err)
	d, err := daemon.New(daemon.Options{Program: "test", Mirror: mirror, Syncer: syncer, Bandwidth: pace.NewBandwidth(nil)})
	must(t, err)
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	state   = `document.querySelector("#dataset-cxr-demo .state").textContent`
	watched = `document.querySelector("#dataset-cxr-demo progress").value`
)

// A person opens the page of an empty mirror, is asked for the token, pulls a
// dataset, watches it come, pauses it and resumes it.
func TestStory(t *testing.T) {
	address, token := serve(t)
	b := newBrowser(t)

	b.do(chromedp.Navigate(address))
	b.until(`document.body.innerText.includes("This mirror is empty.")`)
	b.until(`document.getElementById("live").textContent === "Live"`)
	if enabled := run(b, chromedp.Evaluate[int](`document.querySelectorAll("main button:enabled:not(#unlock button)").length`)); enabled > 0 {
		t.Errorf("%d buttons can be pressed without the token", enabled)
	}
	if said := b.console(); len(said) > 0 {
		t.Errorf("the browser's console: %q", said)
	}

	// Whoever presses one all the same is refused, and told why.
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".pull :disabled").forEach((e) => e.disabled = false)`))
	b.pull("cxr-demo")
	b.until(`document.body.innerText.includes("This needs the daemon's token")`)
	if said := b.console(); len(said) != 1 || !strings.Contains(said[0], fmt.Sprint(http.StatusUnauthorized)) {
		t.Errorf("the browser's console: %q, want that the answer was 401", said)
	}

	b.do(chromedp.Navigate(address),
		chromedp.SendKeys(chromedp.CSS("#token"), token), chromedp.Click(chromedp.CSS("#unlock button")))
	b.until(`document.body.innerText.includes("Changes are unlocked")`)
	b.pull("cxr-demo")
	b.until(state + ` === "Downloading"`)

	// The page changes by itself, around what a person holds on to.
	b.do(chromedp.Evaluate[chromedp.Void](`
		window.cancel = document.querySelector("#cancel-cxr-demo button");
		window.cancel.focus();
		window.seen = ` + watched))
	b.until(watched + ` > window.seen && document.activeElement === window.cancel`)

	b.do(chromedp.Click(chromedp.CSS("#pause-cxr-demo button")))
	b.until(state + ` === "Paused"`)
	if here := run(b, chromedp.Evaluate[int](watched)); here == 0 || here == 1000 {
		t.Errorf("paused at %d thousandths, want some, not all", here)
	}
	b.do(chromedp.Click(chromedp.CSS("#resume-cxr-demo button")))
	b.until(state + ` === "Downloading"`)
	b.until(state + ` === "Up to date" && document.getElementById("headline").innerText === "Everything is downloaded and verified."`)
	b.until(`document.querySelectorAll("#history tbody tr").length > 1`)
	if said := b.console(); len(said) > 0 {
		t.Errorf("the browser's console: %q", said)
	}
}

// pull asks for a dataset by the form.
func (b *browser) pull(dataset string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS("#pull-dataset"), dataset), chromedp.Click(chromedp.CSS(".pull button")))
}
