package course

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// TestMain runs four proofs at a time for each processor, up to eight. Many of
// them wait for idle programs, or for their turn on port 20000. It removes go
// test's limit of ten minutes. But the go command ends the tests after
// eleven minutes, so a slow machine needs -timeout.
func TestMain(m *testing.M) {
	flag.Parse()
	processors := runtime.GOMAXPROCS(0)
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(processors) {
		flag.Set("test.parallel", strconv.Itoa(max(processors, min(4*processors, 8))))
	}
	if flag.Lookup("test.timeout").Value.String() == "10m0s" {
		flag.Set("test.timeout", "30m")
	}
	os.Exit(m.Run())
}
