//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"mimicsync/manifest"
)

// job is what a client is to do.
type job struct {
	url         string // of the version, without a slash at the end
	dir         string // where the files go
	connections int    // in all
	few         bool   // two big files: fetch byte ranges
	headless    bool   // many small files: do not ask for sizes first
	lists       string // a folder, see writeLists
	ca          string
}

// peer is a program of others. Its command line is the fastest that was found for it.
type peer struct {
	program  string
	packaged string // Debian's package
	verifies bool   // SHA-256, while it downloads
	args     func(j job) []string
}

var peers = map[string]peer{
	"curl":   {"curl", "curl", false, curlArgs},
	"wget":   {"wget", "wget", false, wgetArgs},
	"wget2":  {"wget2", "wget2", false, wget2Args},
	"aria2c": {"aria2c", "aria2", true, aria2Args},
	"rclone": {"rclone", "rclone", false, rcloneArgs},
}

// missing names the peer's package if it is not installed.
func (p peer) missing() string {
	if _, err := exec.LookPath(p.program); err == nil {
		return ""
	}
	return p.packaged
}

// about is what the peer calls itself.
func (p peer) about(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, p.program, "--version").Output() //nolint:gosec // one of the list above
	for w := range strings.FieldsSeq(firstLine(out)) {
		if strings.ContainsAny(w, "0123456789") && strings.Contains(w, ".") {
			return strings.TrimPrefix(w, "v")
		}
	}
	return ""
}

func curlArgs(j job) []string {
	return []string{
		"curl", "-sf", "-Z", "--parallel-max", strconv.Itoa(j.connections), "--create-dirs", "--cacert", j.ca,
		"-u", account + ":" + password, "-K", filepath.Join(j.lists, "curl"),
	}
}

// wgetArgs is as many processes of wget as connections: it has but one each.
func wgetArgs(j job) []string {
	return []string{
		"xargs", "-a", filepath.Join(j.lists, fmt.Sprintf("parts-%d", j.connections)), "-P", strconv.Itoa(j.connections), "-I{}",
		"wget", "-q", "-x", "-nH", "--cut-dirs=3", "--user", account, "--password", password, "--ca-certificate", j.ca, "-i", "{}",
	}
}

func wget2Args(j job) []string {
	return []string{
		"wget2", "-q", "-x", "-nH", "--cut-dirs=3", "--http-user=" + account, "--http-password=" + password, "--auth-no-challenge", // else each request is refused first
		"--ca-certificate=" + j.ca, "--max-threads=" + strconv.Itoa(j.connections), "--no-robots", "--progress=none", "-i", filepath.Join(j.lists, "urls"),
	}
}

func aria2Args(j job) []string {
	args := []string{
		"aria2c", "-q", "--console-log-level=error", "--download-result=hide", "--summary-interval=0", "--http-user=" + account, "--http-passwd=" + password,
		"--ca-certificate=" + j.ca, "-d", j.dir, "--auto-file-renaming=false", "--disable-ipv6", "--no-conf", "-i", filepath.Join(j.lists, "aria2"),
	}
	if j.few {
		each := strconv.Itoa(max(1, j.connections/2))
		return append(args, "-j", "2", "-x", each, "-s", each, "-k", "1M", "--file-allocation=falloc")
	}
	return append(args, "-j", strconv.Itoa(j.connections), "-x1", "-s1", "--file-allocation=none")
}

func rcloneArgs(j job) []string {
	transfers := strconv.Itoa(j.connections)
	args := []string{
		"rclone", "copy", ":http:", j.dir, "--http-url", j.url + "/", "--http-headers", "Authorization," + basicAuth(), "--ca-cert", j.ca,
		"--checkers", transfers, "--retries", "1", "--stats", "0", "-q", "--files-from-raw", filepath.Join(j.lists, "paths"), "--no-traverse",
	}
	switch {
	case j.few:
		args = append(args, "--transfers", "2", "--multi-thread-streams", strconv.Itoa(max(1, j.connections/2)), "--multi-thread-cutoff", "32M")
		if out, err := exec.Command("rclone", "help", "flags").Output(); err == nil && bytes.Contains(out, []byte("--multi-thread-chunk-size")) { // it prints
			args = append(args, "--multi-thread-chunk-size", "8M") // the default of 64 MiB leaves streams idle
		}
		return args
	case j.headless:
		args = append(args, "--http-no-head")
	}
	return append(args, "--transfers", transfers)
}

func basicAuth() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(account+":"+password))
}

// writeLists writes what peers must be told about a corpus: each in the form that it wants.
func writeLists(ctx context.Context, dir, sums, url string, connections []int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var paths, urls, curl, aria2 bytes.Buffer
	parts := map[int][]bytes.Buffer{}
	for _, n := range connections {
		parts[n] = make([]bytes.Buffer, n)
	}
	f, err := os.Open(sums)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	entries := make(chan manifest.Entry, 256)
	failed := make(chan error, 1)
	go func() { failed <- readEntries(ctx, f, entries); close(entries) }()
	i := 0
	for e := range entries {
		address := url + "/" + e.Path
		fmt.Fprintln(&paths, e.Path)
		fmt.Fprintln(&urls, address)
		fmt.Fprintf(&curl, "url = \"%s\"\noutput = \"%s\"\n", address, e.Path)
		fmt.Fprintf(&aria2, "%s\n out=%s\n checksum=sha-256=%s\n", address, e.Path, e.Digest)
		for n := range parts {
			fmt.Fprintln(&parts[n][i%n], address)
		}
		i++
	}
	err = errors.Join(<-failed, save(dir, "paths", &paths), save(dir, "urls", &urls), save(dir, "curl", &curl), save(dir, "aria2", &aria2))
	for n, files := range parts {
		var names bytes.Buffer
		for k := range files {
			name := fmt.Sprintf("urls-%d-%d", n, k)
			err = errors.Join(err, save(dir, name, &files[k]))
			fmt.Fprintln(&names, filepath.Join(dir, name))
		}
		err = errors.Join(err, save(dir, fmt.Sprintf("parts-%d", n), &names))
	}
	return err
}

func save(dir, name string, b *bytes.Buffer) error {
	return os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600)
}
