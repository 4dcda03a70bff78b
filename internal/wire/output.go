package wire

import (
	"log"
	"os"
	"path/filepath"
	"testing"
)

// captureOutput sends what the code under test prints to a file, so that it does
// not stand between the test's own lines, until restore is called.
func captureOutput(t *testing.T) (output func() string, restore func()) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = file, file
	log.SetOutput(file)
	output = func() string {
		text, _ := os.ReadFile(file.Name())
		return string(text)
	}
	return output, func() {
		os.Stdout, os.Stderr = stdout, stderr
		log.SetOutput(stderr)
		file.Close()
	}
}
