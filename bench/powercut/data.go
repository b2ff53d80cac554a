//go:build linux

package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"mimicsync/downloader/lookalike"
	"mimicsync/manifest"
)

// files are the bytes of a dataset version by path.
type files map[string][]byte

// block is what each block of 4 KiB of a generated file begins with, so that a disk can
// tell the files' bytes from its own.
const block = "FILE"

// noise is n bytes that nothing else has.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.UintN(256)) //nolint:gosec // it fits
	}
	for at := 0; at < n; at += 4096 {
		copy(b[at:], block)
	}
	return b
}

// reports are n small files in the layout of MIMIC-CXR.
func reports(r *rand.Rand, n int) files {
	f := files{}
	for i := range n {
		f[fmt.Sprintf("files/p%d/p%08d/s%08d.txt", 10+i%10, 10_000_000+i/7, 50_000_000+i)] = noise(r, 500+r.IntN(6000))
	}
	return f
}

// with adds more files.
func (f files) with(more files) files {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

// paths are in order, so that the same seed chooses the same.
func (f files) paths() []string { return slices.Sorted(maps.Keys(f)) }

// some are n of its paths.
func (f files) some(r *rand.Rand, n int) []string {
	all := f.paths()
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:n]
}

func (f files) size() (n int64) {
	for _, b := range f {
		n += int64(len(b))
	}
	return n
}

// version is the files as the look-alike serves them.
func (f files) version(name string) lookalike.Version {
	var list []lookalike.GeneratedFile
	for _, path := range f.paths() {
		list = append(list, lookalike.GeneratedFile{Path: path, Size: int64(len(f[path])), Data: f[path]})
	}
	g := lookalike.Generated(list)
	return lookalike.Version{Version: name, Files: g, Manifest: g.Manifest(), Bytes: g.Bytes() + int64(len(g.Manifest()))}
}

// published is what was ever published, by version.
type published map[manifest.Ref][]files

// publish makes versions of a dataset what the look-alike serves.
func (l *lab) publish(p published, dataset string, versions ...files) {
	project := lookalike.Project{Slug: dataset, Title: dataset}
	for i, f := range versions {
		name := fmt.Sprintf("%d.0", i+1)
		project.Versions = append(project.Versions, f.version(name))
		ref := manifest.Ref{Dataset: dataset, Version: name}
		p[ref] = append(p[ref], f)
	}
	l.site.Publish(project)
}

// now is what is published of a version.
func (p published) now(ref manifest.Ref) files { return p[ref][len(p[ref])-1] }
