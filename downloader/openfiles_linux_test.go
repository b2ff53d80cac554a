package downloader_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source"
	"mimicsync/store"
)

// crowded is a source on a machine that has files for nine connections at a time.
type crowded struct {
	*river
	open atomic.Int32
}

func (c *crowded) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	defer c.open.Add(-1)
	if c.open.Add(1) > 9 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}
	time.Sleep(20 * time.Millisecond)
	return c.river.Open(ctx, r)
}

// So few files may be open that neither the connections of a pass nor its partials
// have enough. No file fails, and it takes fewer connections.
func TestAPassGoesOnWithFewOpenFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds, and counts its open files in /proc")
	}
	// Not in parallel: the limit is that of the process.
	objects := map[string][]byte{}
	for i := range 200 {
		objects[fmt.Sprintf("d%d/%d", i%3, i)] = noise(byte(i), 3000+i)
	}
	source := &crowded{river: newRiver(objects, func(string, int, time.Time) float64 { return 1e6 })}
	budget := pace.NewBudgetAt(60)
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	open, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	few := before
	few.Cur = uint64(len(open) + 40) // with those of the store and the tree
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }()
	r := newRig(t, rigOptions{sources: []host.Source{{Source: source, Budget: budget}}, log: io.Discard})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 200, Fetched: 200})
	if _, limit, _ := budget.Connections(); limit >= 60 {
		t.Errorf("the limit is %d still, want fewer", limit)
	}
}
