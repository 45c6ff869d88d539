package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"
)

// The keyring of these tests is go-keyring's own, in memory: not parallel, for there
// is one of it.
func TestThePasswordComesFromTheKeyring(t *testing.T) {
	keyring.MockInit()
	if err := keyring.Set("imapfs", "alice@mail.example.org", "first"); err != nil {
		t.Fatal(err)
	}
	o := &options{Keyring: true, Account: accountURL{User: "alice", Host: "mail.example.org"}}
	s := newSecrets(o, "")
	if c, err := s.credentials(t.Context()); err != nil || c.User != "alice" || c.Password != "first" {
		t.Errorf("%+v, %q, %v", c, c.Password, err)
	}
	// One that was changed is had anew, and both are blanked.
	if err := keyring.Set("imapfs", "alice@mail.example.org", "second"); err != nil {
		t.Fatal(err)
	}
	if c, err := s.credentials(t.Context()); err != nil || c.Password != "second" {
		t.Errorf("%q, %v", c.Password, err)
	}
	if text := s.blank("first and second"); text != "*** and ***" {
		t.Error(text)
	}
}

func TestAKeyringWithoutThePasswordSaysWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func()
		want    string
	}{
		"nothing": {keyring.MockInit, "--keyring: it has no password for alice@h (secret-tool store --label=imapfs service imapfs username alice@h)"},
		"empty": {func() { keyring.MockInit(); keyring.Set("imapfs", "alice@h", "") },
			"--keyring: what it has for alice@h is no password (secret-tool store"},
		"too long": {func() { keyring.MockInit(); keyring.Set("imapfs", "alice@h", strings.Repeat("x", maxSecret+1)) },
			"--keyring: what it has for alice@h is no password (secret-tool store"},
		"nobody there": {func() { keyring.MockInitWithError(errors.New("The name org.freedesktop.secrets\nwas not provided")) },
			"--keyring: The name org.freedesktop.secrets was not provided (is a keyring running"},
	} {
		t.Run(name, func(t *testing.T) {
			test.prepare()
			_, err := keyringPassword(t.Context(), "alice@h")
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestWithoutDBusThereIsNoKeyring(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if err := checkKeyring(); err == nil || !strings.Contains(err.Error(), "there is no D-Bus session here") {
		t.Error(err)
	}
	if _, err := obtain(&options{Keyring: true}); err == nil {
		t.Error("it is asked for all the same")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/somewhere")
	if err := checkKeyring(); err != nil {
		t.Error(err)
	}
}
