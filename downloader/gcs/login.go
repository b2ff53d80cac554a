package gcs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
)

// scope is all that is asked for: to read.
const scope = "https://www.googleapis.com/auth/devstorage.read_only"

// tokenTimeout bounds a request for a token, which is a few hundred bytes.
const tokenTimeout = 30 * time.Second

// login is who we are to Google. It is safe for concurrent use.
type login struct {
	anonymous bool         // whatever credentials there are
	client    *http.Client // for tokens

	mu    sync.Mutex
	found *identity // nil until it is looked for
}

// identity is whom credentials belong to.
type identity struct {
	credentials *auth.Credentials // nil for nobody
	kind        string            // as in "authorized_user", empty when unknown
	email       string            // of a service account, empty when unknown
}

// String hides the credentials.
func (i *identity) String() string { return "identity(" + i.kind + ")" }

func (i *identity) isService() bool { return i.kind == "service_account" }

// token returns an access token and whose it is; an empty one for nobody.
func (l *login) token(ctx context.Context) (*identity, string, error) {
	who, err := l.identify(ctx)
	if err != nil || who.credentials == nil {
		return who, "", err
	}
	token, err := who.credentials.Token(ctx)
	if err != nil {
		l.forget(who)
		return who, "", err
	}
	return who, token.Value, nil
}

// identify looks for the application default credentials, once.
func (l *login) identify(ctx context.Context) (*identity, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found != nil {
		return l.found, nil
	}
	if l.anonymous {
		l.found = &identity{}
		return l.found, nil
	}
	who, err := detect(ctx, l.client)
	if err == nil {
		l.found = who
	}
	return who, err
}

// forget makes the next request look for credentials again: a daemon must take
// a login that its user has made or renewed.
func (l *login) forget(who *identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found == who {
		l.found = nil
	}
}

// badLogin means that there are credentials which cannot be used.
type badLogin struct{ error }

func detect(ctx context.Context, client *http.Client) (*identity, error) {
	found, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{scope}, Client: client})
	switch {
	case err != nil && strings.Contains(err.Error(), "could not find default credentials"): // it has no name
		return &identity{}, nil
	case err != nil:
		return nil, badLogin{err}
	}
	who := &identity{credentials: found}
	if len(found.JSON()) == 0 {
		// No file: a machine of Google's, or one that only looks like it.
		if _, err := found.Token(ctx); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return &identity{}, nil
		}
		return who, nil
	}
	var file struct {
		Type  string `json:"type"`
		Email string `json:"client_email"`
	}
	if err := json.Unmarshal(found.JSON(), &file); err != nil {
		return nil, badLogin{fmt.Errorf("read the credentials: %w", err)}
	}
	who.kind, who.email = file.Type, file.Email
	return who, nil
}
