package imapconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// handshake makes a TLS connection of conn, within the time limit.
func (d *Dialer) handshake(ctx context.Context, c *Client, conn net.Conn) (net.Conn, error) {
	cfg := &tls.Config{}
	if d.TLSConfig != nil {
		cfg = d.TLSConfig.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = d.Host
	}
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	tc := tls.Client(conn, cfg)
	err := tc.HandshakeContext(within)
	switch {
	case err == nil:
		state := tc.ConnectionState()
		c.tls.Store(&state)
		return tc, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("connect to %s: %w", c.addr, ctx.Err())
	case within.Err() != nil:
		return nil, &ConnError{Addr: c.addr, Err: errSilent{c.timeout}, Hint: "the port may expect no TLS: try imap://"}
	}
	return nil, tlsError(c.addr, d.Host, err)
}

// tlsError gives each way in which a handshake fails its own words and way out.
func tlsError(addr, host string, err error) error {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	e := &TLSError{Addr: addr, Err: err}
	switch {
	case errors.As(err, &authority):
		e.Err = &plainError{"certificate signed by unknown authority", err}
		e.Hint = "use --ca-file"
	case errors.As(err, &name):
		e.Err = &plainError{"certificate is not for " + host + " but for " + certificateNames(name.Certificate), err}
		e.Hint = "use the name in the certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Err = &plainError{"certificate has expired or is not valid yet: " + validity(invalid.Cert), err}
		e.Hint = "check this computer's clock, or tell the server's owner"
	case errors.As(err, &record):
		e.Err = &plainError{"server does not speak TLS on this port", err}
		e.Hint = "use imap:// for STARTTLS"
	case errors.As(err, &alert):
		e.Err = &plainError{"server refused TLS: " + alert.Error(), err}
		e.Hint = "its TLS may be too old or want a client certificate"
	default:
		var certificate *tls.CertificateVerificationError
		if !errors.As(err, &certificate) {
			return &ConnError{Addr: addr, Err: plainly(err), Hint: "during the TLS handshake; does the port expect TLS?"}
		}
		e.Err = &plainError{strings.TrimPrefix(certificate.Err.Error(), "x509: "), err}
		e.Hint = "use --ca-file"
	}
	return e
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
