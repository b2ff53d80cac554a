package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"mimicsync/internal/loopback"
	"mimicsync/internal/plainjson"
)

const (
	webhookAttempt = 15 * time.Second // for one request
	webhookTotal   = 2 * time.Minute  // for all attempts
	webhookRetries = 4
)

// WebhookOptions configures a Webhook.
type WebhookOptions struct {
	Kinds []Kind // the events that it is called for; all if empty
	// URL receives the requests: https, or http to this machine. Anyone who knows it may be
	// able to write to the chat behind it, so it is a secret.
	URL string
	// Transport makes the connections; nil: http.DefaultTransport.
	Transport http.RoundTripper
}

// Webhook posts an Event as JSON. Its text is Event.Message, the complete text for people,
// and its title Event.Subject, both as a chat shows them: services that accept {"text":
// ...} need no program in between. The other fields are for programs. A 2xx answer is
// success; a network error, 408, 429 and 5xx are tried again four times within two minutes.
// Redirects aren't followed.
type Webhook struct {
	wanted
	url       *url.URL
	host      string            // scheme and host, for people
	transport http.RoundTripper // an http.Client would follow redirects, and quote addresses in errors
}

// NewWebhook returns a Webhook. The error says what is wrong with the address, without
// quoting it.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("the address of a webhook must be complete, like https://chat.example.org/hooks/name")
	}
	host := u.Scheme + "://" + u.Host
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback.Is(u.Hostname())) {
		return nil, fmt.Errorf("webhook %s: it must be https; http works only to this machine", host)
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	return &Webhook{wanted: o.Kinds, url: u, host: host, transport: o.Transport}, nil
}

// Name names the host.
func (w *Webhook) Name() string { return "webhook " + w.host }

// Notify posts the event.
func (w *Webhook) Notify(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(ctx, webhookTotal)
	defer cancel()
	body, err := json.Marshal(webhookBody{Title: inChat(e.Subject()), Text: inChat(e.Message()), Event: e})
	if err != nil {
		return err
	}
	policy := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMultiplier(3), backoff.WithMaxElapsedTime(0))
	body = plainjson.Escape(body)
	return backoff.Retry(func() error { return w.post(ctx, body) }, backoff.WithContext(backoff.WithMaxRetries(policy, webhookRetries), ctx))
}

// mention is what notifies people in a chat; @ in a name like demo@1.0 isn't.
var mention = regexp.MustCompile(`(^|[^\pL\pN])@`)

// inChat writes a text so that a chat only shows it: a part of it may be a server's. &, <
// and > become entities as in Slack and HTML, because Slack uses them for links and for
// notifying a channel; an invisible word joiner keeps Markdown from hiding a link behind
// other words, and @all from notifying everybody.
func inChat(text string) string {
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "](", "]\u2060(", "][", "]\u2060[", "]:", "]\u2060:").Replace(text)
	return mention.ReplaceAllString(text, "$1@\u2060")
}

// webhookBody has the fields of the event, and its own text in place of the event's.
type webhookBody struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	Event
}

func (w *Webhook) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, webhookAttempt)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(errors.New("the address is invalid"))
	}
	req.Header.Set("Content-Type", "application/json")
	if user := w.url.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code/100 == 5:
		return fmt.Errorf("it answered %d %s", code, http.StatusText(code))
	default:
		return backoff.Permanent(fmt.Errorf("it answered %d %s", code, http.StatusText(code)))
	}
}
