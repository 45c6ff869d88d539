// Command gotest runs go test with the arguments it is given, shows a line for
// each package and what failed tests wrote, and ends with "N passed, N failed".
// A test with subtests is counted by them. Behind a -- stand the arguments of one
// more go test, which runs beside the first: another part may want other flags.
//
// The packages are tested side by side, real servers, mounts and the race detector
// all at once, and on a small machine a test may wait in vain for its turn. So
// where no more than [maxAgain] tests failed, and none by a data race, a panic or a
// build, each is run once more by itself. One that passes then is counted as passed
// and named as unsteady: it owes somebody a look.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// maxAgain is how many failed tests are run once more. More than that are no chance.
const maxAgain = 5

// event is what go test -json writes; see go doc test2json.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func main() {
	var parts [][]string
	for args := os.Args[1:]; len(args) > 0; {
		n := slices.Index(args, "--")
		if n < 0 {
			n = len(args)
		}
		parts = append(parts, args[:n])
		args = args[min(n+1, len(args)):]
	}
	sums := make([]summary, len(parts))
	var group sync.WaitGroup
	for i, args := range parts {
		group.Go(func() { sums[i] = run(args) })
	}
	group.Wait()
	var all summary
	for i := range sums {
		all.add(&sums[i], parts[i])
	}
	if n := len(all.tests); n > 0 && n <= maxAgain && !all.final {
		all.again()
	}
	if all.skipped > 0 {
		fmt.Printf("%d skipped\n", all.skipped)
	}
	fmt.Printf("%d passed, %d failed\n", all.passed, all.failed)
	if all.failed > 0 || all.passed == 0 {
		os.Exit(1)
	}
}

// again runs the tests that have failed once more.
func (s *summary) again() {
	var unsteady []string
	for _, t := range s.tests {
		fmt.Printf("once more, by itself: %s in %s\n", t.name, t.pkg)
		again := run(append(slices.Clone(t.flags), "-count=1", "-run", "^"+t.name+"$", t.pkg))
		if again.failed == 0 && again.passed > 0 {
			s.failed -= t.failed
			s.passed += t.failed
			unsteady = append(unsteady, t.name)
		}
	}
	if len(unsteady) > 0 {
		fmt.Println("unsteady, passed when run by itself:", strings.Join(unsteady, " "))
	}
}

// add takes in what came of go test with those arguments.
func (s *summary) add(part *summary, args []string) {
	s.passed += part.passed
	s.failed += part.failed
	s.skipped += part.skipped
	s.final = s.final || part.final
	for len(args) > 0 && strings.HasPrefix(args[len(args)-1], ".") { // the packages
		args = args[:len(args)-1]
	}
	for _, t := range part.tests {
		t.flags = args
		s.tests = append(s.tests, t)
	}
}

// summary is what came of one run of go test.
type summary struct {
	passed, failed, skipped int
	tests                   []*failedTest // at the top level
	final                   bool          // something failed that another try cannot mend
}

type failedTest struct {
	pkg, name string
	failed    int      // of it and its subtests
	flags     []string // of go test
}

func run(args []string) summary {
	test := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	test.Stderr = os.Stderr
	out, err := test.StdoutPipe()
	if err == nil {
		err = test.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	sum := tally(out)
	if err := test.Wait(); err != nil && sum.failed == 0 {
		sum.failed, sum.final = 1, true // something that is no test, such as a package that does not build
	}
	return sum
}

// lost reports whether a line is of what is a fault however often it happens.
func lost(line string) bool {
	return strings.Contains(line, "WARNING: DATA RACE") || strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
}

func (s *summary) fail(pkg, test string) {
	s.failed++
	top, _, _ := strings.Cut(test, "/")
	for _, t := range s.tests {
		if t.pkg == pkg && t.name == top {
			t.failed++
			return
		}
	}
	s.tests = append(s.tests, &failedTest{pkg: pkg, name: top, failed: 1})
}

func tally(r io.Reader) (sum summary) {
	type key struct{ pkg, test string }
	output := map[key][]string{}
	parents := map[key]bool{}
	failedIn := map[string]bool{} // packages with a test that failed
	for events := json.NewDecoder(r); ; {
		var e event
		if err := events.Decode(&e); err != nil {
			return sum
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			fmt.Print(e.Output)
		case "build-fail":
			sum.final = true
		case "output":
			sum.final = sum.final || lost(e.Output)
			if !strings.HasPrefix(e.Output, "=== ") {
				output[k] = append(output[k], e.Output)
			}
		case "run":
			if i := strings.LastIndexByte(e.Test, '/'); i >= 0 {
				parents[key{e.Package, e.Test[:i]}] = true
			}
		case "pass", "fail", "skip":
			if e.Test == "" {
				if e.Action != "skip" {
					fmt.Printf("%s  %s  %.1fs\n", e.Action, e.Package, e.Elapsed)
				}
				if e.Action == "fail" {
					fmt.Print(strings.Join(output[k], ""))
					// What did not end has the last words: a panic, or where all stood at the time limit.
					for of, lines := range output {
						if of.pkg == e.Package && of.test != "" {
							fmt.Print(strings.Join(lines, ""))
						}
					}
					if !failedIn[e.Package] { // goleak, TestMain, the time limit
						sum.failed++
						sum.final = true
					}
				}
				break
			}
			leaf := !parents[k]
			switch {
			case e.Action == "fail":
				fmt.Print(strings.Join(output[k], ""))
				failedIn[e.Package] = true
				if leaf {
					sum.fail(e.Package, e.Test)
				}
			case leaf && e.Action == "pass":
				sum.passed++
			case leaf:
				sum.skipped++
			}
			delete(output, k)
		}
	}
}
