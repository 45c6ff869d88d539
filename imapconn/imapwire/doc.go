// Package imapwire turns the octets of IMAP into values and back (RFC 3501 §9).
// It does no I/O but through the reader a [Decoder] is given, has no clock and
// starts no goroutine.
//
// A Decoder reads responses; an [Encoder] builds commands; a [FlagTable] shares
// flag lists; [UIDSet], [Caps] and [Code] are values. Every size that a server
// names is held against a limit before memory is taken (limits.go).
package imapwire
