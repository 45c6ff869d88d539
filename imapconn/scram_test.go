package imapconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"
)

// scramServer is the other side, by package scram.
func scramServer(t testing.TB, hash scram.HashGeneratorFcn, password string, iterations int) *scram.Server {
	t.Helper()
	stored := func(user string) (scram.StoredCredentials, error) {
		client, err := hash.NewClientUnprepped(user, password, "")
		if err != nil {
			return scram.StoredCredentials{}, err
		}
		return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt and pepper", Iters: iterations})
	}
	server, err := hash.NewServer(stored)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// response reads a line of an AUTHENTICATE and decodes it.
func (p *peer) response() string {
	p.t.Helper()
	text, err := base64.StdEncoding.DecodeString(p.line())
	if err != nil {
		p.t.Errorf("a response: %v", err)
	}
	return string(text)
}

// scram plays the server's side with mech up to where the client has answered the
// last message, and returns the tag and the client's first message; the proof, its
// last, goes to *proof where that is asked for.
func (p *peer) scram(mech string, conv *scram.ServerConversation, proof ...*string) (tag, first string) {
	p.t.Helper()
	tag = p.hear("AUTHENTICATE " + mech)
	p.say("+ ")
	first = p.response()
	for message := first; ; message = p.response() {
		said, err := conv.Step(message)
		if err != nil {
			p.t.Logf("the server: %v", err)
		}
		p.say("+ " + b64(said))
		if conv.Done() {
			for _, want := range proof {
				*want = message
			}
			return tag, first
		}
	}
}

func TestSCRAMLogsInAndSaysWhatItBindsTo(t *testing.T) {
	cert, trust := certificate(t, time.Hour, "127.0.0.1")
	const both = " AUTH=PLAIN AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256"
	for name, test := range map[string]struct {
		offer     string
		version   uint16 // of TLS; 0: in the clear
		mechanism string // forced
		password  string
		want      string // the mechanism
		binds     string // how the client begins
	}{
		"in the clear":              {both, 0, "", "secret", "SCRAM-SHA-256", "n,,"},
		"in the clear, PLUS":        {both + " AUTH=SCRAM-SHA-256-PLUS", 0, "", "secret", "SCRAM-SHA-256", "n,,"},
		"SHA-1":                     {" AUTH=PLAIN AUTH=SCRAM-SHA-1", 0, "", "secret", "SCRAM-SHA-1", "n,,"},
		"PLUS was not offered":      {both, tls.VersionTLS13, "", "secret", "SCRAM-SHA-256", "y,,"},
		"PLUS, TLS 1.3":             {both + " AUTH=SCRAM-SHA-256-PLUS", tls.VersionTLS13, "", "secret", "SCRAM-SHA-256-PLUS", "p=tls-exporter,,"},
		"PLUS, TLS 1.2":             {both + " AUTH=SCRAM-SHA-256-PLUS", tls.VersionTLS12, "", "secret", "SCRAM-SHA-256-PLUS", "p=tls-unique,,"},
		"PLUS is not wanted":        {both + " AUTH=SCRAM-SHA-256-PLUS", tls.VersionTLS13, "scram-sha-256", "secret", "SCRAM-SHA-256", "n,,"},
		"PLUS of another":           {both + " AUTH=SCRAM-SHA-1-PLUS", tls.VersionTLS13, "", "secret", "SCRAM-SHA-256", "n,,"},
		"the weaker is wanted":      {both, 0, "scram-sha-1", "secret", "SCRAM-SHA-1", "n,,"},
		"a password without a prep": {both, 0, "", "sécret 🔑", "SCRAM-SHA-256", "n,,"},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, func(p *peer) {
				if test.version != 0 {
					p.secure(&tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: test.version})
				}
				p.say("* OK [CAPABILITY IMAP4rev1" + test.offer + "] hi")
				hash := scram.SHA256
				if test.want == scramSHA1 {
					hash = scram.SHA1
				}
				server := scramServer(t, hash, test.password, 4096)
				conv := server.NewConversation()
				if conn, secure := p.conn.(*tls.Conn); secure && strings.HasPrefix(test.binds, "p=") {
					state := conn.ConnectionState()
					binding := scram.NewTLSUniqueBinding(state.TLSUnique)
					if test.version == tls.VersionTLS13 {
						binding, _ = scram.NewTLSExporterBinding(&state)
					}
					conv = server.NewConversationWithChannelBindingRequired(binding)
				}
				tag, first := p.scram(test.want, conv)
				if !strings.HasPrefix(first, test.binds+"n=alice,r=") {
					t.Errorf("the client began with %q", first)
				}
				p.want("")
				p.say(tag + " OK [CAPABILITY IMAP4rev1] in")
				if !conv.Valid() {
					t.Error("the server does not believe the client")
				}
				p.drain()
			})
			if test.version != 0 {
				d.TLS, d.TLSConfig = TLSImplicit, trust
			}
			d.Mechanism = test.mechanism
			d.Credentials = func(context.Context) (Credentials, error) {
				return Credentials{User: "alice", Password: test.password}, nil
			}
			dial(t, d)
		})
	}
}

