package host

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/failure"
)

func TestWatchdogLimitsSilenceNotTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, dog := Watch(t.Context(), time.Minute)
		defer dog.End()
		for range 1000 {
			time.Sleep(59 * time.Second)
			dog.Heard()
		}
		if ctx.Err() != nil {
			t.Fatalf("ended with %v while bytes came", context.Cause(ctx))
		}
		time.Sleep(61 * time.Second)
		if !errors.Is(context.Cause(ctx), failure.ErrStalled) {
			t.Errorf("cause = %v, want %v", context.Cause(ctx), failure.ErrStalled)
		}
	})
}
