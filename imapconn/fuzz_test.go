package imapconn

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzSession plays octets to a Client that goes through all its commands: a
// part up to \x1e after each line that the client says, in pieces of cut octets,
// then the end. The Client must end with an error, whatever was sent: no panic,
// no waiting for ever, no more text than there were octets.
func FuzzSession(f *testing.F) {
	f.Add([]byte("* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n\x1e"), byte(0))
	f.Add([]byte(changed(true)), byte(0))
	f.Add([]byte(changed(false)), byte(0))
	f.Add([]byte(qresyncSession), byte(0))
	f.Add([]byte("* PREAUTH [CAPABILITY IMAP4rev1 NOTIFY LIST-STATUS LIST-EXTENDED] hi\r\n\x1e* LIST () \"/\" INBOX\r\na1 OK\r\n\x1e"+
		"* STATUS INBOX (MESSAGES 1)\r\na2 OK\r\n\x1e* STATUS a (MESSAGES 1)\r\na3 OK\r\na4 NO\r\n\x1e"+
		"* LIST () \"/\" a\r\n* STATUS a (MESSAGES 1 HIGHESTMODSEQ 9)\r\na5 OK\r\n\x1ea6 NO [BADEVENT FlagChange] no\r\n\x1e"+
		"* LIST (\\NonExistent) \".\" b (\"OLDNAME\" ({1}\r\na))\r\na7 OK\r\n* STATUS b (HIGHESTMODSEQ 7)\r\n* OK [NOTIFICATIONOVERFLOW] no more\r\n"), byte(0))
	f.Fuzz(func(t *testing.T, sent []byte, cut byte) {
		near, far := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			playParts(far, bytes.Split(sent, []byte{0x1e}), int(cut), 2*time.Millisecond)
		}()
		d := &Dialer{
			Host: "fuzz", TLS: TLSNone, Timeout: 5 * time.Second,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
			Credentials: func(context.Context) (Credentials, error) { return Credentials{User: "u", Password: "p"}, nil },
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		octets := 0
		if c, err := d.Dial(ctx); err == nil {
			octets = everything(ctx, c)
			if c.Err() == nil {
				t.Error("the connection outlived its server")
			}
			c.Close()
		}
		<-served
		if ctx.Err() != nil {
			t.Error("a command waited for ever")
		}
		if octets > len(sent) {
			t.Errorf("%d octets of text came out of %d", octets, len(sent))
		}
	})
}

// FuzzCompressed is FuzzSession over a connection that is compressed: the parts are
// compressed by one who puts garbage in the place of what he has made, from octet at
// on. No more text may come than can be inflated of that.
func FuzzCompressed(f *testing.F) {
	nothing := []byte{}
	f.Add([]byte(shifted(textSession)), nothing, uint16(0), byte(0))
	f.Add([]byte(shifted(textSession)), []byte("garbage"), uint16(150), byte(0))
	f.Add([]byte(shifted(qresyncSession)), nothing, uint16(0), byte(0))
	f.Add([]byte(shifted(changed(true))), nothing, uint16(0), byte(3))
	f.Add([]byte(shifted(changed(false))), []byte{0xff}, uint16(300), byte(0))
	f.Add([]byte(shifted(qresyncSession)), []byte{0, 0, 0, 0xff, 0xff, 3, 0}, uint16(200), byte(1))
	f.Add([]byte(shifted(qresyncSession)), []byte("* BYE in plain\r\n"), uint16(100), byte(0))
	f.Fuzz(func(t *testing.T, sent, garbage []byte, at uint16, cut byte) {
		parts, inflated := compressParts(bytes.Split(sent, []byte{0x1e}), garbage, int(at))
		near, far := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			playParts(far, parts, int(cut), 10*time.Millisecond) // a compressor takes a while to make
		}()
		d := &Dialer{
			Host: "fuzz", TLS: TLSNone, Timeout: 5 * time.Second, Compression: CompressAlways(),
			DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		octets := 0
		if c, err := d.Dial(ctx); err == nil {
			octets = everything(ctx, c)
			if c.Err() == nil {
				t.Error("the connection outlived its server")
			}
			c.Close()
		}
		<-served
		if ctx.Err() != nil {
			t.Error("a command waited for ever")
		}
		if octets > inflated {
			t.Errorf("%d octets of text came out of %d", octets, inflated)
		}
	})
}

