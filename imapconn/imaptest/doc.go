// Package imaptest provides IMAP servers, and a network between, for tests, in
// the manner of net/http/httptest.
//
//   - Memory is the in-memory server of emersion/go-imap: quick, with no files.
//     `imapfs demo` runs it too.
//   - Dovecot is a real one, in a directory of its own, on free ports.
//   - Scripted does what no good server does on request: sizes that lie, texts
//     of messages that are gone, listings cut in the middle.
//   - Large has as many messages and mailboxes as one likes, made up as they are
//     asked for; with CONDSTORE and QRESYNC if told so.
//   - Strict is a server of RFC 1730 and of nothing newer, by the letter of its
//     grammar, with what that permits and few expect.
//   - Transcript plays a file: what a server of some name was seen to say.
//   - Hostile is driven by a fuzzer and lies in the grammar of IMAP.
//   - Proxy stands before any of them, counts octets and round trips, delays,
//     cuts, stalls and refuses.
//
// All but Hostile, which is a pipe, listen on 127.0.0.1 only; they end with the test. Dovecot needs root and
// the package dovecot-imapd; without them the test fails and says so.
package imaptest
