package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"mimicsync/internal/plainjson"
)

// hookOutput is how much of a hook's output goes to the log.
const hookOutput = 8 << 10

// HookOptions configures a Hook.
type HookOptions struct {
	Kinds   []Kind        // the events that it runs for; all if empty
	Argv    []string      // the program and its arguments; no shell reads them
	Timeout time.Duration // after which it is killed; 0: a minute
	Logger  *slog.Logger  // gets its output; may be nil
}

// Hook runs a program. Its standard input is the Event as JSON; its environment is the part
// of the daemon's that programs need (PATH, HOME, USER, LANG, TZ, ...: no secrets) and
//
//	MIMICSYNC_EVENT          complete, failure, recovery, parked, no_space, rot or mirror
//	MIMICSYNC_TIME           like 2006-01-02T15:04:05Z
//	MIMICSYNC_HOST           of the daemon
//	MIMICSYNC_MIRROR         root folder of the mirror
//	MIMICSYNC_DATASET        and
//	MIMICSYNC_VERSION        empty if the event is about the whole mirror
//	MIMICSYNC_TEXT           what happened, in a sentence
//	MIMICSYNC_CURE           what to do about it, may be empty
//	MIMICSYNC_CHANGES        a file: what changed since the last complete pass, see report.WriteChanges; may be missing
//	MIMICSYNC_FILES_FETCHED, MIMICSYNC_BYTES_FETCHED, MIMICSYNC_FILES_LINKED, MIMICSYNC_FILES_FAILED
//
// Its output goes to the log, up to 8 KiB. It runs in its own process group, which is
// killed as a whole after the time limit.
type Hook struct {
	wanted
	o HookOptions
}

// NewHook returns a Hook. The error says that there is no program.
func NewHook(o HookOptions) (*Hook, error) {
	if len(o.Argv) == 0 || o.Argv[0] == "" {
		return nil, errors.New("a hook needs a program")
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Hook{wanted: o.Kinds, o: o}, nil
}

// Name names the program, without its arguments, which may contain secrets.
func (h *Hook) Name() string { return "hook " + h.o.Argv[0] }

// Notify runs the program and waits for its end.
func (h *Hook) Notify(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeoutCause(ctx, h.o.Timeout, fmt.Errorf("killed: it didn't end within %s", h.o.Timeout))
	defer cancel()
	input, err := json.Marshal(e)
	if err != nil {
		return err
	}
	output := &head{}
	cmd := exec.CommandContext(ctx, h.o.Argv[0], h.o.Argv[1:]...) //nolint:gosec // the configuration names it
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(plainjson.Escape(input)), output, output
	cmd.Env = hookEnvironment(e)
	isolate(cmd)
	// A child that outlives the program may hold its output open.
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		_ = cmd.Cancel() // the program itself has ended
		err = nil
	}
	if output.n > 0 {
		h.o.Logger.InfoContext(ctx, "hook wrote", "hook", h.o.Argv[0], "output", output.String())
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// inherited are the variables that a hook gets from the daemon.
var inherited = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR",
	"SystemRoot", "PATHEXT", "TEMP", "USERPROFILE", // without these, Windows starts few programs
}

func hookEnvironment(e Event) []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, v := range []struct{ name, value string }{
		{"EVENT", string(e.Kind)},
		{"TIME", e.Time.UTC().Format(time.RFC3339)},
		{"HOST", e.Host},
		{"MIRROR", e.Mirror},
		{"DATASET", e.Dataset},
		{"VERSION", e.Version},
		{"TEXT", seen(e.Text)},
		{"CURE", seen(e.Cure)},
		{"CHANGES", e.Changes},
		{"FILES_FETCHED", number(e.Fetched)},
		{"BYTES_FETCHED", number(e.FetchedBytes)},
		{"FILES_LINKED", number(e.Linked)},
		{"FILES_FAILED", number(e.Failed)},
	} {
		// A NUL would end the variable, and the kernel rejects it.
		env = append(env, "MIMICSYNC_"+v.name+"="+strings.ReplaceAll(v.value, "\x00", ""))
	}
	return env
}

// head keeps the beginning of what is written to it, but accepts everything: a program
// whose pipe is full would wait.
type head struct {
	kept bytes.Buffer
	n    int64
}

func (h *head) Write(b []byte) (int, error) {
	h.n += int64(len(b))
	h.kept.Write(b[:min(len(b), hookOutput-h.kept.Len())])
	return len(b), nil
}

func (h *head) String() string {
	text := strings.ToValidUTF8(strings.TrimSpace(h.kept.String()), "?")
	if more := h.n - int64(h.kept.Len()); more > 0 {
		text += fmt.Sprintf("\n... and %d bytes more", more)
	}
	return text
}
