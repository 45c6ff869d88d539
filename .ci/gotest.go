// Command gotest runs go test with the arguments it is given, shows a line for
// each package and what failed tests wrote, and ends with "N passed, N failed".
// A test with subtests is counted by them.
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
	"strings"
)

// maxAgain is how many failed tests are run once more. More than that are no chance.
const maxAgain = 5

// event is what go test -json writes; see go doc test2json.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func main() {
	flags := os.Args[1:]
	for len(flags) > 0 && strings.HasPrefix(flags[len(flags)-1], ".") { // the packages
		flags = flags[:len(flags)-1]
	}
	sum := run(os.Args[1:])
	if n := len(sum.tests); n > 0 && n <= maxAgain && !sum.final {
		var unsteady []string
		for _, t := range sum.tests {
			fmt.Printf("once more, by itself: %s in %s\n", t.name, t.pkg)
			again := run(append(flags[:len(flags):len(flags)], "-count=1", "-run", "^"+t.name+"$", t.pkg))
			if again.failed == 0 && again.passed > 0 {
				sum.failed -= t.failed
				sum.passed += t.failed
				unsteady = append(unsteady, t.name)
			}
		}
		if len(unsteady) > 0 {
			fmt.Println("unsteady, passed when run by itself:", strings.Join(unsteady, " "))
		}
	}
	if sum.skipped > 0 {
		fmt.Printf("%d skipped\n", sum.skipped)
	}
	fmt.Printf("%d passed, %d failed\n", sum.passed, sum.failed)
	if sum.failed > 0 || sum.passed == 0 {
		os.Exit(1)
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
	failed    int // of it and its subtests
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
	s.tests = append(s.tests, &failedTest{pkg, top, 1})
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
