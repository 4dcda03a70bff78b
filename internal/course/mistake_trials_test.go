package course

import (
	"fmt"
	"hash/crc32"
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// try returns the trials of the mistakes. prepare must solve the step.
func try(t *testing.T, steps []step, bank []mistake,
	prepare func(t testing.TB, s step, dir string)) []*trial {
	t.Helper()
	// Small trials: a mistake that changes makes few others compile again.
	const many = 24
	group := func(m mistake) string { return fmt.Sprint(m.step, m.testFiles(steps)) }
	size := map[string]int{}
	byName := map[string]step{}
	for _, s := range steps {
		byName[s.name] = s
	}
	for _, m := range bank {
		require.Containsf(t, byName, m.step, "mistakes/%s: there is no %s", m.name, m.step)
		size[group(m)]++
	}
	var all []*trial
	byKey := map[string]*trial{}
	for _, m := range bank {
		// Choose by name, so that a new mistake doesn't move the others.
		part := crc32.ChecksumIEEE([]byte(m.name)) % uint32((size[group(m)]+many-1)/many)
		key := fmt.Sprint(group(m), part)
		if m.isRace() {
			key = m.name
		}
		if byKey[key] == nil {
			tr := &trial{name: fmt.Sprint(m.step, "-", len(all)+1), step: byName[m.step],
				prepare: prepare, tests: m.testFiles(steps), port: mistakePorts + 2*len(all),
				dir: t.TempDir()}
			byKey[key] = tr
			all = append(all, tr)
		}
		byKey[key].variants = append(byKey[key].variants, m)
	}
	return all
}

// testFiles returns the step's test files with the exercises that the mistake
// names.
func (m mistake) testFiles(steps []step) []string {
	var files []string
	for _, s := range steps {
		for _, e := range m.caughtBy(s) {
			if name := path.Base(e.file); !slices.Contains(files, name) {
				files = append(files, name)
			}
		}
	}
	return files
}

// judgeMistake is judge for a mistake. If the mistake needs the race detector,
// it runs the exercises as a learner does, because AgainUnderRace needs the
// tests in their own package.
func (tr *trial) judgeMistake(t *testing.T, m mistake, which string, env ...string) verdict {
	t.Helper()
	if !m.isRace() {
		return tr.judge(t, m, which, env...)
	}
	dir := lay(t, tr.step)
	tr.prepare(t, tr.step, dir)
	m.make(t, dir)
	return testOnly(t, dir, which, append(env, everything)...)
}
