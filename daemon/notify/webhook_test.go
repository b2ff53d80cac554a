package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon/notify"
)

// secretPath is the part of a chat's address that lets one write to it.
const secretPath = "/hooks/T0/hunter2"

func webhook(t *testing.T, o notify.WebhookOptions) *notify.Webhook {
	t.Helper()
	w, err := notify.NewWebhook(o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAWebhookPostsTheEvent(t *testing.T) {
	var got map[string]any
	var path, kind string
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		path, kind = r.URL.Path, r.Header.Get("Content-Type")
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &got)
	}))
	t.Cleanup(server.Close)
	w := webhook(t, notify.WebhookOptions{URL: server.URL + secretPath, Transport: server.Client().Transport})
	if err := w.Notify(t.Context(), signAgain); err != nil {
		t.Fatal(err)
	}
	if path != secretPath || kind != "application/json" {
		t.Errorf("it posted %s to %s", kind, path)
	}
	for key, want := range map[string]any{
		"title": signAgain.Subject(), "text": signAgain.Message(), "event": "parked", "dataset": "mimic-cxr", "version": "2.1.0",
		"cure": signAgain.Cure, "host": "lab1", "mirror": "/data/physionet", "files_fetched": 3., "time": "2026-11-22T03:30:00Z",
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	if w.Name() != "webhook "+server.URL {
		t.Errorf("Name = %q", w.Name())
	}
}

// transport answers requests as a function says.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(code int) *http.Response {
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{}, Body: http.NoBody}
}

func TestAWebhookTriesAgainWhileThatMayHelp(t *testing.T) {
	for _, test := range []struct {
		name  string
		codes []int // the last one is repeated
		tries int
		ok    bool
	}{
		{"a server that restarts", []int{503, 502, 200}, 3, true},
		{"a server that is busy", []int{429, 204}, 2, true},
		{"a server that stays down", []int{500}, 5, false},
		{"an address that was withdrawn", []int{404}, 1, false},
		{"a redirect", []int{302}, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				w := webhook(t, notify.WebhookOptions{URL: "https://chat.example.org" + secretPath, Transport: transport(func(*http.Request) (*http.Response, error) {
					tries++
					return answer(test.codes[min(tries, len(test.codes))-1]), nil
				})})
				begin := time.Now()
				err := w.Notify(t.Context(), signAgain)
				if (err == nil) != test.ok || tries != test.tries {
					t.Errorf("Notify = %v after %d tries, want %d", err, tries, test.tries)
				}
				if took := time.Since(begin); took > 2*time.Minute {
					t.Errorf("that took %s", took)
				}
			})
		})
	}
}

func TestAWebhookThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := webhook(t, notify.WebhookOptions{URL: "https://chat.example.org" + secretPath, Transport: transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		begin := time.Now()
		err := w.Notify(t.Context(), signAgain)
		if err == nil || time.Since(begin) > 2*time.Minute {
			t.Errorf("Notify = %v after %s", err, time.Since(begin))
		}
	})
}

func TestTheAddressOfAWebhookStaysSecret(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewTLSServer(http.RedirectHandler(elsewhere.URL+secretPath, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	untrusted := webhook(t, notify.WebhookOptions{URL: server.URL + secretPath})
	redirected := webhook(t, notify.WebhookOptions{URL: server.URL + secretPath, Transport: server.Client().Transport})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	errs := []error{untrusted.Notify(ctx, signAgain), redirected.Notify(t.Context(), signAgain)}
	for _, address := range []string{"http://chat.example.org" + secretPath, "chat.example.org" + secretPath, "https://[" + secretPath, "ftp://x" + secretPath} {
		_, err := notify.NewWebhook(notify.WebhookOptions{URL: address})
		errs = append(errs, err)
	}
	for _, err := range errs {
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: want an error without the address", err)
		}
	}
	if followed.Load() {
		t.Error("the event went where a redirect said")
	}
}

// A server that sends one elsewhere, by an address that cannot be read, tells the
// one that was asked for in it.
func TestABrokenRedirectDoesNotTellTheAddress(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://chat.example.org"+r.URL.Path+"%zz")
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(server.Close)
	err := webhook(t, notify.WebhookOptions{URL: server.URL + secretPath, Transport: server.Client().Transport}).Notify(t.Context(), signAgain)
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "302") {
		t.Errorf("Notify = %v, want the status without the address", err)
	}
}

// The user and the password of an address are sent, as browsers do.
func TestAWebhookLogsInAsItsAddressSays(t *testing.T) {
	var user, password string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { user, password, _ = r.BasicAuth() }))
	t.Cleanup(server.Close)
	w := webhook(t, notify.WebhookOptions{URL: strings.Replace(server.URL, "http://", "http://bob:hunter2@", 1)})
	if err := w.Notify(t.Context(), signAgain); err != nil || user != "bob" || password != "hunter2" {
		t.Errorf("Notify = %v, as %s with %s", err, user, password)
	}
	if strings.Contains(w.Name(), "hunter2") {
		t.Errorf("Name tells the password: %s", w.Name())
	}
}

func TestAWebhookOfThisMachineMayBePlain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	if err := webhook(t, notify.WebhookOptions{URL: server.URL}).Notify(t.Context(), signAgain); err != nil {
		t.Error(err)
	}
}

// What a server said is shown in a chat, and does nothing there: it calls nobody, links
// to nothing and hides nothing. A command can be pasted as it was.
func TestAChatShowsTheTextAsItIs(t *testing.T) {
	var got map[string]any
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = map[string]any{}
		if strings.ContainsAny(string(body), "\u202e\u009b") {
			t.Errorf("the body has characters that are not seen: %q", body)
		}
		_ = json.Unmarshal(body, &got)
	}))
	t.Cleanup(server.Close)
	w := webhook(t, notify.WebhookOptions{URL: server.URL + secretPath, Transport: server.Client().Transport})
	for said, want := range map[string]string{
		"<!channel> <https://evil.example|the page>":            "&lt;!channel&gt; &lt;https://evil.example|the page&gt;",
		"[log in](https://evil.example) ![](https://a.example)": "[log in]\u2060(https://evil.example) ![]\u2060(https://a.example)",
		"[log in][1]\n[1]: https://evil.example":                "[log in]\u2060[1]\n[1]\u2060: https://evil.example",
		"@all, @here (@everyone) <@U024BE7LH>":                  "@\u2060all, @\u2060here (@\u2060everyone) &lt;@\u2060U024BE7LH&gt;",
		"<img src=x onerror=alert(1)> a & b":                    "&lt;img src=x onerror=alert(1)&gt; a &amp; b",
		"mimicsync pull mimic-cxr@2.1.0 --include '**'":         "mimicsync pull mimic-cxr@2.1.0 --include '**'",
		"pay\u202egnp.exe \u009b31m":                            `pay\u202egnp.exe \u009b31m`,
	} {
		e := signAgain
		e.Text = said
		if err := w.Notify(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if text, _ := got["text"].(string); !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("%q is posted as %q, want %q in it", said, text, want)
		}
		if got["cure"] != e.Cure {
			t.Errorf("programs get the cure %q, want %q", got["cure"], e.Cure)
		}
	}
}
