package imapconn

import "github.com/emersion/go-sasl"

// certified reports whether the connection has a client certificate to show.
func certified(c *Client, d *Dialer, _ Credentials) bool {
	return c.tls.Load() != nil && d.TLSConfig != nil &&
		(len(d.TLSConfig.Certificates) > 0 || d.TLSConfig.GetClientCertificate != nil)
}

// external logs in by the certificate of the TLS connection (RFC 4422 appendix A).
// The user is named, so that a certificate of somebody else's is refused and does
// not open another mailbox.
func external(c *Client, _ *Dialer, cred Credentials) (*attempt, error) {
	return c.authenticate(sasl.NewExternalClient(cred.User), nil)
}
