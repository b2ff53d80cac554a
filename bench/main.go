//go:build linux

// Command bench measures mimicsync against what it cannot beat and against what people use, on this machine and without
// another.
//
//	go run ./bench             all scenarios of issues 3 and 4; or one by its name: small, large, capped, ...
//	go run ./bench huge        600,000 tiny files: memory, and whether speed lasts
//	go run ./bench starved     eight pulls at once from a server that serves twelve connections and leaves others hanging
//	go run ./bench beside      small files at a distance, without and with a big one among them
//	go run ./bench trouble     a daemon through eight kinds of trouble, one after the other
//	go run ./bench sickstore   a store that answers nothing but an error, with PhysioNet behind it
//	go run ./bench soak        a daemon that refreshes for two hours while things change and fail: whether it stays the same
//	go run ./bench flood       a server that sends without end, or what it should not: memory, log, and what they tell
//	go run ./bench flips       a state file damaged 560 times: whether every command ends, and --rebuild cures it
//
// A scenario's server is nginx, on loopback or behind a link of 40 ms; that of `second`, `newversion` and `huge` is the look-alike of
// PhysioNet, that of the cloud's scenarios an emulator of the store, or its look-alike. Each client runs in a fresh process, so that
// processor time and memory are its own. README.md says how to read the tables.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mimicsync/bench/link"
)

// commands are the measurements that are no scenarios, and the roles in which a measurement starts this program again.
var commands = map[string]func(ctx context.Context, args []string) error{
	"flips":     campaign("flips", measureFlips),
	"flood":     campaign("flood", measureFlood),
	"huge":      campaign("huge", measureHuge),
	"soak":      campaign("soak", measureSoak),
	"starved":   campaign("starved", measureStarved),
	"beside":    campaign("beside", measureBeside),
	"trouble":   campaign("trouble", measureTrouble),
	"sickstore": campaign("sickstore", measureSickStore),
	"serve":     serve,
	"loop":      bareLoop,
	"store":     storeLoop,
	"pass":      libraryPass,
	"check":     checkTree,
	"pump":      pump,
}

func main() {
	name, args := "speed", os.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	for _, scenario := range append(scenarioNames(), "speed") {
		commands[scenario] = measureSpeed(scenario)
	}
	if commands[name] == nil {
		fmt.Fprintf(os.Stderr, "usage: go run ./bench [%s|flips|flood|huge|soak|starved|beside|trouble|sickstore] [flags]; -h lists the flags\n", strings.Join(scenarioNames(), "|"))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := commands[name](ctx, args)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", name, err)
		os.Exit(1)
	}
}

// pump carries the packets of a link, whose ends are its file descriptors 3 and 4, until it is killed.
func pump(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("pump", flag.ContinueOnError)
	rtt := flags.Duration("rtt", 40*time.Millisecond, "round-trip time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return link.Pump(3, 4, *rtt)
}
