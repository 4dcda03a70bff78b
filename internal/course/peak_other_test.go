//go:build !linux

package course

import "os/exec"

// peak isn't known on this system.
func peak(*exec.Cmd) int64 { return 0 }
