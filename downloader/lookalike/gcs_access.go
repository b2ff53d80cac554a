package lookalike

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// gcsError is an error of the XML API and the JSON API.
type gcsError struct {
	status  int
	code    string // of the XML API
	reason  string // of the JSON API
	message string
	details string // of the XML API; the message of the JSON API
}

// Errors that don't depend on the request.
var (
	notModified     = gcsError{http.StatusNotModified, "NotModified", "notModified", "", ""}
	badToken        = gcsError{http.StatusBadRequest, "InvalidArgument", "invalid", "Invalid argument.", "Invalid page token."}
	noProject       = gcsError{http.StatusBadRequest, "UserProjectMissing", "required", "Bucket is a requester pays bucket but no user project provided.", ""}
	badCredentials  = gcsError{http.StatusUnauthorized, "AuthenticationRequired", "authError", "Authentication required.", "Invalid Credentials"}
	payAnonymously  = gcsError{http.StatusUnauthorized, "AuthenticationRequired", "required", "Requester pays bucket access requires authentication.", ""}
	closedBilling   = gcsError{http.StatusForbidden, "UserProjectAccountProblem", "userProjectAccountProblem", "The project to be billed is associated with a closed billing account.", ""}
	noSuchBucket    = gcsError{http.StatusNotFound, "NoSuchBucket", "notFound", "The specified bucket does not exist.", ""}
	noSuchKey       = gcsError{http.StatusNotFound, "NoSuchKey", "notFound", "The specified key does not exist.", ""}
	conditionFailed = gcsError{http.StatusPreconditionFailed, "PreconditionFailed", "conditionNotMet", "At least one of the pre-conditions you specified did not hold.", ""}
	invalidRange    = gcsError{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "requestedRangeNotSatisfiable", "The requested range cannot be satisfied.", ""}
	serverTrouble   = gcsError{http.StatusInternalServerError, "InternalError", "internalError", "We encountered an internal error. Please try again.", ""}
)

// send answers with the error.
func (e *gcsError) send(w *response) {
	if e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return
	}
	if strings.HasPrefix(w.request.URL.Path, jsonRoot) {
		text, err := json.Marshal(map[string]any{"error": map[string]any{
			"code": e.status, "message": cmp.Or(e.details, e.message),
			"errors": []any{map[string]any{"message": cmp.Or(e.details, e.message), "domain": "global", "reason": e.reason}},
		}})
		if err != nil {
			panic("lookalike: " + err.Error()) // strings and numbers cannot fail
		}
		page(w, e.status, "application/json; charset=UTF-8", text)
		return
	}
	var b bytes.Buffer
	b.WriteString(`<?xml version='1.0' encoding='UTF-8'?><Error>`)
	for _, part := range [][2]string{{"Code", e.code}, {"Message", e.message}, {"Details", e.details}} {
		if part[1] != "" {
			b.WriteString("<" + part[0] + ">")
			_ = xml.EscapeText(&b, []byte(part[1])) // a buffer accepts everything
			b.WriteString("</" + part[0] + ">")
		}
	}
	b.WriteString(`</Error>`)
	page(w, e.status, "application/xml; charset=UTF-8", b.Bytes())
}

// refuse answers with a status and Google's text for it.
func (g *GCS) refuse(w *response, code int) {
	for _, e := range []gcsError{badCredentials, noSuchKey, conditionFailed, serverTrouble} {
		if e.status == code {
			e.send(w)
			return
		}
	}
	text := http.StatusText(code)
	(&gcsError{code, strings.ReplaceAll(text, " ", ""), "backendError", text + ".", ""}).send(w)
}

// userProject is the project to bill, or empty.
func userProject(r *http.Request) string {
	if p := r.Header.Get("X-Goog-User-Project"); p != "" || r.URL.RawQuery == "" {
		return p
	}
	return r.URL.Query().Get("userProject")
}

// refusal says why a request is refused, or nil: who asks, who pays, for what. The verb is
// "get" or "list".
func (g *GCS) refusal(r *http.Request, b *Bucket, verb, path string) *gcsError {
	g.mu.RLock()
	defer g.mu.RUnlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	email := g.tokens[token]
	if token != "" && email == "" {
		return &badCredentials
	}
	if project := userProject(r); project != "" {
		switch {
		case email == "":
			return &payAnonymously
		case !slices.Contains(g.accounts[email].Projects, project):
			return &gcsError{
				http.StatusForbidden, "UserProjectAccessDenied", "forbidden", "The requester is not authorized to use the project.",
				email + " does not have serviceusage.services.use access to the Google Cloud project.",
			}
		case g.closed[project]:
			return &closedBilling
		}
	} else if b != nil && b.RequesterPays {
		return &noProject
	}
	switch {
	case b == nil:
		return &noSuchBucket
	case !b.lets(email), verb == "list" && b.NoList, verb == "get" && b.Denied != nil && b.Denied(path):
		return denied(email, verb)
	}
	return nil
}

func denied(email, verb string) *gcsError {
	return &gcsError{
		http.StatusForbidden, "AccessDenied", "forbidden", "Access denied.",
		fmt.Sprintf("%s does not have storage.objects.%s access to the Google Cloud Storage object. Permission 'storage.objects.%[2]s' denied on resource (or it may not exist).",
			cmp.Or(email, "Anonymous caller"), verb),
	}
}

// serveToken answers requests for an access token, with a refresh token or a service
// account's assertion.
func (g *GCS) serveToken(w *response, r *http.Request) {
	answer := func(code int, v map[string]any) {
		text, err := json.Marshal(v)
		if err != nil {
			panic("lookalike: " + err.Error()) // strings and numbers cannot fail
		}
		page(w, code, "application/json; charset=utf-8", text)
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	_ = r.ParseForm() // an unreadable form names nobody
	a, ok := g.who(r)
	switch {
	case !ok:
		answer(http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "Bad Request"})
	case a.Expired:
		answer(http.StatusBadRequest, map[string]any{
			"error": "invalid_grant", "error_description": "reauth related error (invalid_rapt)", "error_subtype": "invalid_rapt",
			"error_uri": "https://support.google.com/a/answer/9368756",
		})
	default:
		answer(http.StatusOK, map[string]any{"access_token": g.issue(a), "expires_in": 3599, "token_type": "Bearer"})
	}
}

// who returns the account for a token request.
func (g *GCS) who(r *http.Request) (Account, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if refresh := r.PostForm.Get("refresh_token"); refresh != "" {
		for _, a := range g.accounts {
			if a.RefreshToken == refresh {
				return a, true
			}
		}
		return Account{}, false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	parts := strings.Split(r.PostForm.Get("assertion"), ".")
	if len(parts) != 3 {
		return Account{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return Account{}, false
	}
	a, ok := g.accounts[claims.Issuer]
	return a, ok
}

func (g *GCS) issue(a Account) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.issued++
	token := "ya29.lookalike-" + strconv.Itoa(g.issued)
	g.tokens[token] = a.Email
	return token
}
