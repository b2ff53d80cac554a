//go:build linux

package link

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// packet waits for its time to arrive.
type packet struct {
	due  time.Time
	data []byte
}

// Pump carries packets between two TUN devices, by their file descriptors, each for rtt/2, until one of them fails. Only as
// many packets are lost as the devices themselves refuse.
func Pump(a, b int, rtt time.Duration) error {
	failed := make(chan error, 2)
	carry := func(from, to int) {
		queue := make(chan packet, 1<<16)
		go deliver(queue, to)
		failed <- collect(from, queue, rtt/2)
	}
	go carry(a, b)
	go carry(b, a)
	return <-failed
}

func collect(from int, queue chan<- packet, delay time.Duration) error {
	buf := make([]byte, 1<<17)
	for {
		n, err := unix.Read(from, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		queue <- packet{time.Now().Add(delay), append([]byte(nil), buf[:n]...)}
	}
}

func deliver(queue <-chan packet, to int) {
	for p := range queue {
		time.Sleep(time.Until(p.due))
		for {
			// A packet that the other side refuses is lost, as on a wire.
			if _, err := unix.Write(to, p.data); !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}
