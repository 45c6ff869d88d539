package imapconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
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
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	if len(d.Pins) > 0 {
		d.pin(cfg)
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
