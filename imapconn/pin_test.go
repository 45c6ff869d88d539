package imapconn

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// fingerprintOf is what openssl x509 -fingerprint -sha256 prints, without its colons.
func fingerprintOf(cert tls.Certificate) string {
	sum := sha256.Sum256(cert.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// A pinned certificate needs no authority, name or date; another is refused however
// good it is, and nothing is said to it.
func TestAPinnedCertificateIsTheOnlyOneBelieved(t *testing.T) {
	self, trust := certificate(t, time.Hour, "127.0.0.1")
	foreign, _ := certificate(t, -time.Hour, "mail.example.org")
	pin := func(certs ...tls.Certificate) (pins []Pin) {
		for _, c := range certs {
			p, err := ParsePin(fingerprintOf(c))
			if err != nil {
				t.Fatal(err)
			}
			pins = append(pins, p)
		}
		return pins
	}
	unpinned := "certificate is not the one that is pinned: its SHA-256 is " + fingerprintOf(self) + " (somebody may stand in between"
	for name, test := range map[string]struct {
		cert   tls.Certificate
		config *tls.Config
		pins   []Pin
		want   string // the error; empty: none
	}{
		"its own authority":              {self, nil, pin(self), ""},
		"another name, expired":          {foreign, nil, pin(foreign), ""},
		"one of two":                     {self, nil, pin(foreign, self), ""},
		"and an authority":               {self, trust, pin(self), ""},
		"and an authority that is not":   {foreign, trust, pin(foreign), "certificate has expired"},
		"another":                        {self, nil, pin(foreign), unpinned},
		"another, with a good authority": {self, trust, pin(foreign), unpinned},
	} {
		for _, mode := range []TLSMode{TLSImplicit, TLSStartTLS} {
			t.Run(name+map[TLSMode]string{TLSImplicit: "", TLSStartTLS: ", STARTTLS"}[mode], func(t *testing.T) {
				d := play(t, func(p *peer) {
					if mode == TLSStartTLS {
						p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi")
						p.say(p.hear("STARTTLS") + " OK begin")
						p.upgrade(test.cert)
						if test.want != "" {
							p.quiet()
							return
						}
						p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1")
					} else {
						p.upgrade(test.cert)
						p.say("* OK [CAPABILITY IMAP4rev1] hi")
						if test.want != "" {
							p.quiet()
							return
						}
					}
					p.say(p.hear(`LOGIN "alice" "secret"`) + " OK [CAPABILITY IMAP4rev1] in")
					p.drain()
				})
				d.TLS, d.TLSConfig, d.Pins = mode, test.config, test.pins
				if test.want == "" {
					dial(t, d)
					return
				}
				_, err := d.Dial(t.Context())
				oneLine(t, err, test.want)
				var te *TLSError
				if !errors.As(err, &te) {
					t.Errorf("%T", err)
				}
			})
		}
	}
}

func TestParsePin(t *testing.T) {
	digits := strings.Repeat("aB", 32)
	colons := strings.TrimSuffix(strings.Repeat("Ab:", 32), ":")
	for s, ok := range map[string]bool{
		digits: true, colons: true, digits[2:]: false, digits + "00": false, "": false, "x" + digits[1:]: false, ":": false,
	} {
		if p, err := ParsePin(s); (err == nil) != ok || ok && p.String() != strings.ToLower(digits) {
			t.Errorf("%q: %v, %v", s, p, err)
		}
	}
}
