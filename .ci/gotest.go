// Command gotest runs go test with the arguments it is given, shows a line for
// each package and what failed tests wrote, and ends with "N passed, N failed".
// A test with subtests is counted by them.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// event is what go test -json writes; see go doc test2json.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func main() {
	test := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	test.Stderr = os.Stderr
	out, err := test.StdoutPipe()
	if err == nil {
		err = test.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	passed, failed, skipped := tally(out)
	if err := test.Wait(); err != nil && failed == 0 {
		failed = 1 // something that is no test, such as a package that does not build
	}
	if skipped > 0 {
		fmt.Printf("%d skipped\n", skipped)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}

func tally(r io.Reader) (passed, failed, skipped int) {
	type key struct{ pkg, test string }
	output := map[key][]string{}
	parents := map[key]bool{}
	for events := json.NewDecoder(r); ; {
		var e event
		if err := events.Decode(&e); err != nil {
			return passed, failed, skipped
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			fmt.Print(e.Output)
		case "output":
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
				}
				break
			}
			leaf := !parents[k]
			switch {
			case e.Action == "fail":
				fmt.Print(strings.Join(output[k], ""))
				if leaf {
					failed++
				}
			case leaf && e.Action == "pass":
				passed++
			case leaf:
				skipped++
			}
			delete(output, k)
		}
	}
}