// textSession is a server with nothing but texts. Status and Statuses are three commands,
// ListStatus and Notify none.
const textSession = "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n\x1ea1 OK\r\n\x1ea2 OK\r\n\x1ea3 OK\r\n\x1ea4 OK\r\n\x1e" +
	"* 1 EXISTS\r\n* OK [UIDVALIDITY 7]\r\na5 OK\r\n\x1ea6 OK\r\n\x1e* 1 FETCH (UID 1 BODY[] {10}\r\nfrom afar.)\r\na7 OK\r\n"

// shifted makes room in a session for COMPRESS as the first command.
func shifted(session string) string {
	session = regexp.MustCompile(`\ba(\d+)`).ReplaceAllStringFunc(session, func(tag string) string {
		n, _ := strconv.Atoi(tag[1:])
		return fmt.Sprintf("a%d", n+1)
	})
	return session
}

// compressParts makes what a server sends to whom it has greeted and who has said
// COMPRESS, of parts of a session; inflated is how many octets can be had of that.
func compressParts(session [][]byte, garbage []byte, at int) (parts [][]byte, inflated int) {
	var sent bytes.Buffer
	z, _ := flate.NewWriter(&sent, flate.BestSpeed)
	var ends []int
	for _, part := range session[1:] {
		z.Write(part)
		z.Flush()
		ends = append(ends, sent.Len())
	}
	all := sent.Bytes()
	if len(garbage) > 0 && len(all) > 0 {
		copy(all[at%len(all):], garbage)
	}
	n, _ := io.Copy(io.Discard, flate.NewReader(bytes.NewReader(all)))
	greeting := bytes.Replace(session[0], []byte("[CAPABILITY "), []byte("[CAPABILITY COMPRESS=DEFLATE "), 1)
	parts = append(parts, greeting, []byte("a1 OK\r\n"))
	from := 0
	for _, end := range ends {
		parts = append(parts, all[from:end])
		from = end
	}
	return parts, int(n)
}

// qresyncSession is a server with QRESYNC.
const qresyncSession = "* PREAUTH [CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC ESEARCH] hi\r\n\x1e" +
	"* ENABLED QRESYNC\r\na1 OK\r\n\x1ea2 OK\r\n\x1ea3 OK\r\n\x1e" +
	"* 3 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [HIGHESTMODSEQ 9]\r\na4 OK\r\n\x1e" +
	"* 1 FETCH (UID 1 FLAGS (a) MODSEQ (8))\r\n* VANISHED 1:2\r\na5 OK\r\n\x1ea6 OK\r\n\x1ea7 OK\r\n\x1e" +
	"* ESEARCH (TAG \"a8\") UID ALL 3\r\na8 OK\r\n\x1e" +
	"* OK [CLOSED]\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [HIGHESTMODSEQ 12]\r\n* VANISHED (EARLIER) 1:2,5\r\n* 2 FETCH (UID 4 FLAGS ())\r\na9 OK\r\n\x1e" +
	"* 2 FETCH (UID 4 FLAGS (b) MODSEQ (12))\r\n* OK [HIGHESTMODSEQ 13]\r\na10 OK\r\n\x1e* VANISHED 4\r\na11 OK\r\n"

// playParts sends a part, then one after each line that it hears, or when it hears
// nothing for some time. What it hears behind COMPRESS is compressed.
func playParts(conn net.Conn, parts [][]byte, cut int, moment time.Duration) {
	heard := make(chan struct{}, 64)
	go func() {
		defer close(heard)
		defer io.Copy(io.Discard, conn) // what cannot be understood is no reason to stop the client
		for r := bufio.NewReader(conn); ; {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if bytes.HasSuffix(line, []byte(" COMPRESS DEFLATE\r\n")) {
				r = bufio.NewReader(flate.NewReader(r))
			}
			select {
			case heard <- struct{}{}:
			default:
			}
		}
	}()
	for i, part := range parts {
		if i > 0 {
			select {
			case <-heard:
			case <-time.After(moment): // the client waits for more
			}
		}
		for len(part) > 0 {
			n := len(part)
			if cut > 0 {
				n = min(n, cut)
			}
			if _, err := conn.Write(part[:n]); err != nil {
				break
			}
			part = part[n:]
		}
	}
	conn.Close()
	for range heard { // until the reader is done
	}
}

