package wire

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Side is one of the two ends of a connection.
type Side int

// The two sides, in the picture from left to right.
const (
	Client Side = iota
	Server
)

// String returns "client" or "server".
func (s Side) String() string { return [...]string{"client", "server"}[s] }

// Other returns the opposite side.
func (s Side) Other() Side { return 1 - s }

// A Picture shows what went over one connection, between two vertical lines.
// The client's is on the left, the server's on the right, and time goes down.
// Several goroutines may call its methods at once. The zero Picture is empty.
type Picture struct {
	// Name follows the word "client" above the picture: "2" for the second
	// client.
	Name string
	// Clock, if it isn't nil, returns the time of an event. The picture then
	// shows where a second or more passed.
	Clock func() time.Time

	mu     sync.Mutex
	events []event
	shown  int // events that Next has returned
	run    int // the first event that may be part of a row of pieces
}

type event struct {
	kind  kind
	side  Side
	text  string
	at    time.Time
	bytes int
	times int // pieces that this event stands for
}

type kind int

const (
	sent   kind = iota // bytes, to the other side
	signal             // an end or a reset, to the other side
	note               // something at one side alone
)

// maxRun is how many pieces in a row, in one direction, the picture shows. It
// counts the rest.
const maxRun = 4

// Sent adds a piece that went from the given side to the other. The Picture
// doesn't keep piece.
func (p *Picture) Sent(from Side, piece []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endsInRun(from) {
		last := &p.events[len(p.events)-1]
		last.times++
		last.bytes += len(piece)
		last.text = fmt.Sprintf("%d more, %s", last.times, count(last.bytes, "byte"))
		return
	}
	p.add(event{kind: sent, side: from, text: Show(string(piece)), bytes: len(piece), times: 1})
}

// endsInRun reports whether the last maxRun events are pieces from the given
// side.
func (p *Picture) endsInRun(from Side) bool {
	n := len(p.events)
	if n-p.run < maxRun {
		return false
	}
	for _, e := range p.events[n-maxRun:] {
		if e.kind != sent || e.side != from {
			return false
		}
	}
	return true
}

// Closed adds that the given side sends no more, in words such as "closes".
func (p *Picture) Closed(side Side, words string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(event{kind: signal, side: side, text: words})
}

// Note adds something that happened at the given side, not on the wire.
func (p *Picture) Note(side Side, words string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(event{kind: note, side: side, text: "(" + words + ")"})
}

// Waited adds that the given side waited and nothing came.
func (p *Picture) Waited(side Side) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(event{kind: note, side: side, text: "… nothing comes"})
}

// add adds an event that happens now. The caller holds p.mu.
func (p *Picture) add(e event) {
	if p.Clock != nil {
		e.at = p.Clock()
	}
	p.events = append(p.events, e)
}

// Empty reports whether nothing has happened.
func (p *Picture) Empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events) == 0
}

// The picture's measures, in columns of a terminal. It's 76 columns wide, as go
// test indents it by four.
const (
	margin   = 6  // left of the client's line
	inner    = 46 // between the lines
	minArrow = 5
	maxLines = 14 // of events

	longPause = time.Second // shorter pauses aren't shown
)

// Draw returns the picture as lines of at most 76 columns, each with its
// newline. The strings in client and server say what that side is doing at the
// end, one line each. An empty string is an empty line.
func (p *Picture) Draw(client, server []string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines(0, len(p.events))
	if over := len(lines) - maxLines; over > 0 {
		head, tail := lines[:maxLines-5], lines[len(lines)-4:]
		gap := between(center(fmt.Sprintf("… %d more lines …", over+1), inner))
		lines = append(append(append([]string(nil), head...), gap), tail...)
	}
	for i := range max(len(client), len(server)) {
		left, right := "", ""
		if i < len(client) && client[i] != "" {
			left = "  (" + client[i] + ")"
		}
		if i < len(server) && server[i] != "" {
			right = "  " + server[i]
		}
		lines = append(lines, between(pad(left, inner))+right)
	}
	return p.Title() + strings.Join(lines, "\n") + "\n"
}

