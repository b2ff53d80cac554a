package main

import (
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"
)

// hush keeps libraries from writing to stderr themselves: they may print what a server
// sent, which may be rows of patients. net/http does so with unsolicited answers. People
// are told of problems by errors.
func hush() {
	silent := slog.New(slog.DiscardHandler)
	slog.SetDefault(silent) // and with it package log's
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	otel.SetLogger(logr.FromSlogHandler(silent.Handler()))
}
