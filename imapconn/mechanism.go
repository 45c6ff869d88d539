package imapconn

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// mechanism is one way of logging in.
type mechanism struct {
	name  string // of SASL; LOGIN is the command, and the mechanism where the command is disabled
	asked bool   // is used only where Dialer.Mechanism names it
	wants string // what cannot be done without, for errors
	fits  func(*Client, *Dialer, Credentials) bool
	begin func(*Client, *Dialer, Credentials) (*attempt, error)
}

// mechanisms are in the order in which they are chosen: what the server learns
// least from comes first.
var mechanisms = []mechanism{
	{"EXTERNAL", false, "TLS with a client certificate", certified, external},
	{scramSHA256Plus, false, "a password, and TLS", func(c *Client, _ *Dialer, cred Credentials) bool {
		return cred.Password != "" && c.binding().IsSupported()
	}, scramBy(scramSHA256Plus)},
	{scramSHA256, false, "a password", hasPassword, scramBy(scramSHA256)},
	{scramSHA1, false, "a password", hasPassword, scramBy(scramSHA1)},
	{"OAUTHBEARER", false, "a token", hasToken, func(c *Client, d *Dialer, cred Credentials) (*attempt, error) {
		return c.authenticate(sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{
			Username: cred.User, Token: cred.Token, Host: c.host, Port: d.Port,
		}), []byte{1})
	}},
	{"XOAUTH2", false, "a token", hasToken, func(c *Client, _ *Dialer, cred Credentials) (*attempt, error) {
		return c.authenticate(xoauth2{cred.User, cred.Token}, []byte{})
	}},
	{"PLAIN", false, "a password", hasPassword, func(c *Client, _ *Dialer, cred Credentials) (*attempt, error) {
		if strings.ContainsRune(cred.User+cred.Password, 0) {
			return nil, errors.New("user or password holds NUL, which PLAIN cannot carry")
		}
		return c.authenticate(sasl.NewPlainClient("", cred.User, cred.Password), nil)
	}},
	{"LOGIN", false, "a password", hasPassword, func(c *Client, _ *Dialer, cred Credentials) (*attempt, error) {
		if c.Caps().Has("LOGINDISABLED") {
			return c.authenticate(sasl.NewLoginClient(cred.User, cred.Password), nil)
		}
		return c.loginPlainly(cred)
	}},
	{"CRAM-MD5", true, "a password", hasPassword, func(c *Client, _ *Dialer, cred Credentials) (*attempt, error) {
		return c.authenticate(&cramMD5{user: cred.User, password: cred.Password}, nil)
	}},
}

// Mechanisms are the names that Dialer.Mechanism may have, in the order in which
// they are chosen where it has none; CRAM-MD5, the last, is not chosen then.
func Mechanisms() []string {
	var names []string
	for _, m := range mechanisms {
		names = append(names, m.name)
	}
	return names
}

func hasPassword(_ *Client, _ *Dialer, cred Credentials) bool {
	return cred.Token == "" && cred.Password != ""
}

func hasToken(_ *Client, _ *Dialer, cred Credentials) bool { return cred.Token != "" }

// offered reports whether the server has the mechanism.
func (m mechanism) offered(caps Caps) bool {
	if m.name == "LOGIN" && !caps.Has("LOGINDISABLED") {
		return true
	}
	return caps.Has("AUTH=" + m.name)
}

// choose finds the way of logging in, one that binds to TLS only if bound is set.
func (d *Dialer) choose(c *Client, cred Credentials, bound bool) (mechanism, error) {
	caps := c.Caps()
	for _, m := range mechanisms {
		if d.Mechanism != "" && !strings.EqualFold(d.Mechanism, m.name) || d.Mechanism == "" && m.asked {
			continue
		}
		if m.name == scramSHA256Plus && !bound {
			continue
		}
		if m.fits(c, d, cred) && m.offered(caps) {
			return m, nil
		}
	}
	return mechanism{}, d.noMechanism(caps, cred)
}

// noMechanism says why there is none, and what would be one.
func (d *Dialer) noMechanism(caps Caps, cred Credentials) error {
	e := &AuthError{Host: d.Host, User: cred.User, Err: errNoMechanism}
	offers := offeredNames(caps)
	forced := slices.IndexFunc(mechanisms, func(m mechanism) bool { return strings.EqualFold(d.Mechanism, m.name) })
	switch {
	case d.Mechanism != "" && forced < 0:
		e.Err = fmt.Errorf("there is no mechanism %.20q here", d.Mechanism)
		e.Hint = "there are " + strings.Join(Mechanisms(), ", ")
	case forced >= 0 && !mechanisms[forced].offered(caps):
		e.Err = errors.New("server does not offer " + mechanisms[forced].name)
		e.Hint = "it offers " + offers + "; without --auth the best that fits is taken"
	case forced >= 0:
		e.Err = fmt.Errorf("%s needs %s", mechanisms[forced].name, mechanisms[forced].wants)
		e.Hint = "give it, or leave --auth out"
	case kerberosOnly(caps):
		e.Err = errors.New("server offers " + offers + " only, Kerberos and its like, which is missing here")
		e.Hint = "ask its owner for PLAIN or SCRAM over TLS, or log in by ssh with --tunnel"
	case cred.Token != "":
		e.Hint = "it takes no OAuth token: use a password"
	case cred.Password == "":
		e.Err = errors.New("server wants a password, and there is none")
		e.Hint = "use --password-command, --password-file or --keyring"
	case caps.Has("AUTH=CRAM-MD5"):
		e.Hint = "it offers CRAM-MD5, which is weak: --auth cram-md5 uses it"
	default:
		e.Hint = "it may want --token-command, or TLS before the password"
	}
	return e
}

// errNoMechanism is a server with no way of logging in that we have.
var errNoMechanism = errors.New("server offers no way to log in that can be used here")

// kerberosOnly reports whether a server can be logged in to only by what takes
// tickets and not secrets.
func kerberosOnly(caps Caps) bool {
	tickets := 0
	for _, name := range caps.Names() {
		switch mech, isMech := strings.CutPrefix(name, "AUTH="); {
		case !isMech:
		case mech == "GSSAPI" || mech == "GS2-KRB5" || mech == "GS2-KRB5-PLUS" || mech == "GSS-SPNEGO" || mech == "NTLM":
			tickets++
		default:
			return false
		}
	}
	return tickets > 0 && caps.Has("LOGINDISABLED")
}

// offeredNames lists what a server offers, at most eight names that look like a
// mechanism's (RFC 4422 §3.1): these are its words.
func offeredNames(caps Caps) string {
	var names []string
	for _, name := range caps.Names() {
		mech, isMech := strings.CutPrefix(name, "AUTH=")
		if isMech && len(mech) <= 20 && len(names) < 8 && strings.Trim(mech, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" {
			names = append(names, mech)
		}
	}
	if !caps.Has("LOGINDISABLED") && !slices.Contains(names, "LOGIN") {
		names = append(names, "LOGIN")
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
