//go:build linux

package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"mimicsync/downloader/lookalike"
	"mimicsync/manifest"
)

// demo is the dataset version that every measurement fetches.
var demo = manifest.Ref{Dataset: "demo", Version: "1.0"}

// corpus returns n files in the layout of MIMIC-CXR, the same for the same shape and n:
//
//	small   2 to 20 KB, lognormal with a median of 5 KB
//	tiny    32 to 96 bytes
func corpus(shape string, n int) ([]lookalike.GeneratedFile, error) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // sizes that are the same in every run, not secrets
	switch shape {
	case "small":
		return lookalike.CXR(n, func(int) int64 { return smallSize(r) }), nil
	case "tiny":
		return lookalike.CXR(n, func(int) int64 { return 32 + r.Int64N(65) }), nil
	}
	return nil, fmt.Errorf("no corpus is called %q", shape)
}

func smallSize(r *rand.Rand) int64 {
	for {
		size := int64(5_000 * math.Exp(0.55*r.NormFloat64()))
		if size >= 2_000 && size <= 20_000 {
			return size
		}
	}
}
