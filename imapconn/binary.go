package imapconn

import "imapfs/imapconn/imapwire"

// binaryLiteral announces a text that holds NUL, as the literal8 of BINARY
// (RFC 3516 §4.4), and reports whether the server's + must be waited for.
// LITERAL+ lets it go at once (RFC 4466 §2.1), LITERAL- says nothing of it.
func binaryLiteral(e *imapwire.Encoder, size int64) (waits bool) {
	e.Raw("~")
	return e.Announce(size, size <= maxAtOnce && e.Mode == imapwire.NonSync)
}
