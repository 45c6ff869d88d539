package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"imapfs/imapconn"
)

// registerLogin makes the flags of how to log in, and to whom.
func (o *options) registerLogin(f *pflag.FlagSet) {
	f.BoolVar(&o.Keyring, "keyring", false, "the password is in the desktop's keyring (Secret Service): service imapfs, username USER@HOST")
	f.Var(&o.Auth, "auth", "log in by `MECHANISM` and no other: "+strings.ToLower(strings.Join(imapconn.Mechanisms(), ", ")))
	f.StringArrayVar(&o.TLSPins, "tls-pin", nil, "the server's certificate has this `SHA256`, in hex, and needs no authority, name or date (repeatable)")
	f.StringVar(&o.ClientCert, "client-cert", "", "show the server the certificate in `FILE` (PEM), and log in by it where that can be done")
	f.StringVar(&o.ClientKey, "client-key", "", "its key is in `FILE` (PEM; --client-cert)")
	f.StringVar(&o.Tunnel, "tunnel", "", "talk to `COMMAND`, run by sh for each connection, as ssh HOST doveadm exec imap")
}

// checkLogin finds what does not go together. Its errors are the user's to correct.
func (o *options) checkLogin() error {
	var sources []string
	for flag, given := range map[string]bool{
		"--password-command": o.PasswordCommand != "", "--password-file": o.PasswordFile != "",
		"--token-command": o.TokenCommand != "", "--keyring": o.Keyring,
	} {
		if given {
			sources = append(sources, flag)
		}
	}
	slices.Sort(sources)
	byToken := o.Auth == "OAUTHBEARER" || o.Auth == "XOAUTH2"
	switch {
	case len(sources) > 1:
		return fmt.Errorf("more than one of %s (give one)", strings.Join(sources, " and "))
	case byToken && o.TokenCommand == "":
		return fmt.Errorf("--auth %s needs a token (give --token-command)", o.Auth.String())
	case o.Auth != "" && !byToken && o.TokenCommand != "":
		return fmt.Errorf("--auth %s takes no token (leave --token-command or --auth out)", o.Auth.String())
	case o.Auth == "EXTERNAL" && o.ClientCert == "":
		return errors.New("--auth external needs a client certificate (give --client-cert)")
	case o.ClientKey != "" && o.ClientCert == "":
		return errors.New("--client-key is the key of no certificate (give --client-cert)")
	case o.TLS == tlsNone && (o.ClientCert != "" || len(o.TLSPins) > 0):
		return errors.New("--client-cert and --tls-pin are for TLS, and there is none (write imaps:// or --tls starttls)")
	}
	for _, pin := range o.TLSPins {
		if _, err := imapconn.ParsePin(pin); err != nil {
			return fmt.Errorf("--tls-pin: %w (the error of a mount without it shows the server's)", err)
		}
	}
	return nil
}

// needsNoPassword reports whether a login is likely to go without a password, so that
// nobody is asked to type one.
func (o *options) needsNoPassword() bool {
	return o.Tunnel != "" || o.ClientCert != "" && (o.Auth == "" || o.Auth == "EXTERNAL")
}

// mechanism is the value of --auth, in capitals.
type mechanism string

func (m *mechanism) Set(s string) error {
	name := strings.ToUpper(s)
	if !slices.Contains(imapconn.Mechanisms(), name) {
		return fmt.Errorf("not a mechanism (write %s)", strings.ToLower(strings.Join(imapconn.Mechanisms(), ", ")))
	}
	*m = mechanism(name)
	return nil
}

func (m *mechanism) String() string { return strings.ToLower(string(*m)) }
func (m *mechanism) Type() string   { return "MECHANISM" }
