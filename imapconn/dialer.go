package imapconn

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// TLSMode says how a connection is protected.
type TLSMode int

const (
	// TLSImplicit begins with the TLS handshake, on port 993 as a rule
	// (RFC 8314 §3.2).
	TLSImplicit TLSMode = iota
	// TLSStartTLS begins in the clear, on port 143 as a rule, and says nothing
	// of weight before STARTTLS was accepted (RFC 3501 §6.2.1). There is no
	// falling back.
	TLSStartTLS
	// TLSNone sends everything in the clear, the password too: the user said so.
	TLSNone
)

// DefaultTimeout is what Dialer.Timeout means where it is 0.
const DefaultTimeout = 30 * time.Second

// Dialer holds what is needed to reach one account. It is not changed after
// its first use; Dial may be called by several goroutines.
type Dialer struct {
	Host string
	Port int
	TLS  TLSMode
	// TLSConfig is cloned at each connect. Nil means the system's roots and
	// Host as the name in the certificate. TLS is 1.2 at least, whatever it says.
	TLSConfig *tls.Config
	// Pins are the server's certificates, one of which it must have. They are believed
	// without an authority, a name or a date; where TLSConfig has RootCAs these must
	// agree as well.
	Pins []Pin
	// Mechanism is the only way in which to log in, one of Mechanisms in any case.
	// Empty: the best that the server offers and the credentials serve for.
	Mechanism string
	// Credentials is asked at each connect, so that a token can be renewed.
	Credentials func(context.Context) (Credentials, error)
	// Trace receives the protocol, both ways, line by line, each with the
	// number of its connection; credentials are blanked. Calls are serialised.
	Trace io.Writer
	// Logger receives what the server wants the user to know. Nil: nothing.
	Logger *slog.Logger
	// Timeout is how long no octet may move while an answer is owed; then the
	// connection is dead. 0 means DefaultTimeout.
	Timeout time.Duration
	// Traffic counts what moves on all connections. Nil: nobody asks.
	Traffic *Traffic
	// Bandwidth bounds what moves on all connections together. Nil: nothing does.
	Bandwidth *Bandwidth
	// Compression says which connections are compressed. Nil: none.
	Compression *Compression
	// DialContext replaces net.Dialer, for tests and proxies. It may be called by
	// several goroutines, and once more while a call has no answer. Keep-alive and
	// the kernel's time limit are set where it returns a *net.TCPConn.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex // guards conns and each write to Trace; nothing is locked inside it
	conns int
}
