//go:build linux

// Command powercut finds out what a mirror loses when the power is cut, when a disk
// fails, when mimicsync is killed and when a disk is full.
//
//	go run ./bench/powercut cut -fs ext4 -times 200    power cuts, half of them over a person's own files
//	go run ./bench/powercut eio -fs xfs -times 40      writes that fail for a moment
//	go run ./bench/powercut full -fs btrfs -times 10   disks that are full, and thin ones
//	go run ./bench/powercut kill -times 50             kill -9
//
// All but kill need root, /dev/fuse, a loop device and the mkfs of the file system: it
// ends with 3 where they are missing, and with 1 if anything was lost. bench/README.md
// says what the figures are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"mimicsync/internal/faultdisk"
)

// inside tells the process that has a mount namespace of its own.
const inside = "MIMICSYNC_POWERCUT_INSIDE"

func main() {
	var err error
	switch {
	case faultdisk.IsServer():
		err = faultdisk.Serve()
	case os.Getenv(inside) == "" && os.Geteuid() == 0:
		err = alone()
	default:
		err = campaign(os.Args[1:])
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.Is(err, faultdisk.ErrUnavailable):
		fmt.Fprintln(os.Stderr, "powercut: SKIPPED:", err)
		os.Exit(3)
	case err != nil:
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
}

// alone runs this program in a mount namespace of its own: what it mounts is in nobody's
// way, and gone when it ends, however that is.
func alone() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	signal.Ignore(os.Interrupt) // it is for the other one too
	return cmd.Run()
}

// options are the flags.
type options struct {
	what       string
	fileSystem string
	durability string
	dir        string
	client     string
	times      int
	seed       uint64
	verbose    bool
}

var campaigns = map[string]func(context.Context, *lab) error{"cut": cutPower, "eio": failWrites, "full": fillDisks, "kill": killNine}

func campaign(args []string) error {
	var o options
	if len(args) == 0 || campaigns[args[0]] == nil {
		return errors.New("usage: go run ./bench/powercut cut|eio|full|kill [flags]; -h lists the flags")
	}
	o.what = args[0]
	flags := flag.NewFlagSet(o.what, flag.ContinueOnError)
	flags.StringVar(&o.fileSystem, "fs", "ext4", "file system: ext4, xfs or btrfs")
	flags.StringVar(&o.durability, "durability", "", "group, file or none; both of the first by turns if empty")
	flags.StringVar(&o.dir, "dir", "/dev/shm", "a folder for images and logs, about 1 GB")
	flags.StringVar(&o.client, "client", "", "the mimicsync command to try, as one of an older version; built from this tree if empty")
	flags.IntVar(&o.times, "times", 20, "how often")
	flags.Uint64Var(&o.seed, "seed", 1, "what goes wrong, and when, is the same for the same seed, but for the machine's speed")
	flags.BoolVar(&o.verbose, "v", false, "print each trial")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	l, err := openLab(ctx, o, []string{self})
	if err != nil {
		return err
	}
	err = campaigns[o.what](ctx, l)
	l.report()
	return errors.Join(err, l.close())
}
