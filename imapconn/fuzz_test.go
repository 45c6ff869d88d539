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
	f.Add([]byte("* PREAUTH [CAPABILITY IMAP4rev1 NOTIFY LIST-STATUS LIST-EXTENDED] hi\r\n\x1e* LIST () \"/\" INBOX\r\na1 OK\r\n\x1e"+
		"* STATUS INBOX (MESSAGES 1)\r\na2 OK\r\n\x1e* STATUS a (MESSAGES 1)\r\na3 OK\r\na4 NO\r\n\x1e"+
		"* LIST () \"/\" a\r\n* STATUS a (MESSAGES 1 HIGHESTMODSEQ 9)\r\na5 OK\r\n\x1ea6 NO [BADEVENT FlagChange] no\r\n\x1e"+
		"* LIST (\\NonExistent) \".\" b (\"OLDNAME\" ({1}\r\na))\r\na7 OK\r\n* STATUS b (HIGHESTMODSEQ 7)\r\n* OK [NOTIFICATIONOVERFLOW] no more\r\n"), byte(0))
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
	c.Statuses(ctx, []string{"INBOX", "a"}, "MESSAGES")
	c.ListStatus(ctx, []string{"INBOX", "a"}, "MESSAGES")
	c.Notify(ctx, &watched{})
	c.Examine(ctx, "INBOX", &recorded{})
	c.FetchMeta(ctx, set, MetaAll, func(Meta) {})
	c.FetchText(ctx, set, Part{Chunk: 10}, count)
	c.FetchText(ctx, set, Part{Offset: 3, Octets: 5}, count)
	c.UIDSearch(ctx, "ALL")
	c.Quota(ctx, "INBOX")
	idle, cancel := context.WithTimeout(ctx, time.Millisecond)
	c.Idle(idle)
	cancel()
	c.Noop(ctx)
	for c.Err() == nil && ctx.Err() == nil { // the server has no more to say than its parts
		c.Noop(ctx)
	}
	return octets
}
