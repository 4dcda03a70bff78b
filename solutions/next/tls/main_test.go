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

	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "certificate") || !strings.Contains(lines[0], "tls: ") {
		t.Errorf("The client that doesn't trust the server said %q.", lines[0])
	}
	if want := "with it: TLS 1.3\nhello\nworld\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("The other client printed %q and must end with %q.", out.String(), want)
	}
}
