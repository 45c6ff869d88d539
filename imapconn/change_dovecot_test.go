package imapconn

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// stored is what doveadm says of a mailbox: UID, flags but for \Recent, date and
// size of each message.
func stored(s *imaptest.Dovecot, mailbox string) string {
	out := s.Doveadm("-f", "tab", "fetch", "-u", s.User, "uid flags date.received size.virtual", "mailbox", mailbox, "all")
	_, rows, _ := strings.Cut(out, "\n")
	return strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(rows), "\t", " "), `\Recent`, "")
}

// storedText is a text as doveadm gives it, its lines ended as they are on the
// disk.
func storedText(s *imaptest.Dovecot, mailbox string, uid UID) string {
	out := s.Doveadm("fetch", "-u", s.User, "text", "mailbox", mailbox, "uid", fmt.Sprint(uid))
	return strings.TrimSuffix(strings.TrimPrefix(out, "text:\n"), "\f\n")
}

func TestDovecotStoresWhatIsAppended(t *testing.T) {
	if testing.Short() {
		return
	}
	s, _ := dovecot(t, 0)
	when := time.Date(2019, 12, 31, 23, 59, 58, 0, time.FixedZone("", 5*3600+1800))
	text := "Subject: one\r\n\r\nbody\r\n"
	for name, hide := range map[string][]string{"LITERAL+": nil, "synchronising": {"LITERAL+"}, "alone": {"LITERAL+", "UIDPLUS"}} {
		t.Run(name, func(t *testing.T) {
			f := imaptest.NewFilter(t, s.Addr, imaptest.FilterOptions{Hide: hide})
			c := dial(t, toDovecot(t, s, f.Addr, TLSNone))
			box := "Box &APw- " + name
			if _, err := c.Create(t.Context(), box); err != nil {
				t.Fatal(err)
			}
			status, err := c.Status(t.Context(), box, "UIDVALIDITY")
			if err != nil {
				t.Fatal(err)
			}
			m := message(text, `\Seen`, "$Forwarded")
			m.Date = when
			got, err := c.Append(t.Context(), box, m)
			want := AppendData{status.UIDValidity, 1}
			if slices.Contains(hide, "UIDPLUS") {
				want = AppendData{}
			}
			if err != nil || got != want {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
			decoded := "Box ü " + name
			if got, want := stored(s, decoded), `1 \Seen  $Forwarded 2019-12-31 18:29:58 22`; got != want {
				t.Errorf("stored %q, want %q", got, want)
			}
			if got := storedText(s, decoded, 1); strings.ReplaceAll(got, "\r", "") != strings.ReplaceAll(text, "\r", "") {
				t.Errorf("stored %q", got)
			}
			var ae *AppendError
			_, err = c.Append(t.Context(), "nowhere", message(text))
			if !errors.As(err, &ae) || ae.State != Refused {
				t.Fatal(err)
			}
			var se *StatusError
			if !errors.As(err, &se) || se.Code != CodeTryCreate {
				t.Error(err)
			}
			if _, err := c.Append(t.Context(), box, message(text)); err != nil { // still in step
				t.Error(err)
			}
			if f.Refused.Load() != 0 {
				t.Errorf("%d commands needed what is hidden", f.Refused.Load())
			}
		})
	}
	// It keeps every octet, in an encoding of its own.
	const head = "Subject: nul\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: "
	for _, hide := range [][]string{nil, {"LITERAL+"}, {"BINARY"}} {
		t.Run(fmt.Sprint("NUL without ", hide), func(t *testing.T) {
			f := imaptest.NewFilter(t, s.Addr, imaptest.FilterOptions{Hide: hide})
			c := dial(t, toDovecot(t, s, f.Addr, TLSNone))
			m := message(head + "binary\r\n\r\na\x00b\xff")
			m.Binary = true
			got, err := c.Append(t.Context(), "INBOX", m)
			if slices.Contains(hide, "BINARY") {
				if !errors.Is(err, ErrNotOffered) {
					t.Error(err)
				}
			} else if err != nil {
				t.Error(err)
			} else if text := storedText(s, "INBOX", got.UID); text != strings.ReplaceAll(head, "\r", "")+"base64\n\nYQBi/w==" {
				t.Errorf("stored %q", text)
			}
			if f.Refused.Load() != 0 {
				t.Errorf("%d commands needed what is hidden", f.Refused.Load())
			}
		})
	}
	t.Run("large, through TLS", func(t *testing.T) {
		var text bytes.Buffer
		text.WriteString("Subject: large\r\n\r\n")
		for i := 0; text.Len() < 2*maxAtOnce; i++ {
			fmt.Fprintf(&text, "line %d of a long text\r\n", i)
		}
		c := dial(t, toDovecot(t, s, s.TLSAddr, TLSImplicit))
		got, err := c.Append(t.Context(), "INBOX", NewMessage{Text: bytes.NewReader(text.Bytes()), Size: int64(text.Len())})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
			t.Fatal(err)
		}
		back, err := texts(t.Context(), c, UIDSet{{First: got.UID, Last: got.UID}}, Part{})
		if err != nil || len(back) != 1 || !bytes.Equal(bytes.Join(back[0].Chunks, nil), text.Bytes()) {
			t.Errorf("%d texts, %v", len(back), err)
		}
	})
}

