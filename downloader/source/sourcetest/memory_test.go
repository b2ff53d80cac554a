package sourcetest_test

import (
	"testing"

	"mimicsync/downloader/source/sourcetest"
)

func TestMemory(t *testing.T) {
	sourcetest.Run(t, func(_ *testing.T, objects map[string][]byte) sourcetest.Fixture {
		m := sourcetest.NewMemory(sourcetest.Ref, objects)
		return sourcetest.Fixture{Source: m, Cut: m.Cut, Stall: m.Stall, Hang: m.Hang}
	})
}
