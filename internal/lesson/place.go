package lesson

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// RunAll is an environment variable. If it isn't empty, every exercise runs,
// even if an earlier one is red.
const RunAll = "TCP_STEPS_ALL"

// A place is where an exercise stands in the course.
type place struct {
	section string // "docs/1-server.md#3-echo-every-message"
	edit    string // the learner's file, relative to the step's folder
	number  int    // 3
	title   string // "echo every message"
}

var numbered = regexp.MustCompile(`#(\d+)-(.+)$`)

func parsePlace(section, edit string) (place, error) {
	parts := numbered.FindStringSubmatch(section)
	if parts == nil {
		return place{}, fmt.Errorf("%q isn't a numbered section of a chapter", section)
	}
	number, err := strconv.Atoi(parts[1])
	return place{section, edit, number, strings.ReplaceAll(parts[2], "-", " ")}, err
}

// String returns the number and the title: "3 echo every message".
func (p place) String() string { return fmt.Sprint(p.number, " ", p.title) }

// directions returns the last lines of a failure, which say where to go.
// t.Output indents them.
func (p place) directions() string {
	return "    read on: " + p.section + "\n" +
		"    edit:    " + stepFolder() + "/" + p.edit + "\n" + p.progress()
}

// stepFolder returns the name of the folder with the go.mod that the tests
// belong to: "step1-server".
func stepFolder() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for up := dir; ; up = filepath.Dir(up) {
		if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil {
			return filepath.Base(up)
		}
		if up == filepath.Dir(up) {
			return filepath.Base(dir)
		}
	}
}

var exerciseTest = regexp.MustCompile(`(?m)^func Test(\d\d)_`)

// progress says how many exercises of the step come before p, the next to do.
// It returns "" if exercises run regardless of earlier ones, or if the tests'
// source isn't at hand.
func (p place) progress() string {
	files, _ := filepath.Glob("*_test.go")
	done, all := 0, 0
	for _, file := range files {
		source, _ := os.ReadFile(file)
		for _, test := range exerciseTest.FindAllSubmatch(source, -1) {
			all++
			if n, _ := strconv.Atoi(string(test[1])); n < p.number {
				done++
			}
		}
	}
	if all == 0 || runsRegardless() {
		return ""
	}
	return fmt.Sprintf("    %d of %d done, next: %s\n", done, all, p)
}

// runsRegardless reports whether exercises run even if an earlier one is red.
func runsRegardless() bool {
	return os.Getenv(RunAll) != "" || flag.Lookup("test.run").Value.String() != ""
}

// red holds, by number, the exercises that failed.
var red = map[int]place{}

func setRed(p place, isRed bool) {
	delete(red, p.number)
	if isRed {
		red[p.number] = p
	}
}

// firstRed returns the first red exercise before the given number.
func firstRed(number int) (place, bool) {
	for n := 1; n < number; n++ {
		if p, ok := red[n]; ok {
			return p, true
		}
	}
	return place{}, false
}
