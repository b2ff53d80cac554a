//go:build linux

// Command bench measures mimicsync against what it cannot beat, on this machine and without a network.
//
//	go run ./bench small    20,000 small files: mimicsync beside a bare loop of fetch, SHA-256 and write
//	go run ./bench huge     600,000 tiny files: memory, and whether speed lasts
//
// The server is the look-alike of PhysioNet in a process of its own, over TLS on loopback, and each client runs in a
// fresh process, so that processor time and memory are its own. README.md says how to read the tables.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// commands are the measurements, and the roles in which a measurement starts this program again.
var commands = map[string]func(ctx context.Context, args []string) error{
	"small": measureSmall,
	"huge":  measureHuge,
	"serve": serve,
	"loop":  bareLoop,
	"pass":  libraryPass,
	"check": checkTree,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go run ./bench small|huge [flags]; -h after either lists its flags")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := commands[os.Args[1]](ctx, os.Args[2:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
