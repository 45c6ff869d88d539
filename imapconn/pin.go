package imapconn

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// Pin is the SHA-256 of a server's own certificate, of its DER form: what
// `openssl x509 -fingerprint -sha256` prints. It changes when the certificate is
// renewed, with or without a new key.
type Pin [sha256.Size]byte

// ParsePin reads 64 hex digits, in any case, with or without colons.
func ParsePin(s string) (Pin, error) {
	digits, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(digits) != sha256.Size {
		return Pin{}, errors.New("a pin has 64 hex digits: the SHA-256 of the certificate, as openssl x509 -fingerprint -sha256 prints it")
	}
	return Pin(digits), nil
}

// String is the pin as ParsePin reads it.
func (p Pin) String() string { return hex.EncodeToString(p[:]) }

// fingerprint is the pin of a certificate, for errors.
func fingerprint(cert *x509.Certificate) string { return Pin(sha256.Sum256(cert.Raw)).String() }

// unpinnedError is a certificate that is none of those that are pinned.
type unpinnedError struct{ got string }

func (e unpinnedError) Error() string {
	return "certificate is not the one that is pinned: its SHA-256 is " + e.got
}

// pin has the certificate of the server compared. Who pins one knows it: neither its
// authority nor its name nor its date is looked at, unless authorities are named, too.
func (d *Dialer) pin(cfg *tls.Config) {
	cfg.InsecureSkipVerify = cfg.RootCAs == nil // VerifyConnection is asked in any case
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		leaf := state.PeerCertificates[0]
		if slices.Contains(d.Pins, Pin(sha256.Sum256(leaf.Raw))) {
			return nil
		}
		return unpinnedError{fingerprint(leaf)}
	}
}
