package imapconn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// certificate makes a self-signed one for names, valid from now on for so long,
// and a configuration that trusts it.
func certificate(t testing.TB, valid time.Duration, names ...string) (tls.Certificate, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-24 * time.Hour),
		NotAfter:     time.Now().Add(valid),
		IsCA:         true,

		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, &tls.Config{RootCAs: roots}
}

func TestTLSProtectsTheLogin(t *testing.T) {
	cert, trust := certificate(t, time.Hour, "127.0.0.1")
	for name, mode := range map[string]TLSMode{"implicit": TLSImplicit, "STARTTLS": TLSStartTLS} {
		t.Run(name, func(t *testing.T) {
			d := play(t, func(p *peer) {
				if mode == TLSStartTLS {
					p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi")
					p.say(p.hear("STARTTLS") + " OK begin")
					p.upgrade(cert)
					p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1")
				} else {
					p.upgrade(cert)
					p.say("* OK [CAPABILITY IMAP4rev1] hi")
				}
				p.say(p.hear(`LOGIN "alice" "secret"`) + " OK [CAPABILITY IMAP4rev1] in")
				p.answer("NOOP")
			})
			d.TLS, d.TLSConfig = mode, trust
			if err := dial(t, d).Noop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A man in the middle puts words behind the OK to STARTTLS: none of them counts.
func TestSTARTTLSForgetsWhatWasSaidInTheClear(t *testing.T) {
	cert, trust := certificate(t, time.Hour, "127.0.0.1")
	d := play(t, func(p *peer) {
		p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi")
		tag := p.hear("STARTTLS")
		p.raw(tag + " OK begin\r\n* CAPABILITY IMAP4rev1 INJECTED\r\na2 OK injected\r\n")
		p.upgrade(cert)
		p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1")
		p.say(p.hear(`LOGIN "alice" "secret"`) + " OK [CAPABILITY IMAP4rev1] in")
		p.drain()
	})
	d.TLS, d.TLSConfig = TLSStartTLS, trust
	if c := dial(t, d); c.Caps().Has("INJECTED") || c.Caps().Has("AUTH=PLAIN") {
		t.Errorf("capabilities %v", c.Caps().Names())
	}
}

// Before STARTTLS nobody knows who speaks: nothing of it counts afterwards, and the
// user is told nothing of it.
func TestNothingSaidBeforeSTARTTLSCounts(t *testing.T) {
	cert, trust := certificate(t, time.Hour, "127.0.0.1")
	for name, test := range map[string]struct{ before, after string }{
		"logged in":                        {"* PREAUTH in", ""},
		"extensions":                       {"* ENABLED UTF8=ACCEPT", ""},
		"a mailbox":                        {"* 5 EXISTS\r\n* LIST () \"/\" INBOX\r\n* OK [UIDVALIDITY 7] v", ""},
		"an alert":                         {"* OK [ALERT] call 555-0100", ""},
		"LOGINDISABLED":                    {"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED", ""},
		"logged in, by somebody under TLS": {"* OK hi", "* PREAUTH in"},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, func(p *peer) {
				p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi")
				tag := p.hear("STARTTLS")
				p.say(test.before, tag+" OK begin")
				p.upgrade(cert)
				tag = p.hear("CAPABILITY")
				if test.after != "" {
					p.say(test.after)
				}
				p.say("* CAPABILITY IMAP4rev1", tag+" OK")
				p.say("* OK [ALERT] a true one", p.hear(`LOGIN "alice" "secret"`)+" OK [CAPABILITY IMAP4rev1 ENABLE] in")
				p.answer("ENABLE UTF8=ACCEPT")
				p.drain()
			})
			var log bytes.Buffer
			d.TLS, d.TLSConfig, d.Logger = TLSStartTLS, trust, slog.New(slog.NewTextHandler(&log, nil))
			c := dial(t, d)
			if err := c.Enable(t.Context(), "UTF8=ACCEPT"); !errors.Is(err, ErrNotOffered) {
				t.Errorf("enabled: %v", err)
			}
			c.Close()
			if s := log.String(); strings.Contains(s, "555") || !strings.Contains(s, "a true one") {
				t.Errorf("the user is told %q", s)
			}
		})
	}
}

func TestAConnectionThatCannotBeProtectedSaysWhatToDo(t *testing.T) {
	good, trust := certificate(t, time.Hour, "127.0.0.1")
	other, trustOther := certificate(t, time.Hour, "mail.example.org", "10.0.0.1")
	old, trustOld := certificate(t, -time.Hour, "127.0.0.1")
	soon, trustSoon := certificate(t, time.Hour, "127.0.0.1")
	trustSoon.Time = func() time.Time { return time.Now().Add(-48 * time.Hour) }
	under := func(cert tls.Certificate) func(*peer) {
		return func(p *peer) { p.upgrade(cert); p.say("* OK hi"); p.drain() }
	}
	by := func(config *tls.Config) func(*peer) {
		config.Certificates = []tls.Certificate{good}
		return func(p *peer) { p.secure(config); p.say("* OK hi"); p.drain() }
	}
	for name, test := range map[string]struct {
		mode   TLSMode
		config *tls.Config
		script func(*peer)
		want   string
	}{
		"untrusted":  {TLSImplicit, nil, under(good), "certificate signed by unknown authority (use --ca-file, or --tls-pin " + fingerprintOf(good) + " if its owner says that this is its SHA-256)"},
		"other name": {TLSImplicit, trustOther, under(other), "certificate is not for 127.0.0.1 but for mail.example.org, 10.0.0.1 (use the name in the certificate)"},
		"expired":    {TLSImplicit, trustOld, under(old), "certificate has expired: "},
		"too old": {TLSImplicit, trust, by(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}),
			"server has no TLS 1.2 and nothing newer (what is older is not safe"},
		"too old, and goes on": {TLSImplicit, trust, func(p *peer) {
			p.hello()
			hello := append([]byte{tlsHandshake, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1}, make([]byte, 32)...) // RFC 2246 §7.4.1.3
			p.raw(string(append(hello, 0, 0, 0x2f, 0)))
			p.drain()
		}, "server has no TLS 1.2 and nothing newer (what is older is not safe"},
		"wants a certificate": {TLSImplicit, trust, by(&tls.Config{ClientAuth: tls.RequireAnyClientCert}),
			"server refused TLS: certificate required (give it a client certificate: --client-cert)"},
		"wants a certificate, TLS 1.2": {TLSImplicit, trust, by(&tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}),
			"server refused TLS: handshake failure (its TLS may be too old, or want a client certificate: --client-cert)"},
		"not yet": {TLSImplicit, trustSoon, under(soon), "certificate is not valid yet"},
		"plain port": {TLSImplicit, trust, func(p *peer) { p.say("* OK IMAP4rev1 here"); p.drain() },
			"server does not speak TLS on this port (use imap:// for STARTTLS)"},
		"silence": {TLSImplicit, trust, func(p *peer) { p.drain() }, "no answer for 300ms"},
		"gone":    {TLSImplicit, trust, func(p *peer) {}, "during the TLS handshake"},
		"not offered": {TLSStartTLS, trust, func(p *peer) { p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi"); p.quiet() },
			"server does not offer STARTTLS (use imaps://, or --tls none"},
		"refused": {TLSStartTLS, trust, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi")
			p.say(p.hear("STARTTLS") + " NO broken")
			p.quiet()
		}, "starttls: server says NO broken (use imaps://"},
		"refused with BAD": {TLSStartTLS, trust, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi")
			p.say(p.hear("STARTTLS") + " BAD no such command")
			p.quiet()
		}, "starttls: server says BAD no such command (use imaps://"},
		"BYE to STARTTLS": {TLSStartTLS, trust, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi")
			p.hear("STARTTLS")
			p.say("* BYE not today")
			p.quiet()
		}, "server says BYE not today"},
		"BYE for a greeting": {TLSStartTLS, trust, func(p *peer) { p.say("* BYE too many connections"); p.quiet() },
			"greeting: server says BYE too many connections"},
		"in the clear after the OK": {TLSStartTLS, trust, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi")
			p.say(p.hear("STARTTLS") + " OK begin")
			p.hello()
			p.say("* CAPABILITY IMAP4rev1 AUTH=PLAIN")
			if rest, _ := io.ReadAll(p.r); bytes.Contains(rest, []byte("AUTHENTICATE")) || bytes.Contains(rest, []byte("LOGIN")) {
				p.t.Errorf("the client went on: %q", rest)
			}
		}, "server does not speak TLS on this port"},
		"taken out of the offer": {TLSStartTLS, trust, func(p *peer) {
			p.say("* OK hi")
			p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN")
			p.quiet()
		}, "server does not offer STARTTLS (use imaps://, or --tls none"},
		"no way to log in under TLS": {TLSStartTLS, trust, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi")
			p.say(p.hear("STARTTLS") + " OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] begin")
			p.upgrade(good)
			p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED")
			p.quiet()
		}, "server offers no way to log in that can be used here"},
		"untrusted after STARTTLS": {TLSStartTLS, nil, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi")
			p.say(p.hear("STARTTLS") + " OK begin")
			p.upgrade(good)
			p.drain()
		}, "certificate signed by unknown authority (use --ca-file, or --tls-pin " + fingerprintOf(good) + " if its owner says that this is its SHA-256)"},
		"logged in before": {TLSStartTLS, trust, func(p *peer) { p.say("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] in"); p.quiet() },
			"server has logged us in before STARTTLS"},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, test.script)
			d.TLS, d.TLSConfig = test.mode, test.config
			if name == "silence" {
				d.Timeout = 300 * time.Millisecond
			}
			_, err := d.Dial(t.Context())
			oneLine(t, err, test.want)
			var te *TLSError
			other := name == "silence" || name == "gone" || name == "BYE for a greeting" || name == "no way to log in under TLS"
			if isTLS := errors.As(err, &te); isTLS == other {
				t.Errorf("%T", err)
			}
		})
	}
}

