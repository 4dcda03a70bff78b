//go:build !linux

package course

import "os/exec"

// peak returns 0: this system doesn't tell.
func peak(*exec.Cmd) int64 { return 0 }
