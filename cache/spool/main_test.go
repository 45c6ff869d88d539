package spool

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain has rapid draw the same in every run, unless it is told otherwise:
// -rapid.seed=0 draws anew and prints the seed of what fails, -rapid.checks and
// -rapid.steps make more of it.
func TestMain(m *testing.M) {
	flag.Parse()
	seed := "1"
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "rapid.seed" {
			seed = f.Value.String()
		}
	})
	flag.Set("rapid.seed", seed)
	flag.Set("rapid.nofailfile", "true")
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
