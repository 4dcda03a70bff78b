package course

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets four proofs run at a time, however few processors there are: most
// of them wait for programs that do nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == "2" {
		flag.Set("test.parallel", "4")
	}
	os.Exit(m.Run())
}
