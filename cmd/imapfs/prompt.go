package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// prompt asks at the terminal, without echo. It wants the terminal itself, as
// ssh does, so that a redirected stdin is no password by accident. Ctrl-C ends
// the program with the terminal as it was.
func prompt(question string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errors.New("no password is given and there is no terminal to ask at " +
			"(use --password-command, --password-file or $" + passwordVar + ")")
	}
	defer tty.Close()
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("the terminal: %w (use --password-command or --password-file)", err)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)
	done := make(chan struct{})
	defer close(done)
	go func() { // ends with prompt, or the process with it
		select {
		case <-interrupted:
			term.Restore(fd, before)
			fmt.Fprintln(tty)
			os.Exit(1)
		case <-done:
		}
	}()
	fmt.Fprint(tty, question)
	password, err := term.ReadPassword(fd)
	fmt.Fprintln(tty)
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("reading the password: %w (use --password-command or --password-file)", err)
	}
	if len(password) == 0 {
		return "", errors.New("no password is given (type it, or use --password-command or --password-file)")
	}
	return string(password), nil
}