// An impostor that has no password lets everybody in: that is where SCRAM looks.
func TestASCRAMServerThatProvesNothingIsRefused(t *testing.T) {
	const impostor = "login as alice at 127.0.0.1: server does not prove that it knows the password (it may be an impostor"
	begin := func(p *peer, iterations int) (tag, nonce string) {
		tag = p.hear("AUTHENTICATE SCRAM-SHA-256")
		p.say("+ ")
		_, nonce, _ = strings.Cut(p.response(), "r=")
		p.say("+ " + b64(fmt.Sprintf("r=%sserver,s=c2FsdA==,i=%d", nonce, iterations)))
		return tag, nonce
	}
	for name, test := range map[string]struct {
		script func(*peer)
		want   string
	}{
		"a wrong signature": {func(p *peer) {
			tag, _ := begin(p, 4096)
			p.response()
			p.say("+ " + b64("v=d3Jvbmc="))
			p.want("*")
			p.say(tag + " OK come in")
		}, impostor},
		"a wrong signature, then NO": {func(p *peer) {
			tag, _ := begin(p, 4096)
			p.response()
			p.say("+ " + b64("v=d3Jvbmc="))
			p.want("*")
			p.say(tag + " NO cancelled")
		}, impostor},
		"OK in the place of the signature": {func(p *peer) {
			tag, _ := begin(p, 4096)
			p.response()
			p.say(tag + " OK come in")
		}, impostor},
		"OK at once": {func(p *peer) { p.say(p.hear("AUTHENTICATE SCRAM-SHA-256") + " OK come in") }, impostor},
		"OK with the error": {func(p *peer) {
			tag, _ := begin(p, 4096)
			p.response()
			p.say("+ " + b64("e=invalid-proof"))
			p.want("*")
			p.say(tag + " OK come in")
		}, "server refuses the password"},
		"the error": {func(p *peer) {
			tag, _ := begin(p, 4096)
			p.response()
			p.say("+ " + b64("e=invalid-proof"))
			p.want("*")
			p.say(tag + " NO [AUTHENTICATIONFAILED] wrong")
		}, "server says NO [AUTHENTICATIONFAILED] wrong (check user and password)"},
		"no, as Dovecot says it": {func(p *peer) {
			tag, _ := begin(p, 4096)
			p.say(tag + " NO [AUTHENTICATIONFAILED] I heard " + p.line())
		}, "server says NO [AUTHENTICATIONFAILED] I heard <secret> (check user and password)"},
		"another nonce": {func(p *peer) {
			tag := p.hear("AUTHENTICATE SCRAM-SHA-256")
			p.say("+ ")
			p.response()
			p.say("+ " + b64("r=mine,s=c2FsdA==,i=4096"))
			p.want("*")
			p.say(tag + " BAD cancelled")
		}, "SCRAM-SHA-256: server nonce did not extend client nonce"},
		"too few iterations": {func(p *peer) {
			tag, _ := begin(p, 1)
			p.want("*")
			p.say(tag + " BAD cancelled")
		}, "server requested too few iterations (1)"},
		"iterations without end": {func(p *peer) {
			tag, _ := begin(p, 1<<31-1)
			p.want("*")
			p.say(tag + " BAD cancelled")
		}, "server wants the password hashed 2147483647 times"},
	} {
		t.Run(name, func(t *testing.T) {
			d := play(t, func(p *peer) {
				p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=SCRAM-SHA-256] hi")
				test.script(p)
				p.quiet()
			})
			_, err := d.Dial(t.Context())
			oneLine(t, err, test.want)
			var auth *AuthError
			if !errors.As(err, &auth) {
				t.Errorf("%T", err)
			}
		})
	}
}

