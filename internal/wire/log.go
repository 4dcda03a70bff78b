package wire

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// A Log keeps what a server logs, as text. A test may look at it while the
// server goes on.
type Log struct {
	*slog.Logger

	mu   sync.Mutex
	text bytes.Buffer
}

// Log returns a new log, which drops the records below the given level.
func (t *T) Log(level slog.Level) *Log {
	log := new(Log)
	log.Logger = slog.New(slog.NewTextHandler((*logText)(log), &slog.HandlerOptions{Level: level}))
	return log
}

// logText is where a Log's handler writes.
type logText Log

func (w *logText) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// String returns all that was logged so far.
func (log *Log) String() string {
	log.mu.Lock()
	defer log.mu.Unlock()
	return log.text.String()
}

// Lines returns the lines that contain the words, each with its newline.
func (log *Log) Lines(words string) []string {
	var lines []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, words) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Failures returns the lines of warnings, then the lines of errors.
func (log *Log) Failures() []string {
	return append(log.Lines("level=WARN"), log.Lines("level=ERROR")...)
}

// OnMessage returns a logger that calls do for each record with the message in
// its text or in an attribute: when a server logs that message. It drops all
// records.
func OnMessage(message string, do func()) *slog.Logger {
	return slog.New(messageHandler{slog.DiscardHandler, message, do})
}

type messageHandler struct {
	slog.Handler
	message string
	do      func()
}

func (h messageHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h messageHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h messageHandler) WithGroup(string) slog.Handler { return h }

func (h messageHandler) Handle(_ context.Context, r slog.Record) error {
	has := strings.Contains(r.Message, h.message)
	r.Attrs(func(a slog.Attr) bool {
		has = has || strings.Contains(a.Value.String(), h.message)
		return !has
	})
	if has {
		h.do()
	}
	return nil
}
