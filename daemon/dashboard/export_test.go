package dashboard

import (
	"context"
	"log/slog"
	"net/http"

	"mimicsync/daemon"
)

// MaxLive is how many pages are kept live.
const MaxLive = maxLive

// Still is a page that stays as it is.
func Still(s daemon.Status, hour, days []daemon.Sample, history []daemon.PassStatus, mayChange bool) http.Handler {
	d := &dashboard{
		Options: Options{MayChange: func(context.Context) bool { return mayChange }, Logger: slog.New(slog.DiscardHandler)},
		look:    func() (snapshot, error) { return snapshot{s, hour, days, history}, nil },
		watch:   func() (<-chan struct{}, func()) { return nil, func() {} },
	}
	return d.routes()
}
