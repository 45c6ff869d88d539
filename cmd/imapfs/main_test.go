package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is imapfs too, under that name and on the PATH of the tests:
// whatever mounts is always another process than the one that looks.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"imapfs": main})
}
