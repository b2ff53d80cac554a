//go:build linux

package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"mimicsync/downloader/lookalike"
	"mimicsync/manifest"
)

// corpus is a deterministic set of files, published as the only version of a dataset that has its name.
type corpus struct {
	name  string
	about string
	files func() []lookalike.GeneratedFile
}

const version = "1.0"

func (c corpus) ref() manifest.Ref { return manifest.Ref{Dataset: c.name, Version: version} }

// corpora returns the corpus of a name, smaller by scale: fewer files, or smaller ones where there are only two.
//
//	small, small5k   20,000 and 5,000 files of 2 to 20 KB, lognormal with a median of 5 KB, in the layout of MIMIC-CXR
//	medium           1,000 files of 1.35 to 1.65 MB, in the same layout
//	megabytes        1,100 files of 1.05 to 1.3 MB, in the same layout: nginx, told to send 1 MB/s, takes a second for each
//	large, capped    the two biggest tables of MIMIC-IV, of 1.5 GB and of 200 MB each
func corpora(name string, scale float64) (corpus, error) {
	scaled := func(n float64) int { return max(1, int(n*scale)) }
	suffix := ""
	if scale != 1 {
		suffix = fmt.Sprintf("-%d", scaled(1_000_000))
	}
	images := func(n int, about string, size func(*rand.Rand) int64) (corpus, error) {
		return corpus{name + suffix, fmt.Sprintf("%d files of %s", n, about), func() []lookalike.GeneratedFile {
			r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // sizes that are the same in every run, not secrets
			return lookalike.CXR(n, func(int) int64 { return size(r) })
		}}, nil
	}
	tables := func(size float64) (corpus, error) {
		return corpus{name + suffix, fmt.Sprintf("2 files of %s", megabytes(int64(size*scale))), func() []lookalike.GeneratedFile {
			return []lookalike.GeneratedFile{
				{Path: "hosp/labevents.csv.gz", Size: int64(size * scale)}, {Path: "icu/chartevents.csv.gz", Size: int64(size * scale)},
			}
		}}, nil
	}
	switch name {
	case "small":
		return images(scaled(20_000), "2 to 20 KB", smallSize)
	case "small5k":
		return images(scaled(5_000), "2 to 20 KB", smallSize)
	case besideCorpus:
		c, err := images(scaled(5_000), "2 to 20 KB", smallSize)
		return withBig(c), err
	case "megabytes":
		return images(scaled(1_100), "1.2 MB", megabyteSize)
	case "medium":
		return images(scaled(1_000), "1.5 MB", mediumSize)
	case "large":
		return tables(1_500e6)
	case "capped":
		return tables(200e6)
	}
	return corpus{}, fmt.Errorf("no corpus is called %q", name)
}

// tiny returns n files of 32 to 96 bytes in the layout of MIMIC-CXR. They exist in the look-alike only.
func tiny(n int) []lookalike.GeneratedFile {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // sizes that are the same in every run, not secrets
	return lookalike.CXR(n, func(int) int64 { return 32 + r.Int64N(65) })
}

func smallSize(r *rand.Rand) int64 {
	for {
		size := int64(5_000 * math.Exp(0.55*r.NormFloat64()))
		if size >= 2_000 && size <= 20_000 {
			return size
		}
	}
}

func megabyteSize(r *rand.Rand) int64 { return int64(1.05e6 + 0.25e6*r.Float64()) }

func mediumSize(r *rand.Rand) int64 { return int64(1.5e6 * (0.9 + 0.2*r.Float64())) }
