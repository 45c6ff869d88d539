package imapconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"
)

// Alerts of RFC 8446 §6.2 that have a way out.
const (
	alertProtocolVersion     = tls.AlertError(70)
	alertCertificateRequired = tls.AlertError(116)
)

// tlsError gives each way in which a handshake fails its own words and way out.
func tlsError(addr, host string, err error) error {
	var (
		certificate *tls.CertificateVerificationError
		unpinned    unpinnedError
		record      tls.RecordHeaderError
	)
	alert, isAlert := remoteAlert(err)
	e := &TLSError{Addr: addr, Err: err}
	switch {
	case errors.As(err, &unpinned):
		e.Hint = "somebody may stand in between; if its owner says that it is new, use --tls-pin with it"
	case errors.As(err, &certificate):
		e.Hint, e.Err = certificateError(host, certificate)
	case errors.As(err, &record):
		e.Err = &plainError{"server does not speak TLS on this port", err}
		e.Hint = "use imap:// for STARTTLS"
	case tooOld(err, alert):
		e.Err = &plainError{"server has no TLS 1.2 and nothing newer", err}
		e.Hint = "what is older is not safe: its owner has to renew it"
	case isAlert:
		return alertError(addr, alert, err)
	default:
		return &ConnError{Addr: addr, Err: plainly(err), Hint: "during the TLS handshake; does the port expect TLS?"}
	}
	return e
}

// certificateError says which check a certificate has failed, and the way out.
func certificateError(host string, err *tls.CertificateVerificationError) (hint string, cause error) {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	trust := "use --ca-file, or --tls-pin " + fingerprint(err.UnverifiedCertificates[0]) + " if its owner says that this is its SHA-256"
	switch {
	case errors.As(err, &authority):
		return trust, &plainError{"certificate signed by unknown authority", err}
	case errors.As(err, &name):
		return "use the name in the certificate",
			&plainError{"certificate is not for " + host + " but for " + certificateNames(name.Certificate), err}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().After(invalid.Cert.NotAfter):
		return "tell the server's owner, and check this computer's clock",
			&plainError{"certificate has expired: " + validity(invalid.Cert), err}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "check this computer's clock", &plainError{"certificate is not valid yet: " + validity(invalid.Cert), err}
	}
	return trust, &plainError{strings.TrimPrefix(err.Err.Error(), "x509: "), err}
}

// alertError is what the server has said against us. Under TLS 1.3 it says so after
// the handshake.
func alertError(addr string, alert tls.AlertError, err error) *TLSError {
	e := &TLSError{Addr: addr, Err: &plainError{"server refused TLS: " + strings.TrimPrefix(alert.Error(), "tls: "), err}}
	e.Hint = "its TLS may be too old, or want a client certificate: --client-cert"
	if alert == alertCertificateRequired {
		e.Hint = "give it a client certificate: --client-cert"
	}
	return e
}

// remoteAlert finds the alert that the other side has sent. Package tls has a type
// for it that is told by its words only.
func remoteAlert(err error) (tls.AlertError, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	for n := range 256 {
		if alert := tls.AlertError(n); alert.Error() == op.Err.Error() {
			return alert, true
		}
	}
	return 0, false
}

// tooOld reports whether both sides have no version of TLS in common. A server says
// so itself, or goes on in its own version, for which package tls has words only.
func tooOld(err error, alert tls.AlertError) bool {
	return alert == alertProtocolVersion || strings.Contains(err.Error(), "server selected unsupported protocol version")
}

// certificateNames lists whom a certificate is for, at most three.
func certificateNames(cert *x509.Certificate) string {
	var names []string
	for _, name := range cert.DNSNames {
		names = append(names, strings.Trim(strconv.QuoteToASCII(name), `"`)) // the server's words
	}
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return "no host"
	case len(names) > 3:
		names = append(names[:3:3], "…")
	}
	return strings.Join(names, ", ")
}

// validity is the time in which a certificate holds.
func validity(cert *x509.Certificate) string {
	return cert.NotBefore.Format(time.DateOnly) + " to " + cert.NotAfter.Format(time.DateOnly)
}
