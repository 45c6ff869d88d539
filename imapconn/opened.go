package imapconn

import "crypto/tls"

// Login is how a connection was logged in.
type Login struct {
	// Offered is what the server offered before the login: the mechanisms are among
	// it, as AUTH=PLAIN (RFC 3501 §7.2.1), and LOGINDISABLED.
	Offered Caps
	// Mechanism is the one of SASL that was used, or LOGIN; empty: the server had
	// logged us in already (PREAUTH).
	Mechanism string
}

// Login says how the connection was logged in.
func (c *Client) Login() Login {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.login
}

// TLS is what the handshake agreed upon, the server's certificates among it; nil: the
// connection is in the clear.
func (c *Client) TLS() *tls.ConnectionState { return c.tls.Load() }
