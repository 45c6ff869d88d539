package imaptest

// TB is what the servers of this package need of a *testing.T or *testing.B.
// It is declared here so that the embedded server of `imapfs demo` does not
// bring package testing into the command.
type TB interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(func())
}
