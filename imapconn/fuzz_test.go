package imapconn

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"testing"
	"time"
)

// FuzzSession plays octets to a Client that goes through all its commands: a
// part up to \x1e after each line that the client says, in pieces of cut octets,
// then the end. The Client must end with an error, whatever was sent: no panic,
// no waiting for ever, no more text than there were octets.
func FuzzSession(f *testing.F) {
	f.Add([]byte("* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n\x1e"), byte(0))
	f.Add([]byte(qresyncSession), byte(0))
	f.Fuzz(func(t *testing.T, sent []byte, cut byte) {
		near, far := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			playParts(far, sent, int(cut))
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

// qresyncSession is a server with QRESYNC.
const qresyncSession = "* PREAUTH [CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC ESEARCH] hi\r\n\x1e" +
	"* ENABLED QRESYNC\r\na1 OK\r\n\x1ea2 OK\r\n\x1ea3 OK\r\n\x1e" +
	"* 3 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [HIGHESTMODSEQ 9]\r\na4 OK\r\n\x1e" +
	"* 1 FETCH (UID 1 FLAGS (a) MODSEQ (8))\r\n* VANISHED 1:2\r\na5 OK\r\n\x1ea6 OK\r\n\x1ea7 OK\r\n\x1e" +
	"* ESEARCH (TAG \"a8\") UID ALL 3\r\na8 OK\r\n\x1e" +
	"* OK [CLOSED]\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [HIGHESTMODSEQ 12]\r\n* VANISHED (EARLIER) 1:2,5\r\n* 2 FETCH (UID 4 FLAGS ())\r\na9 OK\r\n\x1e" +
	"* 2 FETCH (UID 4 FLAGS (b) MODSEQ (12))\r\n* OK [HIGHESTMODSEQ 13]\r\na10 OK\r\n\x1e* VANISHED 4\r\na11 OK\r\n"

// playParts sends a part of sent, then one after each line that it hears, or when
// it hears nothing for a moment.
func playParts(conn net.Conn, sent []byte, cut int) {
	heard := make(chan struct{}, 64)
	go func() {
		defer close(heard)
		for r := bufio.NewReader(conn); ; {
			if _, err := r.ReadSlice('\n'); err != nil {
				return
			}
			select {
			case heard <- struct{}{}:
			default:
			}
		}
	}()
	for i, part := range bytes.Split(sent, []byte{0x1e}) {
		if i > 0 {
			select {
			case <-heard:
			case <-time.After(2 * time.Millisecond): // the client waits for more
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
	for c.Err() == nil && ctx.Err() == nil { // the server has no more to say than its parts
		c.Noop(ctx)
	}
	return octets
}
