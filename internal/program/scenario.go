package program

import (
	"slices"

	"example.com/tcp-steps/internal/lesson"
)

// A T is the t of a scenario in [Test]. It starts what the scenario needs.
type T struct {
	*lesson.Exercise
	programs []*Program
	ends     []func()
}

// Test runs f, one situation of an exercise. The scenario's name, a phrase that
// says what's going on, begins each failure.
//
// When f has returned or failed, Test kills the programs that f started. If f
// failed, Test draws their last connections and shows what they printed.
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

// onEnd makes f run when the scenario ends. The f that was added last runs
// first.
func (t *T) onEnd(f func()) { t.ends = append(t.ends, f) }
