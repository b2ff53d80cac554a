//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
)

// process is a line of /proc/PID/stat.
type process struct {
	parent, group int
	cpu           float64 // seconds
	rss           int64   // bytes
}

// processes reads all that run. One that ends meanwhile is left out.
func processes() map[int]process {
	names, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	found := make(map[int]process, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			found[pid] = p
		}
	}
	return found
}

func readProcess(pid int) (process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name before it may contain anything
	if len(fields) < 22 {
		return process{}, false
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(string(fields[i]), 10, 64) // the kernel writes numbers
		return n
	}
	const ticks = 100 // a second, on every architecture of today
	return process{
		parent: int(number(1)), group: int(number(2)),
		cpu: float64(number(11)+number(12)) / ticks, rss: number(21) * int64(os.Getpagesize()),
	}, true
}

// familyCPU is what a process and its children have used, in seconds.
func familyCPU(pid int) float64 {
	total := 0.0
	for id, p := range processes() {
		if id == pid || p.parent == pid {
			total += p.cpu
		}
	}
	return total
}

// groupRSS is the memory of all processes of a group, in bytes. What they share counts for each.
func groupRSS(group int) (total int64) {
	for _, p := range processes() {
		if p.group == group {
			total += p.rss
		}
	}
	return total
}

// memoryOf is one of the counts of memory that Linux keeps of a process, in bytes; 0 if it is gone, see proc_pid_status(5).
// RssAnon is what is no file's, VmHWM the most that it ever had, with the files that it maps.
func memoryOf(pid int, count string) int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte(count+":"))
	fields := bytes.Fields(rest[:min(len(rest), 40)])
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
