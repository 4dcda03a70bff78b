package echo_test

import (
	"testing"

	"example.com/tcp-steps/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, nil) }