// hello reads the first octet of a TLS handshake.
func (p *peer) hello() {
	p.t.Helper()
	if b, err := p.r.ReadByte(); err != nil || b != tlsHandshake {
		p.t.Errorf("the client began with %#x, %v", b, err)
	}
}

// quiet checks that the client says nothing more.
func (p *peer) quiet() {
	p.t.Helper()
	if s := p.line(); s != "" {
		p.t.Errorf("the client went on: %q", s)
	}
}

func TestAHostThatCannotBeReachedSaysWhatToDo(t *testing.T) {
	d := play(t, func(*peer) {})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	_, err = d.Dial(t.Context())
	oneLine(t, err, "connection refused (check host and port: nothing answers there)")

	d.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}}
	}
	_, err = d.Dial(t.Context())
	oneLine(t, err, "unknown host (check the name)")

	d.Timeout = 50 * time.Millisecond
	d.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err = d.Dial(t.Context())
	oneLine(t, err, "no answer for 50ms")
	var ce *ConnError
	if !errors.As(err, &ce) || !ce.Timeout() {
		t.Errorf("%#v", err)
	}
}

func TestATraceShowsTheProtocolAndNoCredential(t *testing.T) {
	for name, script := range map[string]func(*peer){
		"LOGIN": func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] hi")
			tag := p.hear(`LOGIN "alice" "hunter2"`)
			p.say(`* BAD I heard LOGIN "alice" "hunter2"`, tag+" OK in")
		},
		"literal": func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 LITERAL+] hi")
			tag := p.hear(`LOGIN {6+}`)
			p.line()
			p.say(tag + " OK in")
		},
		"AUTHENTICATE": func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi")
			line := p.line()
			tag, said, _ := strings.Cut(line, " ")
			p.say("* BAD I heard "+said, tag+" OK in")
		},
		"AUTHENTICATE in two turns": func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi")
			tag := p.hear("AUTHENTICATE PLAIN")
			p.say("+ ")
			p.say("* BAD I heard "+p.line(), tag+" OK in")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var trace bytes.Buffer
			d := play(t, func(p *peer) {
				script(p)
				p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1 hunter-free")
				p.drain()
			})
			d.Trace = &trace
			user := "alice"
			if name == "literal" {
				user = "älice"
			}
			d.Credentials = func(context.Context) (Credentials, error) {
				return Credentials{User: user, Password: "hunter2"}, nil
			}
			c := dial(t, d)
			c.Close()
			s := trace.String()
			for _, secret := range []string{"hunter2", b64("\x00" + user + "\x00hunter2"), b64("hunter2")} {
				if strings.Contains(s, secret) {
					t.Errorf("the trace holds %q:\n%s", secret, s)
				}
			}
			for _, want := range []string{"1 < * OK [CAPABILITY", "1 > a2 CAPABILITY\n", "1 < * CAPABILITY IMAP4rev1 hunter-free\n", "<secret>"} {
				if !strings.Contains(s, want) {
					t.Errorf("the trace lacks %q:\n%s", want, s)
				}
			}
		})
	}
}
