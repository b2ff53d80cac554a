// Command mimicsync keeps a verified mirror of MIMIC and other PhysioNet
// datasets. `mimicsync help` is the manual.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/terminal"
)

func main() {
	hush()
	terminal.OutliveReaders()
	ctx, stop := interruptible(context.Background())
	code := run(ctx, os.Args[1:], terminal.Outlet{File: os.Stdout}, terminal.Outlet{File: os.Stderr})
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := newApp(stdout, stderr)
	root := a.rootCommand() //nolint:contextcheck // cobra hands the context to the commands
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if cmd, err := root.ExecuteContextC(ctx); err != nil {
		if !a.started { // cobra didn't get as far as running a command
			if _, ok := errors.AsType[*advice.UsageError](err); !ok {
				err = &advice.UsageError{Err: err}
			}
			a.json = a.json || slices.Contains(args, "--json") // it may come after the mistake
		}
		if usage, ok := errors.AsType[*advice.UsageError](err); ok && usage.Hint == "" {
			usage.Hint = "see: " + cmd.CommandPath() + " --help"
		}
		code := a.ui.Explain(err)
		if a.json && !a.ui.Answered { // for programs, stdout has an object in every case
			_ = a.ui.JSON(map[string]string{"error": err.Error()}) // the error is told below, whatever happens to this
		}
		return code
	}
	return a.code
}
