package imapconn

import (
	"log/slog"
	"sync"
	"time"
)

// Compression says which connections of an account are compressed (COMPRESS=DEFLATE,
// RFC 4978). It is asked at each login: a connection is compressed from there to its
// end or not at all. It may be used by several goroutines. Nil: none is.
type Compression struct {
	always bool

	mu   sync.Mutex // held briefly; nothing is locked inside it
	gain gain
	said bool
}

// CompressAlways compresses each connection to a server that offers it. Where it does
// not, or refuses, that is said once, and the connections are used as they are.
func CompressAlways() *Compression { return &Compression{always: true} }

// CompressWhereItPays compresses the connections that are made after a line has proved
// to be slow, as long as texts come faster so (gain.go). A server that does not offer
// it, or refuses, is asked no more.
func CompressWhereItPays() *Compression { return new(Compression) }

// wanted reports whether a new connection is to be compressed.
func (z *Compression) wanted() bool {
	if z == nil {
		return false
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.always || z.gain.expected()
}

// lacking takes note of a server that does not compress, and says so once.
func (z *Compression) lacking(log *slog.Logger, why error) {
	z.mu.Lock()
	said := z.said
	z.said, z.gain.over = true, true
	z.mu.Unlock()
	switch {
	case said:
	case z.always:
		log.Warn("connections are not compressed", "err", why)
	default:
		log.Info("connections are not compressed", "err", why)
	}
}

// measured is told of texts that came one upon another over one connection.
func (z *Compression) measured(log *slog.Logger, octets int64, took time.Duration, compressed bool) {
	if z == nil || z.always {
		return
	}
	z.mu.Lock()
	before := z.gain.expected()
	z.gain.measured(octets, took, compressed)
	now, plain, packed := z.gain.expected(), z.gain.plain.perSecond(), z.gain.packed.perSecond()
	z.mu.Unlock()
	if now != before {
		log.Info("whether compression pays was measured", "new_connections_compressed", now,
			"plain_octets_a_second", int64(plain), "compressed_octets_a_second", int64(packed))
	}
}
