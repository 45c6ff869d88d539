// Package testdata holds the sample mail that `imapfs demo` and the tests
// share. All of it was written for this project; nobody in it is real.
//
// On the disk a text has bare line feeds, so that it reads well in an editor;
// Messages gives it as it travels, with CRLF.
package testdata

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/mail"
	"path"
	"strings"
	"time"
)

//go:embed mail transcripts
var files embed.FS

// Message is a message and where it belongs.
type Message struct {
	Mailbox string // decoded, its levels separated by '/'
	Text    []byte // as on the wire
	Flags   []string
	Date    time.Time // the INTERNALDATE
}

// BigSubject is the subject of the message of some megabytes.
const BigSubject = "The whole album"

// Messages is a small account: a nested tree of mailboxes, one of them with a
// non-ASCII name; plain, multipart and encoded texts, attachments, and in INBOX
// one message of about 3 MB. Each mailbox's messages are in order.
func Messages() []Message {
	var messages []Message
	err := fs.WalkDir(files, "mail", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		messages = append(messages, message(strings.TrimPrefix(path.Dir(name), "mail/"), crlf(text)))
		return nil
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	return append(messages, message("INBOX", big()))
}

// message takes the date from the header. What is of 2025's first two months
// was read, and the invoice is flagged.
func message(mailbox string, text []byte) Message {
	parsed, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	date, err := parsed.Header.Date()
	if err != nil {
		panic(err)
	}
	m := Message{Mailbox: mailbox, Text: text, Date: date}
	if date.Before(time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)) {
		m.Flags = append(m.Flags, `\Seen`)
	}
	if strings.HasPrefix(parsed.Header.Get("Subject"), "Your invoice") {
		m.Flags = append(m.Flags, `\Flagged`)
	}
	return m
}

func crlf(text []byte) []byte {
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

// bigOctets is the size of the big message's attachment before base64.
const bigOctets = 2_200_000

// big makes a message with an attachment of noise, the same at every call.
func big() []byte {
	noise := make([]byte, bigOctets)
	state := uint32(2463534242)
	for i := range noise {
		state ^= state << 13 // xorshift32
		state ^= state >> 17
		state ^= state << 5
		noise[i] = byte(state)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `From: Carla =?utf-8?q?Mu=C3=B1oz?= <carla@example.com>
To: Alice Archer <alice@example.org>
Subject: %s
Date: Sun, 09 Mar 2025 20:00:00 +0100
Message-ID: <album@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="album"

--album
Content-Type: text/plain; charset=us-ascii

All pictures, in one piece. Mind your quota.

--album
Content-Type: application/octet-stream; name="album.bin"
Content-Disposition: attachment; filename="album.bin"
Content-Transfer-Encoding: base64

`, BigSubject)
	encoded := base64.StdEncoding.EncodeToString(noise)
	for len(encoded) > 0 {
		n := min(76, len(encoded))
		b.WriteString(encoded[:n])
		b.WriteByte('\n')
		encoded = encoded[n:]
	}
	b.WriteString("\n--album--\n")
	return crlf(b.Bytes())
}

// Nasty is what real mailboxes hold besides good mail, each text as it is to be
// on the wire. A mount shows them octet for octet.
func Nasty() map[string][]byte {
	const header = "From: Mallory <m@example.org>\r\nSubject: nasty\r\n"
	return map[string][]byte{
		"bare-cr":           []byte(header + "\r\none\rtwo\rthree\r\n"),
		"no-final-eol":      []byte(header + "\r\nthe end"),
		"no-blank-line":     []byte(header),
		"header-cut-short":  []byte("From: Mallory <m@example.org>\r\nSubject: nas"),
		"empty-body":        []byte(header + "\r\n"),
		"blank-first-line":  []byte("\r\nno header at all\r\n"),
		"8-bit-header":      []byte("From: M\xfcller <m@example.org>\r\nSubject: Gr\xfc\xdfe\r\n\r\nLatin-1 in the header\r\n"),
		"broken-utf-8":      []byte(header + "\r\n\xff\xfe\xc3\x28\r\n"),
		"long-line":         []byte(header + "\r\n" + strings.Repeat("0123456789", 10_000) + "\r\n"),
		"long-header":       []byte("From: m@example.org\r\nX-Long: " + strings.Repeat("x", 9_000) + "\r\nSubject: nasty\r\n\r\nhi\r\n"),
		"lone-dot":          []byte(header + "\r\n.\r\n..\r\n.\r\n"),
		"mbox-from-first":   []byte("From m@example.org Sat Jan  1 00:00:00 2000\r\n" + header + "\r\nFrom here on\r\n>From there\r\n"),
		"looks-like-imap":   []byte(header + "\r\n)\r\na1 OK done\r\n* 1 EXPUNGE\r\n{5}\r\n"),
		"unfinished-parts":  []byte(header + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\ncut"),
		"same-header-twice": []byte(header + "Subject: again\r\nMessage-ID: <a@b>\r\nMessage-ID: <a@b>\r\n\r\ntwice\r\n"),
	}
}
