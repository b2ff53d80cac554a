package dashboard_test

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"mimicsync/daemon"
	"mimicsync/daemon/dashboard"
)

// Those of the README: go test ./daemon/dashboard -run Looks -screenshots screenshots
var screenshots = flag.String("screenshots", "", "folder to write screenshots to; nowhere if empty")

// TestLooks shows a lab's mirror on a desktop and on phones, light and dark:
// nothing may be wider than the screen, and the console must stay silent.
func TestLooks(t *testing.T) {
	hour, days := labTraffic()
	server := httptest.NewServer(dashboard.Still(labStatus(), hour, days, labHistory(), true))
	t.Cleanup(server.Close) // after the browser, which holds a connection
	b := newBrowser(t)
	for _, s := range []struct {
		name          string
		width, height int64
		scheme        string
		options       []chromedp.EmulateViewportOption
	}{
		{"desktop-light", 1280, 900, "light", nil},
		{"desktop-dark", 1280, 900, "dark", nil},
		{"phone-light", 390, 844, "light", []chromedp.EmulateViewportOption{chromedp.EmulateMobile, chromedp.EmulateScale(1.5)}},
		{"phone-dark", 390, 844, "dark", []chromedp.EmulateViewportOption{chromedp.EmulateMobile, chromedp.EmulateScale(1.5)}},
		{"phone-small", 320, 568, "light", []chromedp.EmulateViewportOption{chromedp.EmulateMobile}},
	} {
		b.screen(s.width, s.height, s.scheme, s.options...)
		b.do(chromedp.Navigate(server.URL))
		b.until(`document.getElementById("live").textContent === "Live"`)
		b.fits(s.name, s.width)
		b.save(s.name, chromedp.CaptureScreenshot())
		run(b, chromedp.Evaluate[bool](widest))
		b.fits(s.name+" in a wide font", s.width)
	}
	for _, text := range b.console() {
		t.Errorf("the browser's console: %s", text)
	}
}

// widest sets the page in a font that is wider than any that a machine may have:
// which one it has is nobody's choice.
const widest = `(() => {
	const wide = new CSSStyleSheet();
	wide.replaceSync('* { font-family: "DejaVu Sans", sans-serif !important; letter-spacing: 0.06em !important; }');
	document.adoptedStyleSheets = [wide];
	return true;
})()`

// fits complains of what reaches beyond the right side of the screen.
func (b *browser) fits(name string, width int64) {
	b.t.Helper()
	wide := run(b, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
	if wide <= width {
		return
	}
	culprits := run(b, chromedp.Evaluate[string](fmt.Sprintf(`[...document.body.querySelectorAll("*")]
		.filter(e => e.getBoundingClientRect().right > %d && !e.matches("svg *") && !e.querySelector(":scope *:not(svg *)"))
		.map(e => e.tagName.toLowerCase() + "." + e.className + " " + JSON.stringify(e.textContent.trim().slice(0, 40))).join(", ")`, width)))
	b.t.Errorf("%s: the page is %d pixels wide, the screen %d: %s", name, wide, width, culprits)
}

// save writes a screenshot where they are wanted.
func (b *browser) save(name string, shot chromedp.Action[[]byte]) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	if err := os.MkdirAll(*screenshots, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), run(b, shot), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// A lab with a dozen datasets sees them on a page that ends, and an outage of all once.
func TestManyDatasets(t *testing.T) {
	hour, days := labTraffic()
	status := labStatus()
	some := status.Datasets
	status.Datasets = nil
	for i := range 12 {
		d := some[i%len(some)]
		d.Dataset = fmt.Sprintf("dataset-%02d", i)
		if i >= 6 {
			d = daemon.DatasetStatus{
				Dataset: d.Dataset, Version: "1.0", Entries: 100, Files: 40, Scheduled: true, Condition: daemon.Failing,
				Why: "physionet can't be reached", Next: status.Now.Add(time.Hour),
			}
		}
		status.Datasets = append(status.Datasets, d)
	}
	server := httptest.NewServer(dashboard.Still(status, hour, days, labHistory(), true))
	t.Cleanup(server.Close) // after the browser, which holds a connection
	b := newBrowser(t)
	b.screen(1280, 900, "light")
	b.do(chromedp.Navigate(server.URL))
	b.until(`document.getElementById("live").textContent === "Live"`)
	if height := run(b, chromedp.Evaluate[int64](`document.documentElement.scrollHeight`)); height > 2500 {
		t.Errorf("the page of 12 datasets is %d pixels high, want at most 2500", height)
	}
	if said := run(b, chromedp.Evaluate[int64](`document.getElementById("attention").textContent.split("Physionet can't be reached").length - 1`)); said != 1 {
		t.Errorf("the outage is said %d times, want once", said)
	}
	b.save("many", chromedp.FullScreenshot(100))
	b.screen(320, 568, "light", chromedp.EmulateMobile)
	b.fits("many datasets on a phone", 320)
}
