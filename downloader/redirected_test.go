package downloader_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/store"
)

// PhysioNet sends those who ask for one file to another server, which refuses. That is
// about this file and that server: the others come, and nobody calls the account wrong
// that was not sent there.
func TestAFileThatIsRefusedElsewhere(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			slow(t)
			var told atomic.Int32 // requests to the other server that had an account or a cookie
			other := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
					told.Add(1)
				}
				http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "elsewhere", Path: "/"})
				http.Error(w, "no", status)
			}))
			other.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			other.StartTLS()
			t.Cleanup(other.Close)
			var sentBack atomic.Int32 // requests to PhysioNet that had the other server's cookie
			files := manyFiles(30, 2000)
			sentAway := files[7].Path
			s := newStrangeSite(t, func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.Header.Get("Cookie"), "elsewhere") {
					sentBack.Add(1)
				}
				if !strings.HasSuffix(r.URL.Path, "/"+sentAway) {
					return false
				}
				http.Redirect(w, r, other.URL+"/signed/"+strings.ReplaceAll(sentAway, "/", "-"), http.StatusFound)
				return true
			}, guarded(files...))
			ada("demo@1.0")(s.Server)
			r := newRig(t, rigOptions{site: s, user: login})
			report := r.pull()
			wantFiles(t, report, store.Incomplete, store.Files{Total: 30, Fetched: 29, Failed: 1})
			reason := reasonOf(report, sentAway)
			if reason == string(failure.ReasonDenied) || reason == string(failure.ReasonUnauthorized) || reason == "" {
				t.Errorf("failures = %+v, which blames the account", report.Failures)
			}
			if told.Load() > 0 || sentBack.Load() > 0 {
				t.Errorf("%d requests told the other server who asks, %d brought its cookie back", told.Load(), sentBack.Load())
			}
		})
	}
}
