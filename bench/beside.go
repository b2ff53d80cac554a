//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/s3"
)

// besideGoal is how much longer small files may take beside a big one.
const besideGoal = 1.3

// besideResult is what `bench beside` finds, in seconds.
type besideResult struct {
	Machine machine       `json:"machine"`
	RTT     time.Duration `json:"rtt_ns"`
	Alone   []float64     `json:"small_alone"`
	Beside  []float64     `json:"small_beside_big"`
}

// measureBeside lets the program find out by itself how many connections help, at a store that is some way off: with
// small files, and with the same and a big one, whose bytes are most of all bytes while it lasts.
func measureBeside(flags *flag.FlagSet) func(context.Context, *stage) (result, error) {
	rtt := flags.Duration("rtt", 60*time.Millisecond, "round-trip time")
	runs := flags.Int("runs", 3, "of each")
	return func(ctx context.Context, s *stage) (result, error) {
		r := &besideResult{Machine: thisMachine(s), RTT: *rtt}
		if err := s.needsCommand(); err != nil {
			return nil, err
		}
		for i := range *runs {
			alone, err := s.besidePull(ctx, "small5k", fmt.Sprint("alone", i), *rtt)
			if err != nil {
				return nil, err
			}
			beside, err := s.besidePull(ctx, besideCorpus, fmt.Sprint("beside", i), *rtt)
			if err != nil {
				return nil, err
			}
			r.Alone, r.Beside = append(r.Alone, alone), append(r.Beside, beside)
		}
		return r, nil
	}
}

func (r *besideResult) print() {
	r.Machine.print()
	median := func(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }
	alone, beside := median(r.Alone), median(r.Beside)
	fmt.Printf("5,000 small files over %v: %.1f s; beside a file of 300 MB: %.1f s\n", r.RTT, r.Alone, r.Beside)
	fmt.Printf("at most %.1f times as long: %.2f, %s\n", besideGoal, beside/alone, reached(beside <= besideGoal*alone))
}

// besideCorpus is small5k with a big file before the others.
const besideCorpus = "small5k-and-big"

func withBig(c corpus) corpus {
	return corpus{besideCorpus, c.about + ", and one of 300 MB", func() []lookalike.GeneratedFile {
		return append([]lookalike.GeneratedFile{{Path: "big.bin", Size: 300e6}}, c.files()...)
	}}
}

// besidePull returns how long a pull of a corpus takes whose connections nobody has named.
func (s *stage) besidePull(ctx context.Context, name, dir string, rtt time.Duration) (seconds float64, err error) {
	work, err := corpora(name, 1)
	if err != nil {
		return 0, err
	}
	server, err := startGenerated(ctx, s, "-store", s3.Name, "-corpus", name)
	if err != nil {
		return 0, err
	}
	defer server.close()
	far, err := delay(strings.TrimPrefix(server.about.URL, "https://"), rtt)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, far.Close()) }()
	mirror, url := filepath.Join(s.dir, dir), "https://"+far.Addr().String()
	cmd := s.command(ctx, s.client, "pull", work.ref().String(), "--mirror", mirror, "--source", s3.Name, "-q")
	cmd.Env = append(cmd.Env, "MIMICSYNC_PHYSIONET_URL="+server.about.URL, s3Var+"="+url)
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	seconds = time.Since(start).Seconds()
	var checked run
	return seconds, s.verify(ctx, server.about.Manifest, filepath.Join(mirror, work.name, version), server.about.Files, false, &checked)
}

// delay listens for who wants to talk to a server that is so far off. Handshakes of TCP cost nothing, unlike on a link.
func delay(server string, rtt time.Duration) (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // listening waits for nobody
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server) // on loopback
			if err != nil {
				_ = near.Close()
				continue
			}
			go carry(far, near, rtt/2)
			go carry(near, far, rtt/2)
		}
	}()
	return listener, nil
}

// carry hands over what comes when some time has passed, in order.
func carry(to, from net.Conn, after time.Duration) {
	type piece struct {
		due   time.Time
		bytes []byte
	}
	pieces := make(chan piece, 1024) // of 64 KB at the most: what a connection has on its way
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, 64<<10)
			n, err := from.Read(buf)
			if n > 0 {
				pieces <- piece{time.Now().Add(after), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close() // whichever has ended, the other has nothing more to say
	for range pieces {
	}
}
