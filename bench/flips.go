//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// flipOptions are the flags of `bench flips`.
type flipOptions struct {
	files  int
	random int
	aimed  int
	seed   uint64
	limit  time.Duration
}

// flipResult is what became of a mirror whose state file was damaged again and again.
type flipResult struct {
	Machine  machine       `json:"machine"`
	Pages    int           `json:"pages"` // of the state file
	Damages  int           `json:"damages"`
	Named    int           `json:"named"`  // damages that status called by their name
	Silent   int           `json:"silent"` // damages of which no command said anything: of a page that is free, most often
	Commands int           `json:"commands"`
	Longest  time.Duration `json:"longest_ns"`
	Faults   []string      `json:"faults"` // commands that did not end in time, or ended in a panic, and what --rebuild did not cure
}

// measureFlips damages the state file of a mirror, one thing at a time, and has every command work with it: each must
// end in time, and `verify --rebuild` must cure it.
func measureFlips(flags *flag.FlagSet) func(context.Context, *stage) (result, error) {
	var o flipOptions
	flags.IntVar(&o.files, "files", 900, "in the mirror")
	flags.IntVar(&o.random, "random", 500, "single bits, anywhere in the file")
	flags.IntVar(&o.aimed, "aimed", 60, "pointers, counts and lists of free pages that lead back or astray")
	flags.Uint64Var(&o.seed, "seed", 1, "what is damaged is the same for the same seed")
	flags.DurationVar(&o.limit, "limit", 10*time.Second, "within which each command has to end")
	return func(ctx context.Context, s *stage) (result, error) {
		r, err := s.flips(ctx, o)
		if err != nil {
			return nil, err
		}
		r.Machine = thisMachine(s)
		return r, nil
	}
}

func (r *flipResult) print() {
	fmt.Printf("%d damages of a state file of %d pages, %d commands, the longest took %s\n", r.Damages, r.Pages, r.Commands, seconds(r.Longest.Seconds()))
	fmt.Printf("status named %d of them, no command %d; faults: %d\n", r.Named, r.Silent, len(r.Faults))
	for _, fault := range r.Faults {
		fmt.Println("  " + fault)
	}
}

// flipping is a mirror, and its state as it was when all was well.
type flipping struct {
	*stage

	o      flipOptions
	url    string
	mirror string
	good   []byte
	result flipResult
}

// damaged is the content of a damaged state file.
type damaged struct {
	what string
	data []byte
}

func (s *stage) flips(ctx context.Context, o flipOptions) (_ *flipResult, err error) {
	if err := s.needsCommand(); err != nil {
		return nil, err
	}
	var files []lookalike.GeneratedFile
	for i := range o.files {
		files = append(files, lookalike.GeneratedFile{Path: fmt.Sprintf("p%02d/f%06d.txt", i%20, i), Data: []byte(fmt.Sprintf("file %d\n", i))})
	}
	generated := lookalike.Generated(files)
	server := lookalike.New(lookalike.Project{Slug: "flips", Versions: []lookalike.Version{{Version: "1.0", Files: generated, Manifest: generated.Manifest()}}})
	url, shut, err := s.serveSite(server, &server.Host)
	if err != nil {
		return nil, err
	}
	defer func() {
		server.Close()
		err = errors.Join(err, shut())
	}()
	f := &flipping{stage: s, o: o, url: url, mirror: filepath.Join(s.dir, "mirror")}
	if code, out, _ := f.run(ctx, "pull", "flips@1.0"); code != 0 {
		return nil, fmt.Errorf("the first pull: %s", out)
	}
	if f.good, err = os.ReadFile(f.state()); err != nil {
		return nil, err
	}
	f.result.Pages = len(f.good) / os.Getpagesize()
	f.result.Commands, f.result.Longest = 0, 0
	random := rand.New(rand.NewPCG(o.seed, o.seed)) //nolint:gosec // the same damages for the same seed
	for i := range o.random {
		if err := f.suffer(ctx, f.flip(random, i)); err != nil {
			return nil, err
		}
	}
	for _, d := range f.aim(random) {
		if err := f.suffer(ctx, d); err != nil {
			return nil, err
		}
	}
	return &f.result, nil
}

func (f *flipping) state() string { return filepath.Join(f.mirror, store.Dir, "state.db") }

// flip is the good state with another bit in one place of those pages that hold anything.
func (f *flipping) flip(random *rand.Rand, i int) damaged {
	data, size := slices.Clone(f.good), os.Getpagesize()
	for {
		bit := random.IntN(8 * len(data))
		page := data[bit/8/size*size:][:size]
		if bytes.Equal(page, make([]byte, size)) { // the room that bbolt keeps at the end
			continue
		}
		data[bit/8] ^= 1 << (bit % 8)
		return damaged{fmt.Sprintf("flip %d, bit %d of page %d", i, bit%(8*size), bit/8/size), data}
	}
}

