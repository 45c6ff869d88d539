// Command imapfs mounts an IMAP account as a directory: a mailbox is a
// directory, a message is a file named by its UID.
//
// Rules of its user interface: silence is success. An error is one line on
// stderr, "imapfs: what is wrong (what to do)", and the exit status is 1, or 2
// where the command line itself is wrong. Nothing is mounted before the server
// has accepted the login. A secret is never an argument, never in the
// environment of a process that stays, and never in a message, a log or a trace.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() { os.Exit(execute(os.Args[1:])) }

// execute is main without the exit: its result is the exit status.
func execute(args []string) int {
	fillEnvironment()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	if status := exitStatus(0); errors.As(err, &status) {
		return int(status)
	}
	complain(err)
	switch {
	case errors.As(err, new(*failedRun)):
		return statusOfRun
	case errors.As(err, new(usageError)):
		return 2
	case errors.Is(err, errStillMounted):
		return 128 + int(syscall.SIGINT)
	}
	return 1
}

// complain writes a line, to the journal with its priority.
func complain(err error) {
	priority := ""
	if isJournal(os.Stderr) {
		priority = priorityError
	}
	fmt.Fprintln(os.Stderr, priority+"imapfs: "+oneLine(err.Error()))
}

// fillEnvironment sets what mount(8) and systemd leave out: what runs us for a line of fstab(5)
// has no PATH, and at boot no HOME.
func fillEnvironment() {
	if os.Getenv("PATH") == "" {
		os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	if os.Getenv("HOME") == "" {
		if u, err := user.Current(); err == nil && u.HomeDir != "" {
			os.Setenv("HOME", u.HomeDir)
		}
	}
}

// usageError is what is wrong with the command line rather than with the world.
type usageError struct{ error }

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

func newRoot() *cobra.Command {
	var mountOptions []string
	root := &cobra.Command{
		Use:           "imapfs",
		Short:         "mounts an IMAP account as a directory",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && (len(args) != 2 || mountOptions == nil) {
				return usagef("there is no command %q (see imapfs --help)", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 2 { // mount -t fuse.imapfs runs imapfs SOURCE MOUNTPOINT -o OPTIONS
				mount := newMount()
				mount.SetArgs(append([]string{"-o", strings.Join(mountOptions, ","), "--"}, args...))
				mount.SilenceErrors, mount.SilenceUsage = true, true
				return mount.ExecuteContext(c.Context())
			}
			c.SetOut(os.Stderr)
			c.Help()
			return usagef("no command is given (try imapfs demo)")
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true // make install puts them where shells look
	root.SetFlagErrorFunc(flagError)
	registerMountOptions(root.Flags(), &mountOptions)
	root.Flags().Lookup("option").Hidden = true
	root.AddCommand(newMount(), newUnmount(), newRun(), newCheck(), newStatus(), newRefresh(), newPending(), newExpunge(), newDemo(), newVersion(), newDaemon(), newShare())
	return root
}

// flagError turns an error of the flag parser into ours. What follows an
// unknown letter is not repeated: -phunter2 is how other programs take a password.
func flagError(c *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := "--" + unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			name = "-" + unknown.GetSpecifiedName()
		}
		return usagef("there is no flag %s (see %s --help)", name, c.CommandPath())
	}
	if !strings.HasSuffix(err.Error(), ")") {
		err = fmt.Errorf("%w (see %s --help)", err, c.CommandPath())
	}
	return usageError{err}
}

// exactly wants n arguments and says what they are.
func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%d arguments where %d are wanted (write %s)", len(args), n, c.UseLine())
		}
		return nil
	}
}

// oneLine makes one line of a text that a server may have written part of:
// what a terminal would act upon becomes a space.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return strings.Join(strings.Fields(s), " ")
}
