package imapconn

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imapfs/imapconn/imaptest"
)

// loginTrace is a trace in memory; it is read when the connection is closed.
type loginTrace struct{ strings.Builder }

// by is the mechanism in a trace.
func (r *loginTrace) by() string {
	for line := range strings.Lines(r.String()) {
		if _, said, ok := strings.Cut(line, " > a1 "); ok {
			return strings.Join(strings.Fields(said)[:min(2, len(strings.Fields(said)))], " ")
		}
	}
	return "nothing"
}

// TestDovecotLogsInByEachMechanism has a real server for each mechanism that it knows
// say who is right: each lets alice in by her password, and by no other. Nothing more
// is tried after a refusal.
func TestDovecotLogsInByEachMechanism(t *testing.T) {
	if testing.Short() {
		return
	}
	for name, test := range map[string]struct {
		mechanisms string // what the server offers
		forced     string
		want       string
	}{
		"SCRAM-SHA-256": {"plain login scram-sha-1 scram-sha-256 cram-md5", "", "AUTHENTICATE SCRAM-SHA-256"},
		"SCRAM-SHA-1":   {"plain login scram-sha-1 cram-md5", "", "AUTHENTICATE SCRAM-SHA-1"},
		"PLAIN":         {"plain login cram-md5", "", "AUTHENTICATE PLAIN"},
		"AUTH=LOGIN":    {"login", "", "AUTHENTICATE LOGIN"},
		"CRAM-MD5":      {"plain scram-sha-256 cram-md5", "cram-md5", "AUTHENTICATE CRAM-MD5"},
		"PLAIN, asked":  {"plain scram-sha-256 cram-md5", "plain", "AUTHENTICATE PLAIN"},
		"LOGIN, asked":  {"plain scram-sha-256", "login", "LOGIN <secret>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.StartDovecot(t, imaptest.DovecotOptions{Mechanisms: test.mechanisms, ExtraConf: disabledLogin(test.want)})
			for _, password := range []string{s.Password, "wrong-" + s.Password} {
				var trace loginTrace
				d := toDovecot(t, s, s.TLSAddr, TLSImplicit)
				d.Mechanism, d.Trace = test.forced, &trace
				d.Credentials = func(context.Context) (Credentials, error) { return Credentials{User: s.User, Password: password}, nil }
				c, err := d.Dial(t.Context())
				if password == s.Password {
					if err != nil {
						t.Fatalf("%v\n%s", err, trace.String())
					}
					if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
						t.Error(err)
					}
					c.Close()
				} else {
					oneLine(t, err, "server says NO [AUTHENTICATIONFAILED]")
					if n := strings.Count(trace.String(), " > a"); n != 1 {
						t.Errorf("%d commands were tried", n)
					}
				}
				if by := trace.by(); by != test.want {
					t.Errorf("logged in by %s", by)
				}
				if strings.Contains(trace.String(), s.Password) || strings.Contains(trace.String(), b64(password)) {
					t.Errorf("the trace holds the password:\n%s", trace.String())
				}
			}
		})
	}
}

// disabledLogin has Dovecot say LOGINDISABLED where the mechanism is to be used.
func disabledLogin(want string) string {
	if want == "AUTHENTICATE LOGIN" {
		return "protocol imap {\n  imap_capability = +LOGINDISABLED\n}\n"
	}
	return ""
}

// TestDovecotLogsInByCertificate shows that a client certificate is enough, for its
// own user only.
func TestDovecotLogsInByCertificate(t *testing.T) {
	if testing.Short() {
		return
	}
	cert, key := imaptest.Certificate(t, "alice")
	other, otherKey := imaptest.Certificate(t, "alice")
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{Mechanisms: "plain external", ClientCA: cert})
	for name, test := range map[string]struct {
		cert, key  string
		user, pass string
		mechanism  string
		mode       TLSMode
		want       string // the mechanism, or the error
	}{
		"implicit":            {cert, key, s.User, "", "", TLSImplicit, "AUTHENTICATE EXTERNAL"},
		"STARTTLS":            {cert, key, s.User, "", "", TLSStartTLS, "AUTHENTICATE EXTERNAL"},
		"before the password": {cert, key, s.User, s.Password, "", TLSImplicit, "AUTHENTICATE EXTERNAL"},
		"a password instead":  {cert, key, s.User, s.Password, "plain", TLSImplicit, "AUTHENTICATE PLAIN"},
		"none":                {"", "", s.User, s.Password, "", TLSImplicit, "AUTHENTICATE PLAIN"},
		"another's":           {cert, key, s.User2, s.Password2, "", TLSImplicit, "takes no such client certificate for this user"},
		"an unknown one":      {other, otherKey, s.User, s.Password, "", TLSImplicit, "takes no such client certificate for this user"},
		"in the clear":        {cert, key, s.User, "", "", TLSNone, "server wants a password, and there is none"},
		"asked, not there":    {"", "", s.User, s.Password, "external", TLSImplicit, "EXTERNAL needs TLS with a client certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := s.Addr
			if test.mode == TLSImplicit {
				addr = s.TLSAddr
			}
			var trace loginTrace
			d := toDovecot(t, s, addr, test.mode)
			if test.cert != "" {
				pair, err := tls.LoadX509KeyPair(test.cert, test.key)
				if err != nil {
					t.Fatal(err)
				}
				d.TLSConfig.Certificates = []tls.Certificate{pair}
			}
			d.Mechanism, d.Trace = test.mechanism, &trace
			d.Credentials = func(context.Context) (Credentials, error) {
				return Credentials{User: test.user, Password: test.pass}, nil
			}
			c, err := d.Dial(t.Context())
			if !strings.HasPrefix(test.want, "AUTH") {
				oneLine(t, err, test.want)
				var auth *AuthError
				if !errors.As(err, &auth) || strings.Contains(trace.String(), "AUTHENTICATE PLAIN") {
					t.Errorf("%T\n%s", err, trace.String())
				}
				return
			}
			if err != nil {
				log, _ := os.ReadFile(filepath.Join(s.Dir, "log", "dovecot.log"))
				t.Fatalf("%v\n%s", err, log)
			}
			c.Close()
			if !strings.Contains(trace.String(), " "+test.want+" <secret>") {
				t.Errorf("logged in by\n%s", trace.String())
			}
		})
	}
}
