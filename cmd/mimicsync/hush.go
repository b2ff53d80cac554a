package main

import (
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"
)

// hush keeps the libraries from writing to stderr by themselves: what they print
// may be what a server sent, and that may be rows of patients. net/http does so
// with what nobody asked for. What a person should know comes as an error.
func hush() {
	silent := slog.New(slog.DiscardHandler)
	slog.SetDefault(silent) // and with it package log's
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	otel.SetLogger(logr.FromSlogHandler(silent.Handler()))
}