// aim makes pointers of branch pages lead to the page itself, to another one, and far away; counts too great; and pages
// free that are in use.
func (f *flipping) aim(random *rand.Rand) []damaged {
	size := os.Getpagesize()
	var branches, lists []int
	for i := 2; i < len(f.good)/size; i++ {
		page := f.good[i*size:]
		switch kind := binary.NativeEndian.Uint16(page[8:]); {
		case binary.NativeEndian.Uint64(page) != uint64(i):
		case kind == 1:
			branches = append(branches, i)
		case kind == 16:
			lists = append(lists, i)
		}
	}
	var all []damaged
	change := func(what string, at int, value uint64) {
		data := slices.Clone(f.good)
		binary.NativeEndian.PutUint64(data[at:], value)
		all = append(all, damaged{what, data})
	}
	for len(branches) > 0 && len(all) < f.o.aimed {
		i := branches[len(all)%len(branches)]
		header := binary.NativeEndian.Uint64(f.good[i*size+8:])
		e := random.IntN(int(header >> 16 & 0xFFFF))
		pointer := i*size + 16 + 16*e + 8
		change(fmt.Sprintf("branch page %d, element %d: to itself", i, e), pointer, uint64(i)) //nolint:gosec // as above
		other := branches[random.IntN(len(branches))]
		change(fmt.Sprintf("branch page %d, element %d: to branch page %d", i, e, other), pointer, uint64(other)) //nolint:gosec // as above
		change(fmt.Sprintf("branch page %d, element %d: far away", i, e), pointer, random.Uint64())
		change(fmt.Sprintf("branch page %d: elements without end", i), i*size+8, header|0xFFFF<<16)
		for _, list := range lists {
			change(fmt.Sprintf("free list %d: branch page %d", list, i), list*size+16, uint64(i)) //nolint:gosec // as above
		}
	}
	return all[:min(len(all), f.o.aimed)]
}

// suffer has every command work with a damaged state, and the cure cure it.
func (f *flipping) suffer(ctx context.Context, d damaged) error {
	old, _ := filepath.Glob(f.state() + "*") // the pattern is a good one
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	if err := os.WriteFile(f.state(), d.data, 0o600); err != nil {
		return err
	}
	f.result.Damages++
	fault := func(command, what string) {
		f.result.Faults = append(f.result.Faults, fmt.Sprintf("%s: %s %s", d.what, command, what))
	}
	said := false
	for _, args := range [][]string{{"status"}, {"plan", "flips@1.0"}, {"verify", "--progress", "none"}, {"pull", "flips@1.0", "--progress", "none"}} {
		code, out, inTime := f.run(ctx, args...)
		named := strings.Contains(out, "damaged") && strings.Contains(out, "--rebuild")
		said = said || code != 0
		if args[0] == "status" && named {
			f.result.Named++
		}
		if !inTime || code < 0 || strings.Contains(out, "goroutine ") {
			fault(args[0], fmt.Sprintf("exit %d, in time %t: %.300s", code, inTime, out))
		}
	}
	if !said {
		f.result.Silent++
	}
	for _, args := range [][]string{{"verify", "--rebuild", "--progress", "none"}, {"pull", "flips@1.0", "--progress", "none"}} {
		if code, out, inTime := f.run(ctx, args...); code != 0 || !inTime {
			fault(strings.Join(args[:2], " "), fmt.Sprintf("exit %d, in time %t: %.300s", code, inTime, out))
		} else if want := fmt.Sprintf("%d present", f.o.files); args[0] == "pull" && !strings.Contains(out, want) {
			fault("pull after the cure", "fetched again: "+out)
		}
	}
	return ctx.Err()
}

// run runs a command, which is killed when its time is over.
func (f *flipping) run(ctx context.Context, args ...string) (code int, out string, inTime bool) {
	limited, cancel := context.WithTimeout(ctx, f.o.limit)
	defer cancel()
	cmd := f.command(limited, f.client, append(args, "--mirror", f.mirror)...)
	cmd.Env = append(cmd.Env, "MIMICSYNC_PHYSIONET_URL="+f.url)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	begun := time.Now()
	err := cmd.Run()
	f.result.Commands++
	f.result.Longest = max(f.result.Longest, time.Since(begun))
	if err != nil && cmd.ProcessState == nil {
		return -1, err.Error(), true
	}
	return cmd.ProcessState.ExitCode(), said.String(), limited.Err() == nil
}
