package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"mimicsync/cmd/mimicsync/internal/advice"
)

// console is a pseudo-terminal with a mimicsync that it controls.
type console struct {
	t      *testing.T
	person *os.File // the end at which a person sits
	line   *os.File // the end of the program
	cmd    *exec.Cmd
	shown  chan struct{} // closed when nothing more is shown

	mu     sync.Mutex // guards screen
	screen strings.Builder
}

func openTerminal(t *testing.T, args ...string) *console {
	t.Helper()
	person, line, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	term := &console{t: t, person: person, line: line, cmd: exec.CommandContext(ctx, "mimicsync", args...), shown: make(chan struct{})}
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = line, line, line
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(term.shown)
		_, _ = io.Copy(term, person) // ends with an error when the last program closes it
	}()
	return term
}

// Write is what the terminal shows.
func (x *console) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.Write(b)
}

func (x *console) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

func (x *console) echo() bool {
	x.t.Helper()
	settings, err := unix.IoctlGetTermios(int(x.line.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return settings.Lflag&unix.ECHO != 0
}

// answer waits for a question, with echo or without, and types.
func (x *console) answer(question string, echo bool, typed string) {
	x.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.HasSuffix(x.text(), question) || x.echo() != echo; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			x.t.Fatalf("no question %q with echo %t:\n%s", question, echo, x.text())
		}
	}
	if _, err := io.WriteString(x.person, typed); err != nil {
		x.t.Fatal(err)
	}
}

// end waits for the program, and returns its exit code and the whole screen.
func (x *console) end() (code int, screen string) {
	x.t.Helper()
	_ = x.cmd.Wait() // the exit code tells
	if !x.echo() {
		x.t.Error("the terminal is left without echo")
	}
	_ = x.line.Close()
	<-x.shown
	_ = x.person.Close()
	return x.cmd.ProcessState.ExitCode(), x.text()
}

// The prompt shows the user and not the password, which arrives whole.
func TestPromptShowsNoPassword(t *testing.T) {
	site := plainSite(t)
	privately(t, site.URL)
	x := openTerminal(t, "login")
	x.answer("PhysioNet user: ", true, "marie\n")
	x.answer("Password (not shown): ", false, "hunter2\n")
	code, screen := x.end()
	want := regexp.MustCompile(`^PhysioNet user: marie\r\nPassword \(not shown\): \r\nlogged in to http://.* as marie; the password is saved in .*credentials\r\n`)
	if code != advice.ExitOK || !want.MatchString(screen) || strings.Contains(screen, "hunter2") {
		t.Errorf("login: exit code %d, want 0 and %s:\n%s", code, want, screen)
	}
}

func TestPromptRefusesWrongPassword(t *testing.T) {
	site := plainSite(t)
	privately(t, site.URL)
	x := openTerminal(t, "login", "--username", "marie")
	x.answer("Password (not shown): ", false, "hunter3\n")
	code, screen := x.end()
	if code != advice.ExitAccess || strings.Contains(screen, "hunter3") || !strings.Contains(screen, "nothing was saved") {
		t.Errorf("login: exit code %d, want %d:\n%s", code, advice.ExitAccess, screen)
	}
}

// Ctrl-C leaves the terminal as it was.
func TestPromptInterrupted(t *testing.T) {
	site := plainSite(t)
	privately(t, site.URL)
	x := openTerminal(t, "login", "--username", "marie")
	x.answer("Password (not shown): ", false, "hunt\x03")
	code, screen := x.end()
	if code != advice.ExitInterrupted || strings.Contains(screen, "hunt") || !strings.Contains(screen, "mimicsync: error: interrupted") {
		t.Errorf("login: exit code %d, want %d:\n%s", code, advice.ExitInterrupted, screen)
	}
}

func TestPromptEndOfInput(t *testing.T) {
	privately(t, "https://127.0.0.1:1")
	x := openTerminal(t, "login")
	x.answer("PhysioNet user: ", true, "\x04")
	if code, screen := x.end(); code != advice.ExitUsage || !strings.Contains(screen, "no user was given") {
		t.Errorf("login: exit code %d, want %d:\n%s", code, advice.ExitUsage, screen)
	}
}

// Doctor is coloured on a terminal, unless NO_COLOR forbids it.
func TestDoctorOnATerminal(t *testing.T) {
	for _, plain := range []string{"", "1"} {
		site := plainSite(t)
		privately(t, site.URL)
		t.Setenv("NO_COLOR", plain)
		t.Setenv("TERM", "xterm")
		code, screen := openTerminal(t, "doctor", "demo").end()
		if code != advice.ExitAccess || strings.Contains(screen, "\x1b[") == (plain != "") || !strings.Contains(screen, "FAILED") {
			t.Errorf("doctor with NO_COLOR=%s: exit code %d, want %d, and colours only without it:\n%q", plain, code, advice.ExitAccess, screen)
		}
	}
}
