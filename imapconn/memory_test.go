package imapconn

import (
	"bytes"
	"context"
	"net"
	"reflect"
	"strconv"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// The in-memory server speaks IMAP4rev2 too, spells flags small and answers
// SEARCH as ESEARCH.
func TestAnIMAP4rev2ServerIsUnderstood(t *testing.T) {
	m, err := imaptest.NewMemory(imaptest.MemoryOptions{Revision2: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	text := []byte("Subject: x\r\n\r\nbody\r\n")
	when := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for range 3 {
		if err := m.Append("INBOX", text, []string{`\Seen`, "own"}, when); err != nil {
			t.Fatal(err)
		}
	}
	host, port, _ := net.SplitHostPort(m.Addr)
	n, _ := strconv.Atoi(port)
	c := dial(t, &Dialer{Host: host, Port: n, TLS: TLSNone, Credentials: func(context.Context) (Credentials, error) {
		return Credentials{User: m.User, Password: m.Password}, nil
	}})
	data, err := c.Examine(t.Context(), "INBOX", nil)
	if err != nil || data.Exists != 3 {
		t.Fatalf("%+v, %v", data, err)
	}
	var got []Meta
	if err := c.FetchMeta(t.Context(), AllUIDs(), MetaAll, func(m Meta) { got = append(got, m) }); err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if m := got[2]; m.UID != 3 || !reflect.DeepEqual(m.Flags, []string{`\Seen`, "own"}) || !m.Date.Equal(when) || m.Size != int64(len(text)) {
		t.Errorf("%+v", m)
	}
	parts, err := texts(t.Context(), c, AllUIDs(), Part{Offset: 5, Octets: 9})
	if err != nil || len(parts) != 3 || !bytes.Equal(parts[0].Chunks[0], text[5:14]) {
		t.Errorf("%+v, %v", parts, err)
	}
	found, err := c.UIDSearch(t.Context(), "SEEN")
	if err != nil || found.String() != "1:3" {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := c.Examine(t.Context(), "nowhere", nil); err == nil {
		t.Error("a mailbox that is not there was opened")
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Error(err)
	}
}
