//go:build linux

package main

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"mimicsync/manifest"
)

// troubleKinds are what a server in trouble answers to everything.
var troubleKinds = map[string]http.HandlerFunc{
	"page":    answers(http.StatusOK, "text/html", "<!DOCTYPE html>\n<html><body>Scheduled maintenance</body></html>\n"),
	"garbage": answers(http.StatusOK, "application/octet-stream", strings.Repeat("\x00garbage", 40)),
	"401":     answers(http.StatusUnauthorized, "text/html", "<html>no</html>", "Www-Authenticate", `Basic realm="PhysioNet"`),
	"403":     answers(http.StatusForbidden, "text/html", "<html>no</html>"),
	"404":     answers(http.StatusNotFound, "text/html", "<html>no</html>"),
	"502":     answers(http.StatusBadGateway, "text/html", "<html>bad gateway</html>"),
	"503":     answers(http.StatusServiceUnavailable, "text/html", "<html>busy</html>", "Retry-After", "5"),
	"closed":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
}

func troubleNames() []string { return slices.Sorted(maps.Keys(troubleKinds)) }

// sickSite is a server that is well, and at times is not. Its methods may be called from any goroutine.
type sickSite struct {
	well http.Handler

	mu       sync.Mutex // guards what follows
	answer   http.HandlerFunc
	after    int // requests for files before it falls ill
	lasts    time.Duration
	began    chan time.Time // gets when it fell ill
	until    time.Time
	requests int // while it was ill
}

// fallIll makes the server ill after some requests for files, for a time. The channel says when that begins.
func (s *sickSite) fallIll(answer http.HandlerFunc, after int, lasts time.Duration) (began <-chan time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.after, s.lasts, s.requests = answer, after, lasts, 0
	s.began, s.until = make(chan time.Time, 1), time.Time{}
	return s.began
}

// count is how many requests were made while it was ill the last time.
func (s *sickSite) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// ServeHTTP implements [http.Handler].
func (s *sickSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if answer := s.ill(r); answer != nil {
		answer(w, r)
		return
	}
	s.well.ServeHTTP(w, r)
}

// ill returns how the request is answered while the server is ill, nil while it is well.
func (s *sickSite) ill(r *http.Request) http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.answer != nil && s.until.IsZero() && strings.HasPrefix(r.URL.Path, "/files/") && !strings.HasSuffix(r.URL.Path, "/"+manifest.Name) {
		if s.after--; s.after < 0 {
			s.until = now.Add(s.lasts)
			s.began <- now
		}
	}
	if !now.Before(s.until) {
		return nil
	}
	s.requests++
	return s.answer
}
