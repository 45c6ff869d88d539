package imapconn

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// login asks for credentials and proves them, once: a refused password is not
// tried by another mechanism (it would count twice against the account).
func (d *Dialer) login(ctx context.Context, c *Client) error {
	if d.Credentials == nil {
		return &AuthError{Host: d.Host, Err: errors.New("no credentials"), Hint: "give a user and a password"}
	}
	cred, err := d.Credentials(ctx)
	if err != nil {
		return err
	}
	err = d.logInBy(ctx, c, cred, true)
	if errors.Is(err, errBinding) && d.Mechanism == "" {
		err = d.logInBy(ctx, c, cred, false) // no password was refused
	}
	return err
}

// logInBy tries the best mechanism; bound says whether it may bind to TLS.
func (d *Dialer) logInBy(ctx context.Context, c *Client, cred Credentials, bound bool) error {
	if err := c.inTime(ctx, c.knowCaps); err != nil {
		return err
	}
	mech, err := d.choose(c, cred, bound)
	if err != nil {
		return err
	}
	a, err := mech.begin(c, d, cred)
	if err != nil {
		return &AuthError{d.Host, cred.User, err, "set one without it at the provider"}
	}
	c.trace.hide(a.private, append(spellings(cred), a.said...)...)
	defer c.trace.hide(false)
	c.forgetCapsWhenLoggedIn(a.cmd)
	err = c.inTime(ctx, func(ctx context.Context) error { return c.do(ctx, a.cmd) })
	return d.verdict(c, cred, mech, a, err)
}

// verdict is what became of an attempt whose command ended with err.
func (d *Dialer) verdict(c *Client, cred Credentials, mech mechanism, a *attempt, err error) error {
	var refused *StatusError
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	unasked := false
	select {
	case <-a.cmd.written: // what the writer has found out is to be read
		s, ok := a.mech.(*scramClient)
		unasked = ok && s.steps == 0
		if failed := a.outcome(err == nil); failed != nil {
			return &AuthError{d.Host, cred.User, failed, failedHint(failed)}
		}
	case <-c.done:
	}
	if refused == nil {
		return err
	}
	if mech.name == scramSHA256Plus && refused.Text == libsaslBadProtocol {
		return &AuthError{d.Host, cred.User, fmt.Errorf("%w: %w", errBinding, err), failedHint(errBinding)}
	}
	refused.Text = withhold(refused.Text, append(spellings(cred), a.said...))
	if refused.Type != "BYE" && unasked && refused.Code == "" {
		return &AuthError{d.Host, cred.User, err, "check user and password; a server that cannot do " + mech.name + " for this user answers so, too: then --auth login may do"}
	}
	if refused.Type != "BYE" {
		return &AuthError{d.Host, cred.User, err, refusedHint(d.Host, refused, mech)}
	}
	return err
}

// loginPlainly builds LOGIN (RFC 3501 §6.2.3).
func (c *Client) loginPlainly(cred Credentials) (*attempt, error) {
	for _, s := range []string{cred.User, cred.Password} {
		if strings.ContainsAny(s, "\r\n\x00") {
			return nil, errors.New("user or password holds a line end or NUL, which LOGIN cannot carry")
		}
	}
	cmd := c.newCommand("LOGIN")
	cmd.mechanism = "LOGIN"
	cmd.alone, cmd.written = true, make(chan struct{})
	cmd.enc.Raw(" ").Secret(cred.User).Raw(" ").Secret(cred.Password)
	return &attempt{cmd: cmd}, nil
}

// forgetCapsWhenLoggedIn drops the capabilities from before the login, unless
// the answer to it gave new ones.
func (c *Client) forgetCapsWhenLoggedIn(cmd *command) {
	cmd.admitted = func() { c.login, c.caps = Login{c.caps, cmd.mechanism}, Caps{} }
}

// failedHint is the way out where we broke the login off.
func failedHint(failed error) string {
	if errors.Is(failed, errImpostor) {
		return "it may be an impostor: check the host, and set a new password if you doubt it"
	}
	if errors.Is(failed, errBinding) {
		return "use --auth scram-sha-256, which does not bind"
	}
	return "another mechanism may do: name it with --auth"
}

// refusedHint is the way out when the server refused.
func refusedHint(host string, refused *StatusError, mech mechanism) string {
	switch refused.Code {
	case "UNAVAILABLE", "INUSE":
		return "the server cannot check now: try again later"
	case "PRIVACYREQUIRED":
		return "use imaps:// or --tls starttls"
	case "EXPIRED":
		return "the password has expired: set a new one at the provider"
	}
	switch {
	case mech.name == "EXTERNAL":
		return "the server takes no such client certificate for this user: check --client-cert, or use --auth and a password"
	case mech.name == scramSHA256Plus:
		return "check user and password; if they are right, somebody stands between here and the server"
	case mech.wants == "a token":
		return "the token was refused: does --token-command print a fresh access token for IMAP?"
	case needsAppPassword(host):
		return "use an app password or --token-command"
	}
	return "check user and password"
}

// needsAppPassword reports whether the provider takes no ordinary password over
// IMAP.
func needsAppPassword(host string) bool {
	host = "." + strings.ToLower(strings.TrimSuffix(host, "."))
	for _, domain := range []string{
		"gmail.com", "googlemail.com", "google.com", "outlook.com", "office365.com", "hotmail.com",
		"live.com", "yahoo.com", "aol.com", "me.com", "icloud.com",
	} {
		if strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}

// spellings are the ways in which a server may repeat a secret.
func spellings(cred Credentials) []string {
	var all []string
	for _, s := range []string{cred.Password, cred.Token} {
		if s == "" {
			continue
		}
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
		all = append(all, quoted, s, base64.StdEncoding.EncodeToString([]byte(s)))
	}
	return all
}

// withhold takes secrets out of a server's words.
func withhold(text string, secrets []string) string {
	for _, s := range secrets {
		if s == "" {
			continue
		}
		text = strings.ReplaceAll(text, s, blank)
	}
	return text
}
