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

// Errors that callers tell apart.
var (
	// ErrNoDaemon means that nobody answers on a mirror's socket from here.
	ErrNoDaemon = errors.New("no daemon is running for this mirror on this machine")
	// ErrEnded means that somebody did before.
	ErrEnded = errors.New("the daemon stopped answering")
	// ErrSilent means that somebody listens there and says nothing.
	ErrSilent = errors.New("the process at the control socket doesn't answer")
)

// silentAfter is how long the first answer may take, which costs a daemon nothing.
const silentAfter = 4 * time.Second

// followEvery is how often Follow looks.
const followEvery = 200 * time.Millisecond

// Error is what a daemon answered to a request that failed.
type Error struct {
	Code int    // HTTP status
	Text string // what happened
	Hint string // what to do next, empty where Text says it
	// ExitCode is that of the command line for it, 0 where Code says enough.
	ExitCode int
	Pruned   []*report.Pruned // what Prune had removed by then
}

// Error returns Text.
func (e *Error) Error() string { return e.Text }

// Client asks the daemon of a mirror. Its errors are an *Error where the daemon
// answered. Its methods may be called from any goroutine.
type Client struct{ http *http.Client }

// Dial returns a client of the daemon that owns a mirror, ErrNoDaemon if there is
// none, and an error that wraps a *store.ForeignError or ErrSilent where somebody else
// may stand in its place. The caller closes it.
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
	_ = conn.Close() // that it opened says that somebody listens
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

// greet asks for nothing, to see whether somebody answers.
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

// nobody reports whether there is no socket, or one that a crash left.
func nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// Close ends the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status is what the daemon is, has and does.
func (c *Client) Status(ctx context.Context) (daemon.Status, error) {
	var status daemon.Status
	return status, c.call(ctx, http.MethodGet, "/status", nil, &status)
}

// Pull starts a pass, or joins the one that runs for the same request.
func (c *Client) Pull(ctx context.Context, r PullRequest) (id int64, err error) {
	var accepted Accepted
	err = c.call(ctx, http.MethodPost, "/pull", r, &accepted)
	return accepted.ID, err
}

// Plan says what a pass would do.
func (c *Client) Plan(ctx context.Context, r PullRequest) (p Plan, err error) {
	return p, c.call(ctx, http.MethodPost, "/plan", r, &p)
}

// Prune removes old versions, or says what would go.
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

// Pass is a pass of the daemon, with its result once it has ended.
func (c *Client) Pass(ctx context.Context, id int64) (Pass, error) {
	var p Pass
	return p, c.call(ctx, http.MethodGet, fmt.Sprintf("/passes/%d", id), nil, &p)
}

// Follow yields how far a pass has come, a few times a second, until it has
// ended, which is the last one, or until an error. When ctx ends the pass goes on.
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

// Pause ends the passes of a dataset and starts none before Resume; of all if it
// is empty.
func (c *Client) Pause(ctx context.Context, dataset string) error {
	return c.call(ctx, http.MethodPost, "/pause", DatasetRequest{dataset}, nil)
}

// Resume undoes Pause.
func (c *Client) Resume(ctx context.Context, dataset string) error {
	return c.call(ctx, http.MethodPost, "/resume", DatasetRequest{dataset}, nil)
}

// BWLimit changes the limit until the next Reload, see downloader.ParseTimetable.
func (c *Client) BWLimit(ctx context.Context, limit string) error {
	return c.call(ctx, http.MethodPut, "/bwlimit", BWLimitRequest{limit}, nil)
}

// Reload makes the daemon read its configuration again. The notes say what needs
// a restart.
func (c *Client) Reload(ctx context.Context) (notes []string, err error) {
	var reloaded Reloaded
	err = c.call(ctx, http.MethodPost, "/reload", nil, &reloaded)
	return reloaded.Notes, err
}

// Reconsider makes the daemon look for accounts anew, and begin what waits for a
// person.
func (c *Client) Reconsider(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/reconsider", nil, nil)
}

// History returns passes, the newest first; of all datasets if it is empty.
func (c *Client) History(ctx context.Context, dataset string, limit int) ([]daemon.PassStatus, error) {
	query := url.Values{"dataset": {dataset}, "limit": {strconv.Itoa(limit)}}
	var history History
	err := c.call(ctx, http.MethodGet, "/history?"+query.Encode(), nil, &history)
	return history.Passes, err
}

// call sends in as JSON, if it is not nil, and reads the answer into out.
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
	defer func() { _ = response.Body.Close() }() // it was read
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
