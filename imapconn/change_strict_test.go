package imapconn

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// inTheClear is a Dialer for a server of package imaptest.
func inTheClear(t testing.TB, addr, user, password string) *Dialer {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return &Dialer{Host: host, Port: n, TLS: TLSNone, Credentials: func(context.Context) (Credentials, error) {
		return Credentials{User: user, Password: password}, nil
	}}
}

// A server of RFC 1730 takes every change that it knows, by the letter.
func TestAnRFC1730ServerIsChanged(t *testing.T) {
	for name, o := range map[string]imaptest.StrictOptions{
		"plain":                 {Delimiter: '/'},
		"all that is permitted": {Delimiter: '/', OutOfOrder: true, ExpungeInFetch: true, BareFetch: true, Obsolete: true, OldDates: true, NoPermanentFlags: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := imaptest.NewStrict(t, o)
			c := dial(t, inTheClear(t, s.Addr, s.User, s.Password))
			ctx := t.Context()
			box := "Entw\xfcrfe/\"x\"" // 8 bits: not in quotes
			if _, err := c.Create(ctx, box); err != nil {
				t.Fatal(err)
			}
			m := message("Subject: a\r\n\r\nbody", `\Seen`, "own")
			m.Date = time.Date(1994, 7, 1, 2, 3, 4, 0, time.FixedZone("", -7*3600))
			for range 4 {
				m.Text = strings.NewReader("Subject: a\r\n\r\nbody")
				if got, err := c.Append(ctx, box, m); err != nil || got != (AppendData{}) {
					t.Fatalf("%+v, %v", got, err)
				}
			}
			var se *StatusError
			if _, err := c.Append(ctx, "nowhere", message("a: b\r\n\r\n")); !errors.As(err, &se) || se.Code != CodeTryCreate {
				t.Error(err)
			}
			data, err := c.Select(ctx, box, nil)
			if err != nil || data.ReadOnly || !data.Permits(`\Deleted`) || data.Exists != 4 {
				t.Fatalf("%+v, %v", data, err)
			}
			if err := errors.Join(c.AddFlags(ctx, uids(t, "1,3"), `\Deleted`, "other"), c.RemoveFlags(ctx, uids(t, "1:4"), "own", `\Seen`)); err != nil {
				t.Error(err)
			}
			for uid, want := range map[UID]string{1: `\Deleted other`, 2: "", 3: `\Deleted other`, 4: ""} {
				if got := strings.Join(s.Flags(box, uid), " "); got != want {
					t.Errorf("flags of %d: %q, want %q", uid, got, want)
				}
			}
			copied, err := c.Copy(ctx, uids(t, "1:2"), "INBOX")
			if err != nil || copied.Unnamed.String() != "1:2" {
				t.Errorf("%+v, %v", copied, err)
			}
			if _, err := c.Copy(ctx, uids(t, "1"), "nowhere"); !errors.As(err, &se) || se.Code != CodeTryCreate {
				t.Error(err)
			}
			if _, err := c.Remove(ctx, uids(t, "1")); !errors.Is(err, ErrNotOffered) {
				t.Error(err)
			}
			if err := c.ExpungeAll(ctx); err != nil {
				t.Error(err)
			}
			var left []UID
			if err := c.FetchMeta(ctx, AllUIDs(), MetaDate, func(m Meta) {
				left = append(left, m.UID)
				if want := time.Date(1994, 7, 1, 9, 3, 4, 0, time.UTC); m.HasDate && !m.Date.Equal(want) {
					t.Errorf("date %v", m.Date)
				}
			}); err != nil || !slices.Equal(left, []UID{2, 4}) {
				t.Errorf("left %v, %v", left, err)
			}
			if _, err := c.Examine(ctx, "INBOX", nil); err != nil {
				t.Error(err)
			}
			if err := c.Unselect(ctx); err != nil { // CLOSE
				t.Error(err)
			}
			if err := errors.Join(c.Subscribe(ctx, box), c.Unsubscribe(ctx, box), c.Rename(ctx, box, "New"), c.Delete(ctx, "New")); err != nil {
				t.Error(err)
			}
			list, err := c.List(ctx, "", "*")
			if err != nil || len(list) != 1 || list[0].Name != "INBOX" {
				t.Errorf("%+v, %v", list, err)
			}
			for _, command := range s.Commands("") {
				if strings.HasPrefix(command, "UID STORE") && !strings.Contains(command, "FLAGS.SILENT") {
					t.Errorf("sent %q", command)
				}
			}
		})
	}
}

// The in-memory server speaks IMAP4rev2: UIDPLUS and MOVE are part of that.
func TestAnIMAP4rev2ServerIsChanged(t *testing.T) {
	m, err := imaptest.NewMemory(imaptest.MemoryOptions{Revision2: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx := t.Context()
	c := dial(t, inTheClear(t, m.Addr, m.User, m.Password))
	if _, err := c.Create(ctx, "Other"); err != nil {
		t.Fatal(err)
	}
	for i := UID(1); i <= 4; i++ {
		if got, err := c.Append(ctx, "INBOX", message("Subject: a\r\n\r\nbody", `\Flagged`)); err != nil || got.UID != i {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := c.Select(ctx, "INBOX", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Copy(ctx, uids(t, "1"), "Other"); err != nil || got.Copied.String() != "1" {
		t.Errorf("%+v, %v", got, err)
	}
	if left, err := c.Remove(ctx, uids(t, "2:3")); err != nil || left != nil {
		t.Errorf("left %s, %v", left, err)
	}
	if got, err := c.Move(ctx, uids(t, "4"), "Other"); err != nil || got.Copied.String() != "4" {
		t.Errorf("%+v, %v", got, err)
	}
	if status, err := c.Status(ctx, "Other", "MESSAGES"); err != nil || status.Messages != 2 {
		t.Errorf("%+v, %v", status, err)
	}
	left, err := c.UIDSearch(ctx, "ALL")
	if err != nil || left.String() != "1" {
		t.Errorf("left %s, %v", left, err)
	}
}
