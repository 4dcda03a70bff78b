package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(strings.NewReader("hello\nworld\n"), &out); err != nil {
		t.Fatal(err)
	}

	if want := "connected over unix\nhello\nworld\n"; out.String() != want {
		t.Errorf("It printed %q and must print %q.", out.String(), want)
	}
}