func TestDovecotChangesWhatItIsTold(t *testing.T) {
	if testing.Short() {
		return
	}
	s, _ := dovecot(t, 6)
	ctx := t.Context()
	c := dial(t, toDovecot(t, s, s.Addr, TLSNone))
	if _, err := c.Create(ctx, "Other/Deep"); err != nil {
		t.Fatal(err)
	}
	rec := &recorded{}
	data, err := c.Select(ctx, "INBOX", rec)
	if err != nil || data.ReadOnly || !data.Permits(`\Deleted`) || !data.Permits("any") || data.Exists != 6 {
		t.Fatalf("%+v, %v", data, err)
	}
	if err := errors.Join(
		c.AddFlags(ctx, uids(t, "1:3"), `\Flagged`, "own"),
		c.RemoveFlags(ctx, uids(t, "2"), `\flagged`),
		c.AddFlags(ctx, uids(t, "99"), `\Flagged`),
	); err != nil {
		t.Error(err)
	}
	flags := func(mailbox string) string {
		var b strings.Builder
		for line := range strings.Lines(stored(s, mailbox)) {
			f := strings.Fields(line)
			fmt.Fprintf(&b, "%s(%s) ", f[0], strings.Join(f[1:len(f)-3], " "))
		}
		return strings.TrimSpace(b.String())
	}
	if got, want := flags("INBOX"), `1(\Flagged own) 2(own) 3(\Flagged own) 4() 5() 6()`; got != want {
		t.Errorf("flags %s, want %s", got, want)
	}
	copied, err := c.Copy(ctx, uids(t, "2:3,99"), "Other/Deep")
	if to, ok := copied.Target(3); err != nil || copied.Copied.String() != "2:3" || !ok || to != 2 || copied.Unnamed != nil {
		t.Errorf("%+v, %v", copied, err)
	}
	gone, err := c.Copy(ctx, uids(t, "99"), "Other/Deep")
	if err != nil || gone.Copied != nil || gone.Unnamed.String() != "99" {
		t.Errorf("%+v, %v", gone, err)
	}
	_, err = c.Copy(ctx, uids(t, "1"), "nowhere")
	var se *StatusError
	if !errors.As(err, &se) || se.Code != CodeTryCreate {
		t.Error(err)
	}
	moved, err := c.Move(ctx, uids(t, "4:5"), "Other/Deep")
	if to, ok := moved.Target(5); err != nil || moved.Copied.String() != "4:5" || !ok || to != 4 {
		t.Errorf("%+v, %v", moved, err)
	}
	// 1 is marked by another client and must stay.
	s.Doveadm("flags", "add", "-u", s.User, `\Deleted`, "mailbox", "INBOX", "uid", "1")
	if left, err := c.Remove(ctx, uids(t, "2:3,99")); err != nil || left != nil {
		t.Errorf("left %s, %v", left, err)
	}
	if got, want := flags("INBOX"), `1(\Flagged \Deleted own) 6()`; got != want {
		t.Errorf("INBOX has %s, want %s", got, want)
	}
	if got := flags("Other/Deep"); strings.Count(got, "(") != 4 {
		t.Errorf("Other/Deep has %s", got)
	}
	if err := c.ExpungeAll(ctx); err != nil {
		t.Error(err)
	}
	if got := flags("INBOX"); got != "6()" {
		t.Errorf("INBOX has %s", got)
	}
	if err := c.Unselect(ctx); err != nil {
		t.Error(err)
	}
	if err := errors.Join(c.Rename(ctx, "Other", "New"), c.Subscribe(ctx, "New/Deep")); err != nil {
		t.Error(err)
	}
	boxes := strings.Fields(s.Doveadm("mailbox", "list", "-u", s.User))
	if !slices.Contains(boxes, "New/Deep") || slices.Contains(boxes, "Other/Deep") {
		t.Errorf("mailboxes %q", boxes)
	}
	if got := s.Doveadm("mailbox", "list", "-s", "-u", s.User); strings.TrimSpace(got) != "New/Deep" {
		t.Errorf("subscribed to %q", got)
	}
	if err := errors.Join(c.Unsubscribe(ctx, "New/Deep"), c.Delete(ctx, "New/Deep")); err != nil {
		t.Error(err)
	}
	if got := s.Doveadm("mailbox", "list", "-u", s.User); strings.Contains(got, "Deep") {
		t.Errorf("mailboxes %q", got)
	}
	if err := c.Delete(ctx, "New/Deep"); !errors.As(err, &se) || se.Code != CodeNonExistent {
		t.Error(err)
	}
}

// Dovecot says OK to a UID EXPUNGE that comes together with its STORE and does
// nothing while another session has news of the same mailbox to tell.
func TestDovecotRemovesThoughAnotherSessionIsInTheWay(t *testing.T) {
	if testing.Short() {
		return
	}
	s, _ := dovecot(t, 40)
	ctx := t.Context()
	a, b := dial(t, toDovecot(t, s, s.Addr, TLSNone)), dial(t, toDovecot(t, s, s.Addr, TLSNone))
	for _, c := range []*Client{a, b} {
		if _, err := c.Select(ctx, "INBOX", nil); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(c *Client, first UID) func() error {
		return pending(func() error {
			for u := first; u <= 40; u += 2 {
				if left, err := c.Remove(ctx, UIDSet{{First: u, Last: u}}); err != nil || left != nil {
					return fmt.Errorf("%d: left %s, %w", u, left, err)
				}
			}
			return nil
		})
	}
	odd, even := remove(a, 1), remove(b, 2)
	if err := errors.Join(odd(), even()); err != nil {
		t.Error(err)
	}
	if got := stored(s, "INBOX"); got != "" {
		t.Errorf("still there: %s", got)
	}
}
