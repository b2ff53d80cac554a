package dashboard_test

import (
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

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
		if wide := run(b, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > s.width {
			t.Errorf("%s: the page is %d pixels wide, the screen %d", s.name, wide, s.width)
		}
		b.save(s.name, chromedp.CaptureScreenshot())
	}
	for _, text := range b.console() {
		t.Errorf("the browser's console: %s", text)
	}
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
