package spool

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain has rapid print the seed of what fails, and leave no file.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("rapid.nofailfile", "true")
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}
