//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
)

// result is what a campaign finds: its JSON, or words and tables for people.
type result interface{ print() }

// campaign makes a command of a measurement that is no scenario of comparison. define adds its flags to those that all have,
// and returns what measures, which is called once they are parsed, with a stage that is closed afterwards.
func campaign(name string, define func(*flag.FlagSet) func(context.Context, *stage) (result, error)) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) (err error) {
		var o stageOptions
		flags := flag.NewFlagSet(name, flag.ContinueOnError)
		o.flags(flags)
		measure := define(flags)
		if err := flags.Parse(args); err != nil {
			return err
		}
		if flags.NArg() > 0 {
			return fmt.Errorf("it takes flags only, not %q; -h lists them", flags.Arg(0))
		}
		s, err := openStage(ctx, o)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		found, err := measure(ctx, s)
		if err != nil {
			return err
		}
		if o.json {
			return printJSON(found)
		}
		found.print()
		return nil
	}
}

// needsCommand is the error of a measurement that the library cannot stand in for.
func (s *stage) needsCommand() error {
	if s.client == "" {
		return errors.New("this needs the command, which was not built")
	}
	return nil
}
