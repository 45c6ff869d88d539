package imaptest

import (
	"strings"
	"testing"
	"time"
)

func TestMemoryServesWhatWasAppended(t *testing.T) {
	for _, rev2 := range []bool{false, true} {
		m, err := NewMemory(MemoryOptions{Revision2: rev2})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Append("Архив/2025", []byte("Subject: one\r\n\r\nfirst"), []string{`\Seen`}, time.Unix(1_000_000_000, 0)); err != nil {
			t.Fatal(err)
		}
		got := talk(t, m.Addr, "LOGIN "+m.User+" "+m.Password, "CAPABILITY",
			`EXAMINE "&BBAEQARFBDgEMg-/2025"`, "UID FETCH 1 (FLAGS RFC822.SIZE BODY.PEEK[])", "LOGOUT")
		wants(t, got, "t0 OK", "* 1 EXISTS", "RFC822.SIZE 21", "Subject: one\r\n\r\nfirst)")
		if strings.Contains(got, "IMAP4rev2") != rev2 {
			t.Errorf("rev2 is wanted: %v; said\n%s", rev2, got)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
