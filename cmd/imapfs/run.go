package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
)

// Statuses of imapfs run that are not the command's own, as env(1) and timeout(1) have them. The
// shell gives statusNoExec and statusNoCommand, 126 and 127.
const statusOfRun = 125

func newRun() *cobra.Command {
	o := newOptions()
	var mountOptions []string
	var at string
	c := &cobra.Command{
		Use:   "run [flags] URL|ACCOUNT -- COMMAND [ARGUMENT]...",
		Short: "runs a command in an account that is mounted for it",
		Long: `Mounts an account in a temporary directory of its own, for reading only and for this
user alone, runs a command in it, unmounts, and ends with the status of the command. So
a backup is one line in a crontab, and no rsync --delete ever meets a directory in which
nothing is mounted: where the account cannot be mounted the command is not run, and the
status is 125.

The command finds the directory in $IMAPFS_MOUNT, too. Programs that know files again by
their whole names, as restic and borg do, want one that is always the same: --at. The log is the account's, with
--foreground it goes to stderr.`,
		Example: `  imapfs run work -- rsync -a --delete ./ /srv/backup/mail/
  imapfs run --at /var/backups/mail work -- restic backup .
  imapfs run --password-file ~/.secret imaps://alice@example.org/ -- grep -rl invoice .`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("a command is wanted (write %s)", c.UseLine())
			}
			return nil
		},
		ValidArgsFunction: completeAccounts,
	}
	o.register(c.Flags())
	registerMountOptions(c.Flags(), &mountOptions)
	c.Flags().StringVar(&at, "at", "", "mount at `DIR`, which is there and empty, in place of a temporary directory")
	c.Flags().SetInterspersed(false) // what follows the account is the command's
	c.RunE = func(c *cobra.Command, args []string) error {
		source, command := args[0], args[1:]
		if command[0] == "--" {
			command = command[1:]
		}
		if len(command) == 0 {
			return usagef("a command is wanted (write %s)", c.UseLine())
		}
		err := runMounted(c, o, mountOptions, at, source, command)
		if status := (exitStatus(0)); errors.As(err, &status) || errors.As(err, new(usageError)) || err == nil {
			return err
		}
		return &failedRun{err}
	}
	return c
}

// exitStatus is an error that says nothing: the command that has ended so has said it.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// failedRun is why the command was not run, or why its mount was not ended.
type failedRun struct{ error }

func (f *failedRun) Unwrap() error { return f.error }

func runMounted(c *cobra.Command, o *options, mountOptions []string, dir, source string, command []string) error {
	url, err := settle(c.Flags(), mountOptions, source)
	if err != nil {
		return err
	}
	o.ReadOnly = true
	if dir == "" {
		if dir, err = os.MkdirTemp("", "imapfs-run-"); err != nil {
			return fmt.Errorf("%w (set $TMPDIR to a directory of your own)", err)
		}
		// Never what is in it: were it mounted still, that would be mail.
		defer os.Remove(dir)
	}
	if err := o.complete(url, dir); err != nil {
		return err
	}
	if o.MountPoint, err = checkMountPoint(o.MountPoint); err != nil {
		return err
	}
	if err := checkFUSE(o.AllowOther); err != nil {
		return err
	}
	password, err := obtain(o)
	if err != nil {
		return err
	}
	log := os.Stderr
	if !o.Foreground {
		if log, err = openLog(o); err != nil {
			return err
		}
		defer log.Close()
	}
	secrets := newSecrets(o, password)
	logger := newLogger(log, o.level(), secrets)

	ctx, end := context.WithCancel(c.Context())
	defer end()
	r := &running{dir: o.MountPoint, command: command, end: end}
	defer r.listen()()
	err = mountUntil(ctx, o, secrets, logger, r.start)
	r.done.Wait()
	switch {
	case err != nil && r.started():
		return fmt.Errorf("the command has ended with status %d, but %s", int(r.status), secrets.blank(err.Error()))
	case err != nil:
		return errors.New(secrets.blank(err.Error()))
	case r.status != 0:
		return r.status
	}
	return nil
}

// running is the command of imapfs run.
type running struct {
	dir     string
	command []string
	end     func() // unmounts
	done    sync.WaitGroup

	mu     sync.Mutex // guards cmd
	cmd    *exec.Cmd  // nil: not started
	status exitStatus // when it is done
}

// start starts the command; end is called when that has ended. A shell goes into the mount: this
// process, which serves it, may not wait for it (a fork stops the threads that would answer).
func (r *running) start() error {
	cmd := exec.Command("/bin/sh", append([]string{"-c", `cd -- "$0" && exec "$@"`, r.dir}, r.command...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "IMAPFS_MOUNT="+r.dir)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmd = cmd
	r.done.Go(func() {
		defer r.end()
		cmd.Wait()
		if w := cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() {
			r.status = exitStatus(128 + int(w.Signal()))
		} else {
			r.status = exitStatus(w.ExitStatus())
		}
	})
	return nil
}

func (r *running) started() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd != nil
}

// listen passes signals on until the function that it returns is called: what they mean is for
// the command to say, and nothing is unmounted under it. Before there is one they end the mount.
// Ctrl-C the terminal tells the command itself.
func (r *running) listen() (stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err == nil {
		tty.Close()
	}
	atTerminal := err == nil
	go func() { // ends with stop
		for s := range signals {
			r.mu.Lock()
			switch {
			case r.cmd == nil:
				r.end()
			case !atTerminal || s == syscall.SIGTERM || s == syscall.SIGHUP:
				r.cmd.Process.Signal(s) // that it has just ended is no error
			}
			r.mu.Unlock()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}
