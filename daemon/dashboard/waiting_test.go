package dashboard_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"mimicsync/daemon"
	"mimicsync/daemon/dashboard"
	"mimicsync/downloader/progress"
	"mimicsync/manifest"
)

// A card says for whom a dataset waits, why, and until when, and so does the
// headline if there is nothing else to say.
func TestThePageSaysWhatIsWaitedFor(t *testing.T) {
	in := func(d time.Duration) time.Time { return monday.Add(d) }
	running := func(retries int64, w progress.Wait) daemon.DatasetStatus {
		return daemon.DatasetStatus{
			Dataset: "mimic-cxr", Condition: daemon.Running, Entries: 100, Bytes: 61e9, Published: 1e11, Waiting: &w,
			Pass: &daemon.PassStatus{Kind: daemon.PullPass, Retries: retries, Left: 3600, Waits: []progress.Wait{w}},
		}
	}
	busy := running(5, progress.Wait{For: "physionet", Object: "SHA256SUMS.txt", Why: "status 503 (busy)", Until: in(112 * time.Second)})
	for _, c := range []struct {
		name   string
		status daemon.DatasetStatus
		want   []string
	}{
		{"a busy server", busy, []string{
			"MIMIC-CXR: 61% downloaded. Waiting for physionet until 15:44:02 .",
			"Waiting for physionet 61.0% 61.0% Status 503 (busy). Next try at 15:44:02 , in 1 min 52 s.", "Retries 5",
		}},
		{"an hour", running(1, progress.Wait{For: "gcs", Why: "status 429 (too many requests)", Until: in(70 * time.Minute)}), []string{
			"MIMIC-CXR: 61% downloaded. Waiting for gcs until 16:52 .",
			"Waiting for gcs 61.0% 61.0% Status 429 (too many requests). Next try today at 16:52 , in 1 h 10 min.",
		}},
		{"a moment", running(1, progress.Wait{For: "gcs", Why: "no route to host", Until: in(-time.Second)}), []string{"MIMIC-CXR: 61% downloaded. Waiting for gcs.", "No route to host. Next try now."}},
		{"a long outage", running(30, progress.Wait{For: "physionet", Why: "status 502 (bad gateway)", Since: in(-25 * time.Minute), Until: in(40 * time.Second)}), []string{
			"Status 502 (bad gateway). Next try at 15:42:50 , in 40 s. Waiting for 25 min so far.",
		}},
		{"nobody knows how long", running(0, progress.Wait{For: "s3", Why: "other passes have all the connections that it allows", Since: in(-4 * time.Minute)}), []string{
			"Other passes have all the connections that it allows. Waiting for 4 min so far.",
		}},
		{"the queue", daemon.DatasetStatus{Dataset: "own", Condition: daemon.Queued, Waiting: &progress.Wait{
			For: "another command", Why: "a plan or prune of own has been running since 15:42:01", Since: in(-time.Second),
		}}, []string{"A plan or prune of own has been running since 15:42:01."}},
		{"a full disk", daemon.DatasetStatus{Dataset: "own", Condition: daemon.NoSpace, Why: "the disk is full", Waiting: &progress.Wait{
			For: "free disk space", Why: "needs 300 GB free, has 12 GB", Until: in(10 * time.Minute),
		}}, []string{"Waiting for disk space", "Needs 300 GB free, has 12 GB. Continues at 15:52:10 , in 10 min 00 s.", "The disk is full."}},
		{"a closed window", daemon.DatasetStatus{Dataset: "own", Condition: daemon.Closed, Why: "the run window is closed", Waiting: &progress.Wait{
			For: "the run window", Why: "passes run only while it is open", Until: in(15 * time.Hour),
		}}, []string{"Passes run only while it is open. Continues tomorrow at 06:42 , in 15 h 00 min."}},
	} {
		text := read(t, get(t, still(daemon.Status{Datasets: []daemon.DatasetStatus{c.status}}), "/"))
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the page does not say %q:\n%s", c.name, want, text)
			}
		}
		for _, never := range []string{", done", "Waiting for its turn", "Estimating"} {
			if strings.Contains(text, never) {
				t.Errorf("%s: the page says %q:\n%s", c.name, never, text)
			}
		}
	}
	other := busy
	other.Dataset = "mimiciv"
	text := read(t, get(t, still(daemon.Status{Datasets: []daemon.DatasetStatus{busy, other}}), "/"))
	if !strings.Contains(text, "2 datasets are waiting.") {
		t.Errorf("two that wait: %s", text)
	}
}

// The words about a wait fit a small phone, however long an error is.
func TestAWaitFitsThePhone(t *testing.T) {
	s := labStatus()
	for i, why := range []string{
		"dial tcp: lookup physionet-mirror.radiology.example.org on 203.0.113.53:53: server misbehaving",
		"the proxy http://proxy.radiology.example.org:3128 does not connect to physionet.org:443: status 503 (Service Unavailable)",
	} {
		d := &s.Datasets[i]
		d.Condition, d.Pass = daemon.Running, &daemon.PassStatus{Kind: daemon.RefreshPass, Retries: 7}
		d.Waiting = &progress.Wait{For: "physionet", Why: why, Until: monday.Add(time.Minute)}
	}
	server := httptest.NewServer(dashboard.Still(s, nil, nil, nil, true))
	t.Cleanup(server.Close) // after the browser, which holds a connection
	b := newBrowser(t)
	for _, width := range []int64{320, 1280} {
		b.screen(width, 800, "light")
		b.do(chromedp.Navigate(server.URL))
		b.until(`document.getElementById("live").textContent === "Live"`)
		b.fits("waits", width)
		run(b, chromedp.Evaluate[bool](widest))
		b.fits("waits in a wide font", width)
		b.save("waits", chromedp.CaptureScreenshot())
	}
}

// A person who watches the page sees the time go down.
func TestTheWaitCountsDown(t *testing.T) {
	address, _, d := serveSite(t, busySite(t))
	b := newBrowser(t)
	_, err := d.Pull(daemon.PullRequest{Ref: manifest.Ref{Dataset: "cxr-demo"}})
	must(t, err)
	b.do(chromedp.Navigate(address))
	const sentence = `document.querySelector("#dataset-cxr-demo .sentence").innerText`
	b.until(`/^Status 503 \(busy\)\. Next try at \d\d:\d\d:\d\d, in 1.min.\d\d.s\.$/.test(` + sentence + `)`)
	b.until(state + ` === "Waiting for physionet"`)
	b.do(chromedp.Evaluate[chromedp.Void](`window.was = ` + sentence))
	b.until(sentence + ` !== window.was && ` + sentence + `.startsWith("Status 503")`)
	b.until(`document.getElementById("headline").innerText.startsWith("cxr-demo: 0%")`)
	b.save("counts-down", chromedp.CaptureScreenshot())
}
