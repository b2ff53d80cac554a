//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// accessLog counts the lines of nginx's access log as they come.
type accessLog struct {
	file  *os.File
	mu    sync.Mutex // guards what follows
	lines *bufio.Reader
	conns map[int64]struct{}
	sum   tally
}

// openAccessLog makes the file, which nginx then finds.
func openAccessLog(name string) (*accessLog, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &accessLog{file: f, lines: bufio.NewReaderSize(f, 1<<20), conns: map[int64]struct{}{}}, nil
}

func (l *accessLog) close() error { return l.file.Close() }

// tally reads on until no line has come for a moment: nginx writes the line of an aborted request a little later.
func (l *accessLog) tally() (tally, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for quiet := 0; quiet < 3; quiet++ {
		n, err := l.read()
		if err != nil {
			return tally{}, err
		}
		if n > 0 {
			quiet = 0
		}
		time.Sleep(30 * time.Millisecond)
	}
	l.sum.Connections = int64(len(l.conns))
	return l.sum, nil
}

// read counts the lines that are there. nginx writes a line at once, so that none is cut.
func (l *accessLog) read() (n int, err error) {
	for {
		line, err := l.lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("access log: %w", err)
		}
		var connection, bytes int64
		var status int
		var method string
		if _, err := fmt.Sscan(line, &connection, &status, &bytes, &method); err != nil {
			return n, fmt.Errorf("access log: %q: %w", line, err)
		}
		n++
		l.conns[connection] = struct{}{}
		l.sum.Requests++
		l.sum.Bytes += bytes
		switch status {
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
			l.sum.Rejected++
		}
	}
}
