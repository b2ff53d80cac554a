package main

import (
	"cmp"
	"log/slog"
	"strings"

	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/internal/plainjson"
)

// logger writes to stderr, above the progress display.
func (a *app) logger() *slog.Logger {
	level := slog.LevelDebug
	switch {
	case a.verbose:
	case a.serves && a.quiet:
		level = slog.LevelWarn
	case a.serves:
		level = slog.LevelInfo
		_ = level.UnmarshalText([]byte(a.file.Log.Level)) // it is valid, or empty
	default:
		return slog.New(slog.DiscardHandler)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: inShort}
	if a.logsText() {
		return slog.New(slog.NewTextHandler(a.ui.Log(), options))
	}
	options.ReplaceAttr = func(groups []string, attr slog.Attr) slog.Attr { return inSeconds(groups, inShort(groups, attr)) }
	return slog.New(slog.NewJSONHandler(plainjson.Writer{W: a.ui.Log()}, options))
}

// maxLogged limits a value in the log, in bytes: part of it may be a server's.
const maxLogged = 2 << 10

// inShort shortens a value that is too long.
func inShort(_ []string, a slog.Attr) slog.Attr {
	text := ""
	switch v := a.Value.Any().(type) {
	case error:
		text = v.Error()
	case string:
		text = v
	}
	if len(text) <= maxLogged {
		return a
	}
	return slog.String(a.Key, strings.ToValidUTF8(text[:maxLogged], "")+" ...")
}

// logsText reports whether the log is for people.
func (a *app) logsText() bool {
	format := cmp.Or(a.logFormat, a.file.Log.Format)
	return format == "text" || format == "" && terminal.IsTerminal(a.ui.Stderr)
}

// inSeconds gives a duration its unit, like in all JSON of this program: wait becomes
// wait_s. By default slog writes nanoseconds without saying so.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key+"_s", a.Value.Duration().Seconds())
	}
	return a
}
