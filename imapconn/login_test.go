package imapconn

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// Each is what a server offers, what the user has, and what must be said.
func TestLoginTakesTheBestWayOffered(t *testing.T) {
	password := Credentials{User: "alice", Password: `se"c\ret`}
	token := Credentials{User: "alice", Token: "tok"}
	bearer := func(p *peer) string {
		return b64(fmt.Sprintf("n,a=alice,\x01host=127.0.0.1\x01port=%d\x01auth=Bearer tok\x01\x01", p.port()))
	}
	for name, test := range map[string]struct {
		caps   string
		cred   Credentials
		script func(p *peer) (tag string)
	}{
		"LOGIN, quoted": {"IMAP4rev1", password, func(p *peer) string {
			return p.hear(`LOGIN "alice" "se\"c\\ret"`)
		}},
		"LOGIN, literal": {"IMAP4rev1", Credentials{User: "alice", Password: "pässword"}, func(p *peer) string {
			tag := p.hear(`LOGIN "alice" {9}`)
			p.say("* OK still there", "+ go on")
			p.want("pässword")
			return tag
		}},
		"LOGIN, literal at once": {"IMAP4rev1 LITERAL+", Credentials{User: "alice", Password: "pässword"}, func(p *peer) string {
			tag := p.hear(`LOGIN "alice" {9+}`)
			p.want("pässword")
			return tag
		}},
		"PLAIN before LOGIN": {"IMAP4rev1 SASL-IR AUTH=LOGIN AUTH=PLAIN", password, func(p *peer) string {
			return p.hear("AUTHENTICATE PLAIN " + b64("\x00alice\x00"+`se"c\ret`))
		}},
		"PLAIN without SASL-IR": {"IMAP4rev1 AUTH=PLAIN", password, func(p *peer) string {
			tag := p.hear("AUTHENTICATE PLAIN")
			p.say("+")
			p.want(b64("\x00alice\x00" + `se"c\ret`))
			return tag
		}},
		"AUTH=LOGIN where LOGIN is disabled": {"IMAP4rev1 AUTH=LOGIN LOGINDISABLED", password, func(p *peer) string {
			tag := p.hear("AUTHENTICATE LOGIN")
			p.say("+ " + b64("Username:"))
			p.want(b64("alice"))
			p.say("+ " + b64("Password:"))
			p.want(b64(`se"c\ret`))
			return tag
		}},
		"CRAM-MD5 is not chosen": {"IMAP4rev1 SASL-IR AUTH=CRAM-MD5 AUTH=PLAIN", password, func(p *peer) string {
			return p.hear("AUTHENTICATE PLAIN " + b64("\x00alice\x00"+`se"c\ret`))
		}},
		"OAUTHBEARER before XOAUTH2": {"IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER", token, func(p *peer) string {
			return p.hear("AUTHENTICATE OAUTHBEARER " + bearer(p))
		}},
		"OAUTHBEARER without SASL-IR": {"IMAP4rev1 AUTH=OAUTHBEARER", token, func(p *peer) string {
			tag := p.hear("AUTHENTICATE OAUTHBEARER")
			p.say("+ ")
			p.want(bearer(p))
			return tag
		}},
		"XOAUTH2": {"IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2", token, func(p *peer) string {
			return p.hear("AUTHENTICATE XOAUTH2 " + b64("user=alice\x01auth=Bearer tok\x01\x01"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, func(p *peer) {
				p.say("* OK [CAPABILITY " + test.caps + "] hi")
				p.say(test.script(p) + " OK [CAPABILITY IMAP4rev1] in")
				p.drain()
			})
			d.Credentials = func(context.Context) (Credentials, error) { return test.cred, nil }
			dial(t, d)
		})
	}
}

func TestARefusedLoginIsTriedOnceAndNamesTheWayOut(t *testing.T) {
	reason := b64(`{"status":"invalid_token"}`)
	for name, test := range map[string]struct {
		host, caps string
		cred       Credentials
		script     func(p *peer)
		want       string
	}{
		"password": {"", "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN", Credentials{User: "alice", Password: "hunter2"}, func(p *peer) {
			p.say(p.hear("AUTHENTICATE PLAIN "+b64("\x00alice\x00hunter2")) + " NO [AUTHENTICATIONFAILED] wrong")
		}, "login as alice at 127.0.0.1: authenticate: server says NO [AUTHENTICATIONFAILED] wrong (check user and password)"},
		"Gmail": {"imap.gmail.com", "IMAP4rev1", Credentials{User: "alice", Password: "hunter2"}, func(p *peer) {
			p.say(p.hear(`LOGIN "alice" "hunter2"`) + " NO [ALERT] Application-specific password required")
		}, "(use an app password or --token-command)"},
		"Outlook": {"outlook.office365.com", "IMAP4rev1", Credentials{User: "alice", Password: "hunter2"}, func(p *peer) {
			p.say(p.hear(`LOGIN "alice" "hunter2"`) + " NO LOGIN failed.")
		}, "(use an app password or --token-command)"},
		"a server that repeats the command": {"", "IMAP4rev1", Credentials{User: "alice", Password: "hunter2"}, func(p *peer) {
			p.say(p.hear(`LOGIN "alice" "hunter2"`) + ` BAD unknown: LOGIN "alice" "hunter2"`)
		}, `BAD unknown: LOGIN "alice" "<secret>"`},
		"a server that repeats the token": {"", "IMAP4rev1 SASL-IR AUTH=XOAUTH2", Credentials{User: "alice", Token: "hunter2"}, func(p *peer) {
			tag, said, _ := strings.Cut(p.line(), " ")
			p.say(tag + " BAD unknown: " + said)
		}, "BAD unknown: AUTHENTICATE XOAUTH2 <secret>"},
		"before the literal": {"", "IMAP4rev1", Credentials{User: "älice", Password: "hunter2"}, func(p *peer) {
			p.say(p.hear(`LOGIN {6}`) + " NO no literals here")
		}, "no literals here"},
		"OAUTHBEARER": {"", "IMAP4rev1 SASL-IR AUTH=OAUTHBEARER AUTH=XOAUTH2", Credentials{User: "alice", Token: "hunter2"}, func(p *peer) {
			tag, _, _ := strings.Cut(p.line(), " ")
			p.say("+ " + reason)
			p.want("AQ==")
			p.say(tag + " NO bad token")
		}, "the token was refused"},
		"XOAUTH2": {"", "IMAP4rev1 SASL-IR AUTH=XOAUTH2", Credentials{User: "alice", Token: "hunter2"}, func(p *peer) {
			tag, _, _ := strings.Cut(p.line(), " ")
			p.say("+ " + reason)
			p.want("")
			p.say(tag + " NO bad token")
		}, "the token was refused"},
		"a question PLAIN cannot answer": {"", "IMAP4rev1 SASL-IR AUTH=PLAIN", Credentials{User: "alice", Password: "hunter2"}, func(p *peer) {
			tag, _, _ := strings.Cut(p.line(), " ")
			p.say("+ what?")
			p.want("*")
			p.say(tag + " BAD cancelled")
		}, "unreadable challenge: illegal base64 data at input byte 4 (another mechanism may do: name it with --auth)"},
		"questions without end": {"", "IMAP4rev1 SASL-IR AUTH=XOAUTH2", Credentials{User: "alice", Token: "hunter2"}, func(p *peer) {
			for p.line(); ; p.line() {
				if _, err := p.conn.Write([]byte("+ \r\n")); err != nil {
					return
				}
			}
		}, "server asks on and on"},
		"later": {"", "IMAP4rev1", Credentials{User: "alice", Password: "hunter2"}, func(p *peer) {
			p.say(p.hear(`LOGIN "alice" "hunter2"`) + " NO [UNAVAILABLE] database down")
		}, "(the server cannot check now: try again later)"},
		"BYE": {"", "IMAP4rev1", Credentials{User: "alice", Password: "hunter2"}, func(p *peer) {
			p.hear(`LOGIN "alice" "hunter2"`)
			p.say("* BYE too many connections for alice")
		}, "server says BYE too many connections"},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, func(p *peer) {
				p.say("* OK [CAPABILITY " + test.caps + "] hi")
				test.script(p)
				if more := p.line(); more != "" {
					t.Errorf("after a refusal the client said %q", more)
				}
			})
			if test.host != "" {
				d.at(test.host)
			}
			d.Credentials = func(context.Context) (Credentials, error) { return test.cred, nil }
			_, err := d.Dial(t.Context())
			oneLine(t, err, test.want)
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error holds the password")
			}
			var auth *AuthError
			if isAuth := errors.As(err, &auth); isAuth == (name == "BYE" || name == "questions without end") {
				t.Errorf("%T", err)
			}
		})
	}
}

