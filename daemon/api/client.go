package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/report"
	"mimicsync/store"
)

// Errors that callers distinguish.
var (
	// ErrNoDaemon means that no daemon answers on a mirror's socket.
	ErrNoDaemon = errors.New("no daemon is running for this mirror on this machine")
	// ErrEnded means that the daemon answered before.
	ErrEnded = errors.New("the daemon stopped answering")
	// ErrSilent means that a process listens there but doesn't answer.
	ErrSilent = errors.New("the process at the control socket doesn't answer")
)

// silentAfter limits the time for the first answer, which costs a daemon nothing.
const silentAfter = 4 * time.Second

// followEvery is how often Follow asks.
const followEvery = 200 * time.Millisecond

// Error is a daemon's answer to a failed request.
type Error struct {
	Code int    // HTTP status
	Text string // what happened
	Hint string // what to do next, empty if Text says it
	// ExitCode is the command line's exit code for it, 0 if Code is enough.
	ExitCode int
	Pruned   []*report.Pruned // what Prune had removed before the error
}

// Error returns Text.
func (e *Error) Error() string { return e.Text }

// Client sends requests to the daemon of a mirror. Its errors are an *Error if the daemon
// answered. Its methods may be called from any goroutine.
type Client struct{ http *http.Client }

// Dial returns a client of the daemon that owns a mirror. The error is ErrNoDaemon if there
// is none, and wraps a *store.ForeignError or ErrSilent if somebody else may have taken its
// place. The caller closes the client.
func Dial(ctx context.Context, mirror string) (*Client, error) {
	mirror, err := filepath.Abs(mirror)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return connect(ctx, mirror) }
	conn, err := dial(ctx, "", "")
	if nobody(err) {
		return nil, fmt.Errorf("%w: %s", ErrNoDaemon, mirror)
	}
	if err != nil {
		return nil, err
	}
	_ = conn.Close() // the connection proves that a process listens
	c := &Client{&http.Client{Transport: &http.Transport{DialContext: dial}}}
	if err := c.greet(ctx); err != nil {
		c.Close()
		if errors.Is(err, ErrSilent) {
			err = fmt.Errorf("%s: %w", filepath.Join(mirror, store.Dir, socketName), err)
		}
		return nil, err
	}
	return c, nil
}

// greet sends a request that changes nothing, to see whether there is an answer.
func (c *Client) greet(ctx context.Context) error {
	within, cancel := context.WithTimeoutCause(ctx, silentAfter, ErrSilent)
	defer cancel()
	err := c.call(within, http.MethodGet, "/", nil, nil)
	if _, answered := errors.AsType[*Error](err); answered || err == nil {
		return nil
	}
	if errors.Is(err, ErrEnded) {
		return unlessForeign(err)
	}
	return err
}

// nobody reports whether there is no socket, or one left by a crash.
func nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// Close ends the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status returns the daemon's state.
func (c *Client) Status(ctx context.Context) (daemon.Status, error) {
	var status daemon.Status
	return status, c.call(ctx, http.MethodGet, "/status", nil, &status)
}

// Pull starts a pass, or joins a running one with the same request.
func (c *Client) Pull(ctx context.Context, r PullRequest) (id int64, err error) {
	var accepted Accepted
	err = c.call(ctx, http.MethodPost, "/pull", r, &accepted)
	return accepted.ID, err
}

// Plan says what a pass would do.
func (c *Client) Plan(ctx context.Context, r PullRequest) (p Plan, err error) {
	return p, c.call(ctx, http.MethodPost, "/plan", r, &p)
}

// Prune removes old versions, or says what it would remove.
func (c *Client) Prune(ctx context.Context, r PruneRequest) ([]*report.Pruned, error) {
	var answer Prunes
	err := c.call(ctx, http.MethodPost, "/prune", r, &answer)
	return answer.Pruned, err
}

// Verify starts to read a dataset again.
func (c *Client) Verify(ctx context.Context, r VerifyRequest) (id int64, err error) {
	var accepted Accepted
	err = c.call(ctx, http.MethodPost, "/verify", r, &accepted)
	return accepted.ID, err
}

// Pass returns a pass of the daemon, with its result once it has ended.
func (c *Client) Pass(ctx context.Context, id int64) (Pass, error) {
	var p Pass
	return p, c.call(ctx, http.MethodGet, fmt.Sprintf("/passes/%d", id), nil, &p)
}

// Follow yields the progress of a pass, a few times a second, until it has ended or an
// error occurs. When ctx ends, the pass continues.
func (c *Client) Follow(ctx context.Context, id int64) iter.Seq2[Pass, error] {
	return func(yield func(Pass, error) bool) {
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		for {
			p, err := c.Pass(ctx, id)
			if !yield(p, err) || err != nil || p.State != store.Running {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				yield(p, context.Cause(ctx))
				return
			}
		}
	}
}

// Cancel ends a pass in good order.
func (c *Client) Cancel(ctx context.Context, id int64) error {
	return c.call(ctx, http.MethodPost, fmt.Sprintf("/passes/%d/cancel", id), nil, nil)
}

// Pause ends the passes of a dataset, or of all if it is empty, and starts none until
// Resume.
func (c *Client) Pause(ctx context.Context, dataset string) error {
	return c.call(ctx, http.MethodPost, "/pause", DatasetRequest{dataset}, nil)
}

// Resume undoes Pause.
func (c *Client) Resume(ctx context.Context, dataset string) error {
	return c.call(ctx, http.MethodPost, "/resume", DatasetRequest{dataset}, nil)
}

// BWLimit changes the limit until the next Reload, see pace.ParseTimetable.
func (c *Client) BWLimit(ctx context.Context, limit string) error {
	return c.call(ctx, http.MethodPut, "/bwlimit", BWLimitRequest{limit}, nil)
}

// Reload makes the daemon read its configuration again. The notes say what needs a restart.
func (c *Client) Reload(ctx context.Context) (notes []string, err error) {
	var reloaded Reloaded
	err = c.call(ctx, http.MethodPost, "/reload", nil, &reloaded)
	return reloaded.Notes, err
}

// Reconsider makes the daemon look for accounts again, and start datasets that wait for a
// person.
func (c *Client) Reconsider(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/reconsider", nil, nil)
}

// History returns passes, newest first; of all datasets if dataset is empty.
func (c *Client) History(ctx context.Context, dataset string, limit int) ([]daemon.PassStatus, error) {
	query := url.Values{"dataset": {dataset}, "limit": {strconv.Itoa(limit)}}
	var history History
	err := c.call(ctx, http.MethodGet, "/history?"+query.Encode(), nil, &history)
	return history.Passes, err
}

// call sends in as JSON, unless it is nil, and reads the answer into out.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://mimicsync"+Prefix+path, body)
	if err != nil {
		return err
	}
	response, err := c.http.Do(r)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	switch {
	case nobody(err):
		return ErrEnded
	case err != nil:
		return fmt.Errorf("%w: %w", ErrEnded, err)
	}
	defer func() { _ = response.Body.Close() }() // everything was read
	if response.StatusCode >= http.StatusBadRequest {
		var p problem
		if err := decode(response.Body, &p); err != nil || p.Error == "" {
			p.Error = "the daemon answered " + response.Status
		}
		return &Error{response.StatusCode, p.Error, p.Hint, p.ExitCode, p.Pruned}
	}
	if out == nil {
		return nil
	}
	if err := decode(response.Body, out); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}
