//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

// The variables that point clients at another store than Google's or Amazon's.
const (
	gcsVar = "STORAGE_EMULATOR_HOST" // and without credentials
	s3Var  = "AWS_ENDPOINT_URL_S3"
)

// openBucket is what PhysioNet's open data are in at Amazon.
const openBucket = "physionet-open"

// bucketOf returns where a version lies, by mimicsync's own rules: a bucket, and a prefix in it that is empty or ends with a
// slash.
func bucketOf(store string, ref manifest.Ref) (bucket, prefix string) {
	if store == gcs.Name {
		return gcs.DefaultBucket(ref), ""
	}
	return openBucket, ref.Dataset + "/" + ref.Version + "/"
}

// generatedStore is a store, or PhysioNet, with a corpus and its manifest, for everybody to read.
func generatedStore(store string, c corpus) generated {
	if store == physionet.Name {
		return generatedProject(c.ref(), c.files(), false)
	}
	bucket, prefix := bucketOf(store, c.ref())
	files := c.files()
	for i := range files {
		files[i].Path = prefix + files[i].Path
	}
	described := lookalike.Generated(files)
	sums := bytes.ReplaceAll(described.Manifest(), []byte(" "+prefix), []byte(" "))
	g := generated{sums: sums, files: int64(described.Len()), bytes: described.Bytes()}
	objects := lookalike.Generated(append(files, lookalike.GeneratedFile{Path: prefix + manifest.Name, Data: sums}))
	if store == gcs.Name {
		site := lookalike.NewGCS(lookalike.Bucket{Name: bucket, Objects: objects})
		g.Handler, g.host = site, &site.Host
		return g
	}
	site := lookalike.NewS3()
	site.AddBucket(lookalike.S3Bucket{Name: bucket, Objects: objects, Public: true})
	g.Handler, g.host = site, &site.Host
	return g
}

// compareStore runs a scenario whose server is a store.
func (s *stage) compareStore(ctx context.Context, sc scenario, o speedOptions) (*comparison, error) {
	work, err := corpora(sc.corpus, o.scale)
	if err != nil {
		return nil, err
	}
	flags := []string{"-store", sc.store, "-corpus", sc.corpus, "-scale", strconv.FormatFloat(o.scale, 'g', -1, 64)}
	if sc.emulate {
		flags = append(flags, "-emulators", o.corpora)
	}
	server, err := startGenerated(ctx, s, flags...)
	if err != nil {
		return nil, err
	}
	defer server.close()
	about := server.about
	c := &comparison{Scenario: sc.name, Work: work.about, Bytes: about.Bytes}
	t := &trial{s: s, scenario: sc, at: server.site(), dir: filepath.Join(s.dir, sc.name), works: map[string]*published{
		sc.corpus: {corpus: work, manifest: about.Manifest, files: about.Files, bytes: about.Bytes},
	}}
	if err := t.rounds(ctx, c, o); err != nil {
		return nil, err
	}
	for _, judge := range sc.judge {
		judge(c)
	}
	return c, nil
}

// storeCommand is command where the server is a store.
func (t *trial) storeCommand(ctx context.Context, who contender, dir string) (*exec.Cmd, string) {
	work, store, url := t.work(who), t.scenario.store, t.at.url
	if who.client == mimicsyncName {
		// To PhysioNet's questions the store answers 404 at once: the manifest is its own, as for the others.
		cmd := t.s.clientCommand(ctx, url, work.ref(), dir, who.connections, "--source", store)
		cmd.Env = append(cmd.Env, gcsVar+"="+url, s3Var+"="+url)
		return cmd, filepath.Join(dir, work.name, version)
	}
	bucket, prefix := bucketOf(store, work.ref())
	if who.client == bareLoopName || who.client == syncLoopName {
		return t.s.command(ctx, t.s.self, "store", "-store", store, "-url", url, "-bucket", bucket, "-prefix", prefix, "-dir", dir,
			"-connections", strconv.Itoa(who.connections), "-sync="+strconv.FormatBool(who.client == syncLoopName)), dir
	}
	args := rcloneStoreArgs(store, url, bucket+"/"+prefix, dir, t.s.certificate.file, who.connections)
	if t.scenario.emulate && store == gcs.Name && strings.HasPrefix(t.scenario.corpus, "small") {
		// fake-gcs-server looks at all objects for each page of a list: to ask it for each path costs less.
		args = append(args, "--no-traverse", "--files-from-raw", filepath.Join(t.dir, "lists", t.scenario.corpus, "paths"))
	}
	return t.s.command(ctx, args[0], args[1:]...), dir
}

// rcloneStoreArgs lists the version by pages, which costs less than a question for each path of a list. Times of S3 are taken
// from the listing: else each object is asked for its own. It compares no MD5, which the look-alikes do not hold: a check of
// SHA-256 follows anyway.
func rcloneStoreArgs(store, url, remote, dir, ca string, connections int) []string {
	n := strconv.Itoa(connections)
	args := []string{
		"rclone", "copy", fmt.Sprintf(":%s:%s", store, remote), dir, "--ca-cert", ca, "--fast-list", "--transfers", n, "--checkers", n,
		"--retries", "1", "--stats", "0", "-q", "--ignore-checksum",
	}
	if store == gcs.Name {
		return append(args, "--gcs-anonymous", "--gcs-endpoint", url+"/storage/v1/")
	}
	return append(args, "--s3-provider", "Other", "--s3-endpoint", url, "--s3-region", "us-east-1", "--s3-force-path-style", "--s3-list-version", "2", "--use-server-modtime")
}