// Title returns the line above the picture, with its newline.
func (p *Picture) Title() string {
	name := "client"
	if p.Name != "" {
		name += " " + p.Name
	}
	return strings.Repeat(" ", margin-2) + pad(name, inner+1) + "server\n"
}

// Next returns the lines that are new since the last call, each with its
// newline, for a picture that's shown while it grows. While a row of pieces may
// still grow, Next keeps its last line for a later call, unless all is true.
func (p *Picture) Next(all bool) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := len(p.events)
	if all {
		p.run = end
	} else if p.endsInRun(Client) || p.endsInRun(Server) {
		end--
	}
	var text strings.Builder
	for _, line := range p.lines(p.shown, end) {
		text.WriteString(line + "\n")
	}
	p.shown = max(p.shown, end)
	return text.String()
}

// lines draws the events from start up to end, and the long pauses before them.
func (p *Picture) lines(start, end int) []string {
	var lines []string
	for i := start; i < end; i++ {
		e := p.events[i]
		if i > 0 && p.Clock != nil {
			if d := e.at.Sub(p.events[i-1].at); d >= longPause {
				lines = append(lines, between(center("after "+spell(d), inner)))
			}
		}
		lines = append(lines, e.draw())
	}
	return lines
}

func (e event) draw() string {
	text := e.text
	if e.kind == note {
		if e.side == Client {
			return between(pad("  "+text, inner))
		}
		return between(padLeft(text+"  ", inner))
	}
	dashes := strings.Repeat("─", max(minArrow, inner-6-columns(text)))
	if e.side == Client {
		return between(pad("  "+text+" "+dashes+"►", inner))
	}
	return between(padLeft("◄"+dashes+" "+text+"  ", inner))
}

func between(text string) string {
	return strings.Repeat(" ", margin) + "│" + text + "│"
}

// Show returns text as messages and the picture show it: in quotes, or
// "nothing" if it's empty. It shortens a longer text to its first characters
// and the number of bytes. Control characters, and bytes that aren't UTF-8,
// appear as in a Go string.
func Show(text string) string {
	const room, start = 32, 10
	if text == "" {
		return "nothing"
	}
	if len(text) <= 4*room { // it may fit: a character has up to four bytes
		if quoted := strconv.Quote(text); columns(quoted) <= room {
			return quoted
		}
	}
	prefix, length := "", 0
	for length < len(text) {
		_, size := utf8.DecodeRuneInString(text[length:])
		quoted := strconv.Quote(text[length : length+size])
		quoted = quoted[1 : len(quoted)-1]
		if columns(prefix+quoted) > start {
			break
		}
		prefix += quoted
		length += size
	}
	return `"` + prefix + `…" ` + count(len(text), "byte")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// spell returns d in its largest unit: "1.5 s", "2 min".
func spell(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return strconv.FormatFloat(d.Hours(), 'g', 3, 64) + " h"
	case d >= time.Minute:
		return strconv.FormatFloat(d.Minutes(), 'g', 3, 64) + " min"
	}
	return strconv.FormatFloat(d.Seconds(), 'g', 3, 64) + " s"
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-columns(text)))
}

func padLeft(text string, width int) string {
	return strings.Repeat(" ", max(0, width-columns(text))) + text
}

func center(text string, width int) string {
	return pad(strings.Repeat(" ", max(0, width-columns(text))/2)+text, width)
}

// columns returns how many of a terminal's columns text takes: two for a wide
// character of East Asia, none for a combining mark, one for any other.
func columns(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Mn, r):
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul),
			r >= 0x3000 && r <= 0x303f, r >= 0xff01 && r <= 0xff60, r >= 0x1f300 && r <= 0x1faff:
			n += 2
		default:
			n++
		}
	}
	return n
}
