package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/zalando/go-keyring"
)

// keyringService is the service under which the keyring has our passwords.
const keyringService = "imapfs"

// keyringPassword asks the desktop's keyring, by D-Bus, for the password of an account.
// The keyring may ask the user to unlock it first.
func keyringPassword(ctx context.Context, account string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	type answer struct {
		password string
		err      error
	}
	answers := make(chan answer, 1)
	go func() { // ends when the keyring answers: nobody can make it give up
		password, err := keyring.Get(keyringService, account)
		answers <- answer{password, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return "", keyringError(a.err, account)
		}
		if a.password == "" || len(a.password) > maxSecret {
			return "", fmt.Errorf("--keyring: what it has for %s is no password (%s)", oneLine(account), keyringStore(account))
		}
		return a.password, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return "", fmt.Errorf("--keyring: no answer within %v (unlock it)", commandLimit)
		}
		return "", fmt.Errorf("--keyring: %w", ctx.Err())
	}
}

// checkKeyring reports a session without D-Bus, where go-keyring would start one
// of its own, with nothing in it.
func checkKeyring() error {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return nil
	}
	if st, err := os.Stat(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")); err == nil && st.Mode()&os.ModeSocket != 0 {
		return nil
	}
	return errors.New("--keyring: there is no D-Bus session here ($DBUS_SESSION_BUS_ADDRESS is not set; use --password-command or --password-file)")
}

// keyringError says what to do.
func keyringError(err error, account string) error {
	if errors.Is(err, keyring.ErrNotFound) {
		return fmt.Errorf("--keyring: it has no password for %s (%s)", oneLine(account), keyringStore(account))
	}
	return fmt.Errorf("--keyring: %s (is a keyring running, as gnome-keyring or KeePassXC? else use --password-command)", oneLine(err.Error()))
}

// keyringStore is the command that puts the password there.
func keyringStore(account string) string {
	return "secret-tool store --label=imapfs service " + keyringService + " username " + oneLine(account)
}
