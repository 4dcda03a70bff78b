package program

import (
	"slices"

	"example.com/tcp-steps/internal/lesson"
)

// A T is a scenario in [Test]. It starts what the scenario needs.
type T struct {
	*lesson.Exercise
	programs []*Program
	ends     []func()
}

// Test runs f, one situation of an exercise. The scenario's name, a phrase that
// says what's going on, begins each failure.
//
// When f returns or fails, the programs that it started are killed. If it
// failed, Test first draws their last connections and shows what they printed.
func Test(e *lesson.Exercise, scenario string, f func(t *T)) {
	e.Helper()
	t := &T{Exercise: e.Scenario(scenario)}
	defer t.finish()
	f(t)
}

func (t *T) finish() {
	t.Helper()
	for _, p := range t.programs {
		p.finish()
	}
	for _, end := range slices.Backward(t.ends) {
		end()
	}
}

// onEnd makes f run when the scenario ends, the latest one first.
func (t *T) onEnd(f func()) { t.ends = append(t.ends, f) }
