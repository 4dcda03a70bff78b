package course

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs eight proofs at a time, however few processors there are. Many
// of them wait for idle programs, or for their turn on port 20000. It removes
// go test's limit of ten minutes. But the go command ends the tests after
// eleven minutes, so a slow machine needs -timeout.
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