// everything gives each command once and returns how many octets of text came.
func everything(ctx context.Context, c *Client) (octets int) {
	set := UIDSet{{First: 1, Last: 100}}
	count := func(t Text) {
		for _, chunk := range t.Chunks {
			octets += len(chunk)
		}
	}
	c.List(ctx, "", "*")
	c.Status(ctx, "INBOX", "MESSAGES")
	c.Statuses(ctx, []string{"INBOX", "a"}, "MESSAGES")
	c.ListStatus(ctx, []string{"INBOX", "a"}, "MESSAGES")
	c.Notify(ctx, &watched{})
	c.Examine(ctx, "INBOX", &recorded{})
	c.FetchMeta(ctx, set, MetaAll, func(Meta) {})
	c.FetchText(ctx, set, Part{Chunk: 10}, count)
	c.FetchText(ctx, set, Part{Offset: 3, Octets: 5}, count)
	c.UIDSearch(ctx, "ALL")
	c.Quota(ctx, "INBOX")
	c.ExamineSince(ctx, "INBOX", &recorded{}, (&told{}).since(9))
	c.FetchChanged(ctx, set, 9, func(Meta) {})
	idle, cancel := context.WithTimeout(ctx, time.Millisecond)
	c.Idle(idle)
	cancel()
	c.Noop(ctx)
	changes(ctx, c, set)
	for c.Err() == nil && ctx.Err() == nil { // the server has no more to say than its parts
		c.Noop(ctx)
	}
	return octets
}

// changes gives each command that changes something.
func changes(ctx context.Context, c *Client, set UIDSet) {
	c.Select(ctx, "INBOX", &recorded{})
	c.AddFlags(ctx, set, `\Seen`)
	for _, copies := range []func(context.Context, UIDSet, string) (CopyData, error){c.Copy, c.Move} {
		d, _ := copies(ctx, set, "B")
		for _, r := range d.Copied {
			if to, ok := d.Target(r.Last); !ok || to == 0 || d.Unnamed.Contains(r.Last) || !set.Contains(r.Last) {
				panic("a copy that nobody named")
			}
		}
	}
	c.Expunge(ctx, set)
	c.Remove(ctx, set)
	c.Append(ctx, "INBOX", message("hi"))
	c.Replace(ctx, 1, "INBOX", message("hi"))
	c.Create(ctx, "B")
	c.AppendLimit(ctx, "B")
}

// changed is a session in which all that changes asks is answered; with
// synchronising literals, or without.
func changed(plus bool) string {
	caps := "IMAP4rev1 UIDPLUS MOVE REPLACE APPENDLIMIT"
	if plus {
		caps += " LITERAL+"
	}
	s := "* PREAUTH [CAPABILITY " + caps + "] hi\r\n"
	tag := 0
	part := func(lines string) {
		if tag++; lines != "+" {
			lines = strings.ReplaceAll(lines, "$", fmt.Sprintf("a%d", tag))
		}
		s += "\x1e" + strings.ReplaceAll(lines, "|", "\r\n") + "\r\n"
	}
	for range 7 { // what everything asks before, but for QUOTA and IDLE
		part("$ OK")
	}
	part("$ OK") // NOOP
	part("* 3 EXISTS|* OK [UIDNOTSTICKY] x|* OK [PERMANENTFLAGS (\\Seen)] x|$ OK [READ-WRITE] x")
	part("* 1 FETCH (UID 1 MODSEQ (3))|$ OK")
	part("$ OK [COPYUID 9 1:3,7 5:8] done")
	part("* OK [COPYUID 9 3,2 5:6] done|* 1 EXPUNGE|$ OK")
	part("* 1 EXPUNGE|$ OK [EXPUNGEISSUED] done")
	part("$ OK")
	part("* 1 EXPUNGE|$ OK")
	part("* 1 FETCH (UID 1)|$ OK")
	part("$ OK")
	part("* 1 EXPUNGE|$ OK")
	part("$ OK")
	for range 2 {
		tag++
		done := fmt.Sprintf("* OK [APPENDUID 9 8] x|a%d OK [APPENDUID 9 7] done", tag)
		tag--
		if !plus {
			tag--
			part("+")
		} else {
			s += "\x1e" // the line, and then the text
		}
		part(done)
	}
	part("$ OK [MAILBOXID (F1)] done")
	part("* STATUS B (APPENDLIMIT 17)|$ OK")
	return s
}
