package course

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets eight proofs run at a time, however few processors there are:
// many of them wait for programs that do nothing, or for their turn on port
// 20000. And it lets all of them take longer than go test's ten minutes: after
// eleven the go command ends them, so a slow machine needs -timeout.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == "2" {
		flag.Set("test.parallel", "8")
	}
	if flag.Lookup("test.timeout").Value.String() == "10m0s" {
		flag.Set("test.timeout", "30m")
	}
	os.Exit(m.Run())
}