func TestALoginThatCannotBeTriedSaysWhy(t *testing.T) {
	password, token := Credentials{User: "a", Password: "x"}, Credentials{User: "a", Token: "x"}
	for name, test := range map[string]struct {
		caps      string
		cred      Credentials
		mechanism string
		want      string
	}{
		"line end":        {"IMAP4rev1", Credentials{User: "a", Password: "x\r\na2 LOGOUT"}, "", "holds a line end or NUL"},
		"NUL in the user": {"IMAP4rev1", Credentials{User: "a\x00", Password: "x"}, "", "holds a line end or NUL"},
		"NUL in PLAIN":    {"IMAP4rev1 AUTH=PLAIN", Credentials{User: "a", Password: "x\x00y"}, "", "holds NUL, which PLAIN cannot carry"},
		"disabled":        {"IMAP4rev1 LOGINDISABLED", password, "", "(it may want --token-command, or TLS before the password)"},
		"token":           {"IMAP4rev1 AUTH=PLAIN", token, "", "(it takes no OAuth token: use a password)"},
		"no password":     {"IMAP4rev1 AUTH=PLAIN", Credentials{User: "a"}, "", "server wants a password, and there is none (use --password-command"},
		"Kerberos": {"IMAP4rev1 LOGINDISABLED AUTH=GSSAPI AUTH=GSS-SPNEGO", password, "",
			"server offers GSS-SPNEGO, GSSAPI only, Kerberos and its like, which is missing here (ask its owner for PLAIN or SCRAM over TLS, or log in by ssh with --tunnel)"},
		"CRAM-MD5 only":       {"IMAP4rev1 LOGINDISABLED AUTH=CRAM-MD5", password, "", "(it offers CRAM-MD5, which is weak: --auth cram-md5 uses it)"},
		"asked, not offered":  {"IMAP4rev1 AUTH=PLAIN", password, "scram-sha-256", "server does not offer SCRAM-SHA-256 (it offers PLAIN, LOGIN; without --auth the best that fits is taken)"},
		"asked, and no token": {"IMAP4rev1 AUTH=XOAUTH2", password, "xoauth2", "XOAUTH2 needs a token (give it, or leave --auth out)"},
		"asked, and no TLS":   {"IMAP4rev1 AUTH=SCRAM-SHA-256-PLUS", password, "scram-sha-256-plus", "SCRAM-SHA-256-PLUS needs a password, and TLS"},
		"nobody's":            {"IMAP4rev1", password, "gssapi", `there is no mechanism "gssapi" here (there are EXTERNAL, SCRAM-SHA-256-PLUS`},
		"a liar's names": {"IMAP4rev1 LOGINDISABLED AUTH=GSSAPI AUTH=NTLM AUTH=" + strings.Repeat("X", 21), password, "plain",
			"(it offers GSSAPI, NTLM; without"},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, func(p *peer) {
				p.say("* OK [CAPABILITY " + test.caps + "] hi")
				if more := p.line(); more != "" {
					t.Errorf("the client said %q", more)
				}
			})
			d.Mechanism = test.mechanism
			d.Credentials = func(context.Context) (Credentials, error) { return test.cred, nil }
			_, err := d.Dial(t.Context())
			oneLine(t, err, test.want)
			var auth *AuthError
			if !errors.As(err, &auth) {
				t.Errorf("%T", err)
			}
		})
	}
}

func TestCredentialsPrintWithoutTheirSecrets(t *testing.T) {
	c := Credentials{User: "alice", Password: "hunter2", Token: "hunter3"}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c), c.LogValue().String()} {
		if strings.Contains(s, "hunter") {
			t.Error(s)
		}
	}
}
