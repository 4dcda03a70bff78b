package lesson

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A record says which exercise is running. A supervised process keeps it in a
// file, which outlives the process and says where it ended.
type record struct {
	mu sync.Mutex
	state
	file *os.File // nil before the first save
}

// A state is what the file holds.
type state struct {
	Test     string // "" between exercises
	Section  string
	Edit     string
	Began    time.Time
	Line     string         // of the scenario that is running: "1_server_test.go:31"
	Scenario string         // its name
	Output   string         // the file with what the learner's code printed
	Aborts   string         // the failure of an exercise that abort ended
	Ran      []string       // tests that needn't run again
	Red      map[int]string // the sections of red exercises, by number
}

var current record

// begin notes that a test begins. A test that isn't an exercise has no place.
func (r *record) begin(test string, p place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = state{
		Test: test, Section: p.section, Edit: p.edit, Began: time.Now(), Line: testLine(),
		Ran: append(r.Ran, test),
	}
	r.save()
}

// scenario notes which situation of the exercise is running.
func (r *record) scenario(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Line, r.Scenario = testLine(), name
	r.save()
}

// output notes the file that gets what the learner's code prints.
func (r *record) output(file string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Output = file
	r.save()
}

// clear notes that the test has ended.
func (r *record) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Test, r.Output = "", ""
	r.save()
}

// abort fails the exercise that's running and exits the process. It does
// nothing between exercises.
func (r *record) abort(message, more string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Test == "" {
		return
	}
	var out strings.Builder
	out.WriteString(r.failure(message))
	fmt.Fprint(indentWriter{&out}, more)
	if os.Getenv(supervised) == "" {
		os.Remove(r.Output)
		fmt.Fprintf(realStdout, "%s--- FAIL: %s (%.2fs)\n", out.String(), r.Test,
			time.Since(r.Began).Seconds())
		os.Exit(1)
	}
	r.Aborts = out.String()
	r.save()
	os.Exit(1)
}

// save writes the file of a supervised process. The caller holds r.mu.
func (r *record) save() {
	dir := os.Getenv(supervised)
	if dir == "" {
		return
	}
	if r.file == nil {
		r.file, _ = os.Create(filepath.Join(dir, "current"))
	}
	r.Red = map[int]string{}
	for n, p := range red {
		r.Red[n] = p.section
	}
	text, _ := json.Marshal(r.state)
	// Without Truncate, the file has a whole state even if the process ends
	// now. load doesn't mind what's left behind a shorter one.
	r.file.WriteAt(text, 0)
}

// load returns the state that a supervised process saved in dir, or a zero one.
func load(dir string) state {
	var s state
	if file, err := os.Open(filepath.Join(dir, "current")); err == nil {
		defer file.Close()
		json.NewDecoder(file).Decode(&s)
	}
	return s
}

// failure returns the failure of the scenario that was running, as go test
// prints it.
func (s state) failure(message string) string {
	e := &Exercise{scenario: s.Scenario}
	text := strings.ReplaceAll(e.sentence(message), "\n", "\n        ")
	return fmt.Sprintf("    %s: %s\n", s.Line, text)
}

// place returns where the exercise stands in the course.
func (s state) place() place {
	p, _ := parsePlace(s.Section, s.Edit)
	return p
}
