//go:build linux

// Package link joins two network namespaces by a link of a given round-trip time, for kernels without netem and machines
// without a second one. Each namespace has a TUN device, and a process in between hands every packet over when half of the
// time has passed, in order. The TCP at both ends is the kernel's: handshakes, slow start and windows cost what they
// would on a real path.
//
// Nothing has a name, so nothing is left behind: a namespace lasts as long as a process or a thread is in it. It needs
// root and /dev/net/tun.
package link

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ClientAddr and ServerAddr are the ends of every link; each link is a world of its own.
var (
	ClientAddr = netip.MustParseAddr("10.77.0.1")
	ServerAddr = netip.MustParseAddr("10.77.0.2")
)

// Link is two namespaces and the process between them. Close it.
type Link struct {
	Client, Server *End
	pump           *exec.Cmd
}

// End is a namespace with one end of the link in it.
type End struct {
	calls      chan func()
	tun        *os.File
	Congestion string // the algorithm of its TCP
}

// Open makes a link. pump is a command that calls Pump with its file descriptors 3 and 4; it runs until the link is closed.
func Open(pump *exec.Cmd) (_ *Link, err error) {
	l := &Link{pump: pump}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a link of two network namespaces (it needs root and /dev/net/tun): %w", err), l.Close())
		}
	}()
	if l.Client, err = newEnd(ClientAddr); err != nil {
		return nil, err
	}
	if l.Server, err = newEnd(ServerAddr); err != nil {
		return nil, err
	}
	pump.ExtraFiles = []*os.File{l.Client.tun, l.Server.tun}
	return l, pump.Start()
}

// Close ends the link. Processes that were started at its ends must have ended.
func (l *Link) Close() error {
	if l.pump.Process != nil {
		_ = l.pump.Process.Kill() // it has nothing to finish
		_ = l.pump.Wait()         // and so it was killed
	}
	return errors.Join(l.Client.close(), l.Server.close())
}

// newEnd makes a namespace. Its thread stays in it until the end is closed, and starts the processes that are to be in it.
func newEnd(addr netip.Addr) (*End, error) {
	e := &End{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			ready <- err
			return
		}
		defer func() { _ = home.Close() }() // opened for reading only
		ready <- e.setUp(addr)
		for call := range e.calls {
			call()
		}
		// A thread that is left locked ends with its function, and takes along what it has ever started with Pdeathsig.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	if err := <-ready; err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// Start starts a command inside the namespace.
func (e *End) Start(cmd *exec.Cmd) error {
	started := make(chan error)
	e.calls <- func() { started <- cmd.Start() } // a process begins in the namespace of the thread that forks it
	return <-started
}

func (e *End) close() error {
	if e == nil {
		return nil
	}
	close(e.calls)
	if e.tun == nil {
		return nil
	}
	return e.tun.Close()
}

func (e *End) setUp(addr netip.Addr) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	// cubic is what most servers use. Where it may not be chosen, the machine's own stays.
	const algorithm = "/proc/sys/net/ipv4/tcp_congestion_control"
	_ = os.WriteFile(algorithm, []byte("cubic"), 0o600)
	b, err := os.ReadFile(algorithm)
	if err != nil {
		return err
	}
	e.Congestion = strings.TrimSpace(string(b))
	if e.tun, err = openTUN(); err != nil {
		return fmt.Errorf("open a TUN device: %w", err)
	}
	return configure(addr)
}

const device = "lag0"

// openTUN makes the namespace's device. It hands over packets of up to 64 KiB whole, which the kernel would cut into frames
// at the far end: else the pump would cost more than the servers.
func openTUN() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), device), nil
}

// configure gives the device its address and switches it on, with a queue so long that a burst is not lost.
func configure(addr netip.Addr) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }() // it was a handle for the calls below
	address, mask := addr.As4(), [4]byte{255, 255, 255, 252}
	steps := []struct {
		what   string
		call   uint
		device string
		set    func(*unix.Ifreq) error
	}{
		{"address", unix.SIOCSIFADDR, device, func(r *unix.Ifreq) error { return r.SetInet4Addr(address[:]) }},
		{"netmask", unix.SIOCSIFNETMASK, device, func(r *unix.Ifreq) error { return r.SetInet4Addr(mask[:]) }},
		{"queue", unix.SIOCSIFTXQLEN, device, func(r *unix.Ifreq) error { r.SetUint32(20_000); return nil }},
		{"switch on", unix.SIOCSIFFLAGS, device, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
		{"loopback", unix.SIOCSIFFLAGS, "lo", func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	}
	for _, step := range steps {
		request, err := unix.NewIfreq(step.device)
		if err == nil {
			err = step.set(request)
		}
		if err == nil {
			err = unix.IoctlIfreq(s, step.call, request)
		}
		if err != nil {
			return fmt.Errorf("%s of %s: %w", step.what, step.device, err)
		}
	}
	return nil
}
