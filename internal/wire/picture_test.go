package wire_test

import (
	"strings"
	"testing"
	"time"

	"example.com/tcp-steps/internal/wire"
	"github.com/stretchr/testify/require"
)

// Draw draws each picture exactly as its test shows it.
func TestPicture(t *testing.T) {
	waits := []string{"waits for more"}
	for _, test := range []struct {
		name           string
		happens        func(p *wire.Picture)
		client, server []string
		want           string
	}{
		{
			name: "split",
			happens: func(p *wire.Picture) {
				p.Sent(wire.Client, []byte("hel"))
				p.Sent(wire.Server, []byte("hel"))
				p.Sent(wire.Client, []byte("lo"))
				p.Sent(wire.Server, []byte("lo"))
			},
			server: waits,
			want: `
    client                                         server
      │  "hel" ───────────────────────────────────►  │
      │  ◄─────────────────────────────────── "hel"  │
      │  "lo" ────────────────────────────────────►  │
      │  ◄──────────────────────────────────── "lo"  │
      │                                              │  waits for more
`,
		},
		{
			name: "glued",
			happens: func(p *wire.Picture) {
				p.Sent(wire.Client, []byte("login alice"))
				p.Sent(wire.Client, []byte("delete all"))
				p.Sent(wire.Server, []byte("login alicedelete all"))
			},
			want: `
    client                                         server
      │  "login alice" ───────────────────────────►  │
      │  "delete all" ────────────────────────────►  │
      │  ◄───────────────── "login alicedelete all"  │
`,
		},
		{
			name: "lost bytes",
			happens: func(p *wire.Picture) {
				p.Sent(wire.Client, []byte(strings.Repeat("a", 200)))
				p.Sent(wire.Server, []byte(strings.Repeat("a", 128)))
			},
			server: waits,
			want: `
    client                                         server
      │  "aaaaaaaaaa…" 200 bytes ─────────────────►  │
      │  ◄───────────────── "aaaaaaaaaa…" 128 bytes  │
      │                                              │  waits for more
`,
		},
		{
			name: "silence",
			happens: func(p *wire.Picture) {
				p.Sent(wire.Client, []byte("hello"))
				p.Waited(wire.Client)
			},
			server: []string{"returned", "5 bytes unread", "hasn't closed"},
			want: `
    client                                         server
      │  "hello" ─────────────────────────────────►  │
      │  … nothing comes                             │
      │                                              │  returned
      │                                              │  5 bytes unread
      │                                              │  hasn't closed
`,
		},
		{
			name: "binary",
			happens: func(p *wire.Picture) {
				p.Sent(wire.Client, []byte("\x00\x00\x00\x05hello"))
				p.Sent(wire.Server, []byte("\xff\xfe\r\n"))
				p.Sent(wire.Server, []byte(strings.Repeat("\xe4\xb8", 40)))
			},
			want: `
    client                                         server
      │  "\x00\x00\x00\x05hello" ─────────────────►  │
      │  ◄────────────────────────── "\xff\xfe\r\n"  │
      │  ◄──────────────────── "\xe4\xb8…" 80 bytes  │
`,
		},
		{
			name: "Chinese",
			happens: func(p *wire.Picture) {
				p.Sent(wire.Client, []byte("你好，世界"))
				p.Sent(wire.Server, []byte(strings.Repeat("世", 43)))
			},
			want: `
    client                                         server
      │  "你好，世界" ────────────────────────────►  │
      │  ◄───────────────── "世世世世世…" 129 bytes  │
`,
		},
		{
			name: "close",
			happens: func(p *wire.Picture) {
				p.Sent(wire.Client, []byte("bye"))
				p.Closed(wire.Client, "closes")
				p.Closed(wire.Server, "closes, 3 bytes unread: a reset")
			},
			want: `
    client                                         server
      │  "bye" ───────────────────────────────────►  │
      │  closes ──────────────────────────────────►  │
      │  ◄───────── closes, 3 bytes unread: a reset  │
`,
		},
		{
			name: "half-close",
			happens: func(p *wire.Picture) {
				p.Sent(wire.Client, []byte("question"))
				p.Closed(wire.Client, "writes no more")
				p.Sent(wire.Server, []byte("answer"))
				p.Closed(wire.Server, "closes")
			},
			want: `
    client                                         server
      │  "question" ──────────────────────────────►  │
      │  writes no more ──────────────────────────►  │
      │  ◄──────────────────────────────── "answer"  │
      │  ◄────────────────────────────────── closes  │
`,
		},
		{
			name: "notes, and a client that is the learner's",
			happens: func(p *wire.Picture) {
				p.Note(wire.Client, `typed: "hello\n"`)
				p.Sent(wire.Client, []byte("hello"))
				p.Note(wire.Server, "can't send: broken pipe")
			},
			client: []string{"still running"},
			want: `
    client                                         server
      │  (typed: "hello\n")                          │
      │  "hello" ─────────────────────────────────►  │
      │                   (can't send: broken pipe)  │
      │  (still running)                             │
`,
		},
		{
			name: "many pieces",
			happens: func(p *wire.Picture) {
				for range 1000 {
					p.Sent(wire.Client, []byte("abc"))
				}
				p.Sent(wire.Server, []byte("d"))
			},
			want: `
    client                                         server
      │  "abc" ───────────────────────────────────►  │
      │  "abc" ───────────────────────────────────►  │
      │  "abc" ───────────────────────────────────►  │
      │  997 more, 2991 bytes ────────────────────►  │
      │  ◄───────────────────────────────────── "d"  │
`,
		},
		{
			name: "many lines",
			happens: func(p *wire.Picture) {
				for range 100 {
					p.Sent(wire.Client, []byte("ping"))
					p.Sent(wire.Server, []byte("pong"))
				}
			},
			want: `
    client                                         server
      │  "ping" ──────────────────────────────────►  │
      │  ◄────────────────────────────────── "pong"  │
      │  "ping" ──────────────────────────────────►  │
      │  ◄────────────────────────────────── "pong"  │
      │  "ping" ──────────────────────────────────►  │
      │  ◄────────────────────────────────── "pong"  │
      │  "ping" ──────────────────────────────────►  │
      │  ◄────────────────────────────────── "pong"  │
      │  "ping" ──────────────────────────────────►  │
      │              … 187 more lines …              │
      │  "ping" ──────────────────────────────────►  │
      │  ◄────────────────────────────────── "pong"  │
      │  "ping" ──────────────────────────────────►  │
      │  ◄────────────────────────────────── "pong"  │
`,
		},
		{
			name: "time passes, and the client is the second",
			happens: func(p *wire.Picture) {
				now := time.Now()
				p.Name = "2"
				p.Clock = func() time.Time { return now }
				p.Sent(wire.Client, []byte("ping"))
				now = now.Add(1500 * time.Millisecond)
				p.Sent(wire.Client, []byte("ping"))
				now = now.Add(time.Hour)
				p.Closed(wire.Server, "closes")
			},
			want: `
    client 2                                       server
      │  "ping" ──────────────────────────────────►  │
      │                 after 1.5 s                  │
      │  "ping" ──────────────────────────────────►  │
      │                  after 1 h                   │
      │  ◄────────────────────────────────── closes  │
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p wire.Picture
			test.happens(&p)
			got := p.Draw(test.client, test.server)
			require.Equal(t, strings.TrimPrefix(test.want, "\n"), got, "\n%s", got)
		})
	}
}

// Next returns each line once. A row of pieces waits until it's clear how long
// it is.
func TestPicture_Next(t *testing.T) {
	var p wire.Picture
	p.Name = "2"
	require.Equal(t, "    client 2                                       server\n", p.Title())
	require.Empty(t, p.Next(true))

	p.Sent(wire.Client, []byte("abc"))
	require.Equal(t, "      │  \"abc\" ───────────────────────────────────►  │\n", p.Next(false))
	require.Empty(t, p.Next(false))

	for range 9 {
		p.Sent(wire.Client, []byte("abc"))
	}
	require.Equal(t, strings.Repeat("      │  \"abc\" ───────────────────────────────────►  │\n",
		2), p.Next(false))
	require.Equal(t, "      │  7 more, 21 bytes ────────────────────────►  │\n", p.Next(true))

	// What was shown doesn't grow any more.
	p.Sent(wire.Client, []byte("de"))
	p.Closed(wire.Client, "closes")
	require.Equal(t, strings.TrimPrefix(`
      │  "de" ────────────────────────────────────►  │
      │  closes ──────────────────────────────────►  │
`, "\n"), p.Next(false))
	require.Empty(t, p.Next(true))
}