// A man in the middle with a certificate that we trust passes everything on: what
// the client binds to is his connection and not the server's.
func TestSCRAMPlusRefusesAManInTheMiddle(t *testing.T) {
	cert, trust := certificate(t, time.Hour, "127.0.0.1")
	d := play(t, func(p *peer) {
		p.secure(&tls.Config{Certificates: []tls.Certificate{cert}})
		p.say("* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256-PLUS] hi")
		elsewhere := scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: make([]byte, 32)}
		conv := scramServer(t, scram.SHA256, "secret", 4096).NewConversationWithChannelBindingRequired(elsewhere)
		tag, _ := p.scram(scramSHA256Plus, conv)
		p.want("*")
		if conv.Valid() {
			t.Error("the server believes the client")
		}
		p.say(tag + " NO [AUTHENTICATIONFAILED] wrong")
		p.quiet()
	})
	d.TLS, d.TLSConfig = TLSImplicit, trust
	_, err := d.Dial(t.Context())
	oneLine(t, err, "somebody stands between here and the server")
}

// With the challenge and the server's signature one could guess at the password: a
// trace has neither.
func TestATraceOfSCRAMIsNothingToGuessBy(t *testing.T) {
	var trace bytes.Buffer
	d := play(t, func(p *peer) {
		p.say("* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256] hi")
		var proof string
		tag, first := p.scram(scramSHA256, scramServer(t, scram.SHA256, "secret", 4096).NewConversation(), &proof)
		p.want("")
		p.say("* BAD I heard "+b64(first)+" and "+b64(proof), tag+" OK [CAPABILITY IMAP4rev1] in")
		p.answer("NOOP")
		p.drain()
	})
	d.Trace = &trace
	c := dial(t, d)
	if err := c.Noop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	want := `1 < * OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256] hi
1 > a1 AUTHENTICATE SCRAM-SHA-256
1 < + <secret>
1 > <secret>
1 < + <secret>
1 > <secret>
1 < + <secret>
1 > <secret>
1 < * BAD I heard <secret> and <secret>
1 < a1 OK [CAPABILITY IMAP4rev1] in
1 > a2 NOOP
1 < a2 OK done
`
	if got := trace.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// A server that binds in another way says nothing of the password: SCRAM without
// binding comes next, unless PLUS was asked for by name.
func TestAServerThatBindsInAnotherWayIsLoggedInToWithout(t *testing.T) {
	cert, trust := certificate(t, time.Hour, "127.0.0.1")
	for name, refuse := range map[string]func(p *peer, tag, nonce string){
		"as RFC 5802 says it": func(p *peer, tag, _ string) {
			p.say("+ " + b64("e=unsupported-channel-binding-type"))
			p.want("*")
			p.say(tag + " NO cancelled")
		},
		"as Cyrus says it": func(p *peer, tag, nonce string) {
			p.say("+ " + b64("r="+nonce+"more,s=c2FsdA==,i=4096"))
			p.line()
			p.say(tag + " NO bad protocol / cancel")
		},
	} {
		for _, forced := range []string{"", "SCRAM-SHA-256-PLUS"} {
			t.Run(name+" "+forced, func(t *testing.T) {
				d := play(t, func(p *peer) {
					p.secure(&tls.Config{Certificates: []tls.Certificate{cert}})
					p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS] hi")
					tag := p.hear("AUTHENTICATE SCRAM-SHA-256-PLUS")
					p.say("+ ")
					first := p.response()
					_, nonce, _ := strings.Cut(first, "r=")
					refuse(p, tag, nonce)
					if forced != "" {
						p.quiet()
						return
					}
					p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS")
					conv := scramServer(t, scram.SHA256, "secret", 4096).NewConversation()
					tag, first = p.scram(scramSHA256, conv)
					if !strings.HasPrefix(first, "n,,") {
						t.Errorf("the client began with %q", first)
					}
					p.want("")
					p.say(tag + " OK [CAPABILITY IMAP4rev1] in")
					p.drain()
				})
				d.TLS, d.TLSConfig, d.Mechanism = TLSImplicit, trust, forced
				if forced == "" {
					dial(t, d)
					return
				}
				_, err := d.Dial(t.Context())
				oneLine(t, err, "server binds a login to TLS in another way")
				oneLine(t, err, "(use --auth scram-sha-256, which does not bind)")
			})
		}
	}
}
