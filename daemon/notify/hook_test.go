package notify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"mimicsync/daemon/notify"
)

func actAsHook(args []string) bool {
	switch args[0] {
	case "hook-tells":
		input, _ := io.ReadAll(os.Stdin)
		env := os.Environ()
		slices.Sort(env)
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"args": args, "env": env, "input": string(input)})
	case "hook-fails":
		fmt.Fprintln(os.Stderr, "no such printer")
		os.Exit(3)
	case "hook-floods":
		for range 1000 {
			fmt.Println(strings.Repeat("x", 10_000))
		}
	case "hook-hangs": // with a child that holds the pipe to the test
		child := exec.Command(os.Args[0], "hook-sleeps", args[1])
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		_ = child.Start()
		_ = child.Wait()
	case "hook-leaves": // a child behind
		child := exec.Command(os.Args[0], "hook-sleeps", args[1])
		child.Stdout = os.Stdout
		_ = child.Start()
	case "hook-sleeps": // for as long as the pipe's other end is open
		pipe, err := os.OpenFile(args[1], os.O_WRONLY, 0)
		if err == nil {
			_, _ = pipe.WriteString("asleep")
			time.Sleep(time.Minute)
		}
	default:
		return false
	}
	return true
}

func hook(t *testing.T, o notify.HookOptions, args ...string) (*notify.Hook, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	o.Argv, o.Logger = append([]string{os.Args[0]}, args...), slog.New(slog.NewJSONHandler(log, nil))
	h, err := notify.NewHook(o)
	if err != nil {
		t.Fatal(err)
	}
	return h, log
}

// written is what the log says that a hook wrote.
func written(t *testing.T, log *bytes.Buffer) string {
	t.Helper()
	var record struct{ Output string }
	if err := json.Unmarshal(log.Bytes(), &record); err != nil {
		t.Fatalf("the log %q: %v", log, err)
	}
	return record.Output
}

func TestAHookHearsOfTheEventAndOfNoSecret(t *testing.T) {
	t.Setenv("PHYSIONET_PASSWORD", "hunter2")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("NOTIFY_SOCKET", "/run/hunter2")
	t.Setenv("LANG", "C.UTF-8")
	h, log := hook(t, notify.HookOptions{}, "hook-tells", "$HOME; rm -rf /", "a b")
	if err := h.Notify(t.Context(), signAgain); err != nil {
		t.Fatal(err)
	}
	var told struct {
		Args, Env []string
		Input     string
	}
	if err := json.Unmarshal([]byte(written(t, log)), &told); err != nil {
		t.Fatal(err)
	}
	if want := []string{"hook-tells", "$HOME; rm -rf /", "a b"}; !slices.Equal(told.Args, want) {
		t.Errorf("its arguments are %q, want %q", told.Args, want)
	}
	var e notify.Event
	if err := json.Unmarshal([]byte(told.Input), &e); err != nil || e != signAgain {
		t.Errorf("its input is %q (%v), want the event", told.Input, err)
	}
	for _, want := range []string{
		"MIMICSYNC_EVENT=parked", "MIMICSYNC_DATASET=mimic-cxr", "MIMICSYNC_VERSION=2.1.0", "MIMICSYNC_MIRROR=/data/physionet",
		"MIMICSYNC_TEXT=" + signAgain.Text, "MIMICSYNC_CURE=" + signAgain.Cure, "MIMICSYNC_HOST=lab1", "MIMICSYNC_TIME=2026-11-22T03:30:00Z",
		"MIMICSYNC_FILES_FETCHED=3", "MIMICSYNC_BYTES_FETCHED=4096", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"),
	} {
		if !slices.Contains(told.Env, want) {
			t.Errorf("its environment lacks %s: %q", want, told.Env)
		}
	}
	manual, err := os.ReadFile("../../configs/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range told.Env {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "MIMICSYNC_") && !strings.Contains(string(manual), name) {
			t.Errorf("the example of the configuration does not speak of %s", name)
		}
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("its environment has a secret: %q", told.Env)
	}
}

func TestAHookThatFailsIsAnError(t *testing.T) {
	h, log := hook(t, notify.HookOptions{}, "hook-fails")
	err := h.Notify(t.Context(), signAgain)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("Notify = %v, want its exit status", err)
	}
	if got := written(t, log); got != "no such printer" {
		t.Errorf("the log has %q, want what it wrote", got)
	}
	h, err = notify.NewHook(notify.HookOptions{Argv: []string{"/nonexistent/program", "--token=hunter2"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Notify(t.Context(), signAgain); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Notify without a program = %v, want ErrNotExist", err)
	}
	if h.Name() != "hook /nonexistent/program" {
		t.Errorf("Name = %q", h.Name())
	}
}

func TestAHookThatFloodsIsCutShort(t *testing.T) {
	h, log := hook(t, notify.HookOptions{}, "hook-floods")
	if err := h.Notify(t.Context(), signAgain); err != nil {
		t.Fatal(err)
	}
	got := written(t, log)
	if len(got) > 9000 || !strings.HasSuffix(got, "... and 9992808 bytes more") {
		t.Errorf("the log has %d bytes, ending in %q", len(got), got[max(0, len(got)-40):])
	}
}

func TestAHookIsToldWhatItWants(t *testing.T) {
	h, _ := hook(t, notify.HookOptions{Kinds: []notify.Kind{notify.Failure, notify.Parked}}, "hook-tells")
	if !h.Wants(notify.Parked) || h.Wants(notify.Complete) {
		t.Error("it does not want what it was made for")
	}
	if h, _ := hook(t, notify.HookOptions{}, "hook-tells"); !h.Wants(notify.Complete) {
		t.Error("one for no kind in particular does not want all")
	}
	if _, err := notify.NewHook(notify.HookOptions{}); err == nil {
		t.Error("a hook without a program is none")
	}
}
