package cache

import (
	"context"
	"net"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// slowLine is a connection that brings so many octets in a second and no more.
type slowLine struct {
	net.Conn
	rate int
}

func (c slowLine) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), 16<<10)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate))
	return n, err
}

// A line that brings a long run in more time than a reader has is a line on which
// runs stay short: each READ is answered inside the deadline.
func TestALargeTextIsReadOverASlowLine(t *testing.T) {
	s := imaptest.NewScripted(t)
	const size = 12 << 20
	want := text(1, size)
	s.Mailbox("INBOX").Add(want)
	const limit = 1500 * time.Millisecond
	a := openScripted(t, s, func(c *Config, d *imapconn.Dialer) {
		c.Timeout, d.Timeout = limit, limit
		d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return slowLine{conn, 3 << 20}, err
		}
	})
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	if _, err := m.Open(within(t, limit), v, 1); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, blockLen)
	var longest time.Duration
	for off := int64(0); off < size; off += blockLen {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		begun := time.Now()
		n, err := m.ReadAt(ctx, v, 1, p, off)
		longest = max(longest, time.Since(begun))
		cancel()
		if err != nil || string(p[:n]) != string(want[off:min(off+blockLen, size)]) {
			t.Fatalf("at %d: %d octets, %v", off, n, err)
		}
	}
	t.Log("the longest wait for a READ:", longest)
}
