// Package options turns the program's flags into settings.
package options

import "log/slog"

// Level returns the level from which on the program logs.
func Level(quiet bool) slog.Level {
	if quiet {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}
