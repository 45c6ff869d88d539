package imapconn

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/emersion/go-sasl"
)

// login asks for credentials and proves them, once: a refused password is not
// tried by another mechanism (it would count twice against the account).
func (d *Dialer) login(ctx context.Context, c *Client) error {
	if d.Credentials == nil {
		return &AuthError{Host: d.Host, Err: errors.New("no credentials"), Hint: "give a user and a password"}
	}
	if err := c.inTime(ctx, c.knowCaps); err != nil {
		return err
	}
	cred, err := d.Credentials(ctx)
	if err != nil {
		return err
	}
	cmd, err := c.loginCommand(cred, d.Port)
	if err != nil {
		return &AuthError{d.Host, cred.User, err, mechanismHint(cred)}
	}
	secrets := append(spellings(cred), cmd.secrets...)
	c.trace.hide(secrets...)
	defer c.trace.hide()
	c.forgetCapsWhenLoggedIn(cmd)
	err = c.inTime(ctx, func(ctx context.Context) error { return c.do(ctx, cmd) })
	var refused *StatusError
	if !errors.As(err, &refused) {
		return err
	}
	refused.Text = withhold(refused.Text, secrets)
	if refused.Type != "BYE" {
		return &AuthError{d.Host, cred.User, err, refusedHint(d.Host, refused, cred)}
	}
	return err
}

// errNoMechanism is a server with no way of logging in that we have.
var errNoMechanism = errors.New("server offers no way to log in that can be used here")

// loginCommand chooses the way (PLAIN before LOGIN, which takes no UTF-8) and
// builds the command.
func (c *Client) loginCommand(cred Credentials, port int) (*command, error) {
	have := c.Caps()
	switch {
	case cred.Token != "" && have.Has("AUTH=OAUTHBEARER"):
		return c.authenticate(sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{
			Username: cred.User, Token: cred.Token, Host: c.host, Port: port,
		}), []byte{1})
	case cred.Token != "" && have.Has("AUTH=XOAUTH2"):
		return c.authenticate(xoauth2{cred.User, cred.Token}, nil)
	case cred.Token != "":
		return nil, errNoMechanism
	case have.Has("AUTH=PLAIN"):
		return c.authenticate(sasl.NewPlainClient("", cred.User, cred.Password), nil)
	case !have.Has("LOGINDISABLED"):
		return c.loginPlainly(cred)
	case have.Has("AUTH=LOGIN"):
		return c.authenticate(sasl.NewLoginClient(cred.User, cred.Password), nil)
	}
	return nil, errNoMechanism
}

// loginPlainly builds LOGIN (RFC 3501 §6.2.3).
func (c *Client) loginPlainly(cred Credentials) (*command, error) {
	for _, s := range []string{cred.User, cred.Password} {
		if strings.ContainsAny(s, "\r\n\x00") {
			return nil, errors.New("user or password holds a line end or NUL, which LOGIN cannot carry")
		}
	}
	cmd := c.newCommand("LOGIN")
	cmd.mechanism = "LOGIN"
	cmd.alone = true
	cmd.enc.Raw(" ").Secret(cred.User).Raw(" ").Secret(cred.Password)
	return cmd, nil
}

// forgetCapsWhenLoggedIn drops the capabilities from before the login, unless
// the answer to it gave new ones.
func (c *Client) forgetCapsWhenLoggedIn(cmd *command) {
	cmd.admitted = func() { c.login, c.caps = Login{c.caps, cmd.mechanism}, Caps{} }
}

// mechanismHint is the way out where no way of logging in fits.
func mechanismHint(cred Credentials) string {
	if cred.Token != "" {
		return "it takes no OAuth token: use a password"
	}
	return "it may want --token-command, or TLS before the password"
}

// refusedHint is the way out when the server refused.
func refusedHint(host string, refused *StatusError, cred Credentials) string {
	switch refused.Code {
	case "UNAVAILABLE", "INUSE":
		return "the server cannot check now: try again later"
	case "PRIVACYREQUIRED":
		return "use imaps:// or --tls starttls"
	case "EXPIRED":
		return "the password has expired: set a new one at the provider"
	}
	switch {
	case cred.Token != "":
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
		text = strings.ReplaceAll(text, s, blank)
	}
	return text
}
