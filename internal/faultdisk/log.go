//go:build linux

package faultdisk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// op is what a record of the log is about.
type op byte

const (
	opWrite op = iota + 1
	opFlush
	opMark
)

// header is how a record begins: its kind, its offset on the disk, and how many bytes
// follow.
const header = 1 + 8 + 4

func writeOp(w *bufio.Writer, kind op, off int64, b []byte) {
	var h [header]byte
	h[0] = byte(kind)
	binary.LittleEndian.PutUint64(h[1:], uint64(off))    //nolint:gosec // not negative
	binary.LittleEndian.PutUint32(h[9:], uint32(len(b))) //nolint:gosec // at most MaxWrite
	_, _ = w.Write(h[:])
	_, _ = w.Write(b) // an error stays for Flush
}

// Op is a write or a flush of a disk.
type Op struct {
	Flush bool
	// Off and Len are where on the disk it wrote, and how much.
	Off, Len int64
	at       int64 // of its bytes in the log
}

// Mark is a word that was put into the log before the Op of this number.
type Mark struct {
	Op   int
	Text string
}

// Log is what a disk was written, in order.
type Log struct {
	Ops   []Op
	Marks []Mark
	file  *os.File
}

// OpenLog reads a log that is complete: after Disk.Close. Close it.
func OpenLog(path string) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l := &Log{file: f}
	if err := l.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("the disk's log: %w", err), f.Close())
	}
	return l, nil
}

func (l *Log) read() error {
	r := bufio.NewReaderSize(l.file, 1<<20)
	var h [header]byte
	for at := int64(0); ; {
		if _, err := io.ReadFull(r, h[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		off, n := int64(binary.LittleEndian.Uint64(h[1:])), int64(binary.LittleEndian.Uint32(h[9:])) //nolint:gosec // as writeOp has it
		at += header
		if op(h[0]) == opMark {
			text := make([]byte, n)
			if _, err := io.ReadFull(r, text); err != nil {
				return err
			}
			l.Marks = append(l.Marks, Mark{len(l.Ops), string(text)})
		} else {
			l.Ops = append(l.Ops, Op{op(h[0]) == opFlush, off, n, at})
			if _, err := r.Discard(int(n)); err != nil {
				return err
			}
		}
		at += n
	}
}

// Apply does to an image what an Op did, or as much of it as keep says, which is asked
// for each piece of so many bytes; nil: all.
func (l *Log) Apply(image *os.File, o Op, piece int64, keep func() bool) error {
	if o.Flush {
		return nil
	}
	b := make([]byte, o.Len)
	if _, err := l.file.ReadAt(b, o.at); err != nil {
		return err
	}
	if keep == nil {
		_, err := image.WriteAt(b, o.Off)
		return err
	}
	for from := int64(0); from < o.Len; from += piece {
		if keep() {
			if _, err := image.WriteAt(b[from:min(from+piece, o.Len)], o.Off+from); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close closes the log's file.
func (l *Log) Close() error { return l.file.Close() }
