package main

import "log/slog"

// logger writes to stderr, past the progress display.
func (a *app) logger() *slog.Logger {
	level := slog.LevelDebug
	switch {
	case a.verbose:
	case a.serves && a.quiet:
		level = slog.LevelWarn
	case a.serves:
		level = slog.LevelInfo
		_ = level.UnmarshalText([]byte(a.file.Log.Level)) // which is a level, or empty
	default:
		return slog.New(slog.DiscardHandler)
	}
	options := &slog.HandlerOptions{Level: level}
	if a.logsText() {
		return slog.New(slog.NewTextHandler(a.ui.log(), options))
	}
	options.ReplaceAttr = inSeconds
	return slog.New(slog.NewJSONHandler(a.ui.log(), options))
}

// logsText reports whether the log is for people.
func (a *app) logsText() bool {
	format := first(a.logFormat, a.file.Log.Format)
	return format == "text" || format == "" && isTerminal(a.ui.stderr)
}

// inSeconds gives a duration its unit, as all JSON of this program has it: wait
// becomes wait_s. By itself slog writes nanoseconds and does not say so.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key+"_s", a.Value.Duration().Seconds())
	}
	return a
}
