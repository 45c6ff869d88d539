package imapconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// toDovecot is a Dialer for a real Dovecot at addr, or a proxy before it.
func toDovecot(t testing.TB, s *imaptest.Dovecot, addr string, mode TLSMode) *Dialer {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return &Dialer{
		Host: host, Port: n, TLS: mode, TLSConfig: &tls.Config{RootCAs: roots(t, s.CertFile)}, Timeout: 10 * time.Second,
		Credentials: func(context.Context) (Credentials, error) {
			return Credentials{User: s.User, Password: s.Password}, nil
		},
	}
}

// roots are the certificates of a file.
func roots(t testing.TB, name string) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

// dovecot starts one, with n messages of some kilobytes in INBOX.
func dovecot(t testing.TB, n int) (*imaptest.Dovecot, [][]byte) {
	t.Helper()
	s := imaptest.StartDovecot(t, imaptest.DovecotOptions{})
	var mail [][]byte
	for i := range n {
		mail = append(mail, fmt.Appendf(nil, "Subject: %d\r\nFrom: a@example.org\r\n\r\n%s\r\n", i, strings.Repeat("line of text\r\n", i*37%900)))
	}
	s.Deliver(t, "INBOX", mail...)
	return s, mail
}

func TestDovecotGivesEveryOctetOverEveryKindOfConnection(t *testing.T) {
	if testing.Short() {
		return
	}
	s, mail := dovecot(t, 60)
	s.Deliver(t, "Entwürfe/2024", mail[0])
	pressed := func(d *Dialer) *Dialer {
		d.Compression = CompressAlways()
		return d
	}
	for name, d := range map[string]*Dialer{
		"implicit":             toDovecot(t, s, s.TLSAddr, TLSImplicit),
		"STARTTLS":             toDovecot(t, s, s.Addr, TLSStartTLS),
		"plain":                toDovecot(t, s, s.Addr, TLSNone),
		"implicit, compressed": pressed(toDovecot(t, s, s.TLSAddr, TLSImplicit)),
		"STARTTLS, compressed": pressed(toDovecot(t, s, s.Addr, TLSStartTLS)),
		"plain, compressed":    pressed(toDovecot(t, s, s.Addr, TLSNone)),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, d)
			if c.Stats().Compressed != (d.Compression != nil) {
				t.Errorf("%+v", c.Stats())
			}
			list, err := c.List(t.Context(), "", "*")
			if err != nil || !slices.ContainsFunc(list, func(l ListData) bool {
				return l.Name == "Entw&APw-rfe/2024" && l.Delimiter == '/'
			}) {
				t.Errorf("%q, %v", list, err)
			}
			status, err := c.Status(t.Context(), "Entw&APw-rfe/2024", "MESSAGES", "UIDNEXT", "UIDVALIDITY")
			if err != nil || status.Messages != 1 || status.UIDNext != 2 || !status.HasUIDValidity {
				t.Errorf("%+v, %v", status, err)
			}
			data, err := c.Examine(t.Context(), "INBOX", nil)
			if err != nil || data.Exists != 60 || data.UIDNext != 61 || !data.HasUIDValidity || !data.ReadOnly {
				t.Fatalf("%+v, %v", data, err)
			}
			sizes := make(map[UID]int64)
			if err := c.FetchMeta(t.Context(), AllUIDs(), MetaAll, func(m Meta) {
				if m.HasFlags && m.HasDate && m.HasSize && len(m.Flags) == 0 {
					sizes[m.UID] = m.Size
				}
			}); err != nil || len(sizes) != 60 {
				t.Fatalf("%d of 60, %v", len(sizes), err)
			}
			n := 0
			if err := c.FetchText(t.Context(), AllUIDs(), Part{Chunk: 1000}, func(x Text) {
				n++
				if got := bytes.Join(x.Chunks, nil); !slices.ContainsFunc(mail, func(m []byte) bool { return bytes.Equal(m, got) }) || int64(len(got)) != sizes[x.UID] {
					t.Errorf("UID %d: %d octets that nobody delivered", x.UID, len(got))
				}
			}); err != nil || n != 60 {
				t.Errorf("%d of 60, %v", n, err)
			}
			found, err := c.UIDSearch(t.Context(), "UNSEEN")
			if err != nil || found.String() != "1:60" {
				t.Errorf("%v, %v", found, err)
			}
			if got, err := texts(t.Context(), c, UIDSet{{First: 999, Last: 999}}, Part{}); err != nil || got != nil {
				t.Errorf("a message that is not there: %v, %v", got, err)
			}
			if err := c.Logout(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	if recent := s.Doveadm("search", "-u", s.User, "mailbox", "INBOX", "RECENT"); strings.Count(recent, "\n") != 60 {
		t.Errorf("reading took \\Recent away: %q", recent)
	}
}

func TestDovecotTellsAnIdlerWithinASecond(t *testing.T) {
	if testing.Short() {
		return
	}
	s, mail := dovecot(t, 3)
	c := dial(t, toDovecot(t, s, s.Addr, TLSNone))
	events := make(chan string, 100)
	rec := &channelled{events}
	if _, err := c.Examine(t.Context(), "INBOX", rec); err != nil {
		t.Fatal(err)
	}
	if err := c.FetchMeta(t.Context(), AllUIDs(), 0, func(Meta) {}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	idle := pending(func() error { return c.Idle(ctx) })
	time.Sleep(200 * time.Millisecond)
	want := func(event string, within time.Duration) {
		t.Helper()
		for limit := time.After(within); ; {
			select {
			case got := <-events:
				if got == event {
					return
				}
			case <-limit:
				t.Errorf("not told: %s", event)
				return
			}
		}
	}
	s.Deliver(t, "INBOX", mail[0])
	want("exists 4", time.Second)
	s.Doveadm("expunge", "-u", s.User, "mailbox", "INBOX", "uid", "2")
	want("vanished 2:2", time.Second)
	s.Doveadm("flags", "add", "-u", s.User, `\Flagged`, "mailbox", "INBOX", "uid", "3")
	want(`flags 3 \Flagged`, time.Second)
	cancel()
	if err := idle(); err != nil {
		t.Error(err)
	}
}

// channelled is a Recorder that sends what it is told.
type channelled struct{ to chan string }

func (r *channelled) Exists(n uint32)  { r.to <- fmt.Sprintf("exists %d", n) }
func (r *channelled) Expunged(uid UID) { r.to <- fmt.Sprintf("expunged %d", uid) }
func (r *channelled) Flags(uid UID, flags []string) {
	r.to <- fmt.Sprintf("flags %d %s", uid, strings.Join(flags, " "))
}
func (r *channelled) Vanished(first, last UID) { r.to <- fmt.Sprintf("vanished %d:%d", first, last) }
func (r *channelled) Reached(ModSeq)           {}
func (r *channelled) Changed()                 { r.to <- "changed" }
func (r *channelled) Lost(reason string)       { r.to <- "lost: " + reason }

func TestDovecotRefusesAWrongPasswordAndAnUntrustedCaller(t *testing.T) {
	if testing.Short() {
		return
	}
	s, _ := dovecot(t, 0)
	d := toDovecot(t, s, s.TLSAddr, TLSImplicit)
	d.Credentials = func(context.Context) (Credentials, error) {
		return Credentials{User: s.User, Password: "wrong-one"}, nil
	}
	_, err := d.Dial(t.Context())
	var auth *AuthError
	if !errors.As(err, &auth) {
		t.Errorf("%T", err)
	}
	oneLine(t, err, "server says NO [AUTHENTICATIONFAILED] Authentication failed. (check user and password)")

	d = toDovecot(t, s, s.TLSAddr, TLSImplicit)
	d.TLSConfig = nil
	_, err = d.Dial(t.Context())
	oneLine(t, err, "certificate signed by unknown authority (use --ca-file, or --tls-pin ")

	d = toDovecot(t, s, s.Addr, TLSImplicit)
	_, err = d.Dial(t.Context())
	oneLine(t, err, "server does not speak TLS on this port (use imap:// for STARTTLS)")
}

func TestANetworkThatFailsInTheMiddleIsAnError(t *testing.T) {
	if testing.Short() {
		return
	}
	s, _ := dovecot(t, 60)
	for name, test := range map[string]struct {
		fail    func(*imaptest.Proxy)
		timeout bool
	}{
		"cut":        {func(p *imaptest.Proxy) { p.Cut() }, false},
		"black hole": {func(p *imaptest.Proxy) { p.Stall(true) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := imaptest.NewProxy(t, s.Addr)
			d := toDovecot(t, s, p.Addr, TLSNone)
			d.Timeout = 500 * time.Millisecond
			c := dial(t, d)
			if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
				t.Fatal(err)
			}
			test.fail(p)
			start := time.Now()
			_, err := texts(t.Context(), c, AllUIDs(), Part{})
			var ce *ConnError
			if !errors.As(err, &ce) || ce.Timeout() != test.timeout {
				t.Errorf("%v", err)
			}
			if took := time.Since(start); took > 900*time.Millisecond {
				t.Errorf("after %v", took)
			}
			<-c.Done()
		})
	}
}

func TestAMailboxIsOpenedInAFewRoundTrips(t *testing.T) {
	if testing.Short() {
		return
	}
	s, _ := dovecot(t, 60)
	p := imaptest.NewProxy(t, s.Addr)
	d := toDovecot(t, s, p.Addr, TLSNone)
	c := dial(t, d)
	if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := c.FetchMeta(t.Context(), AllUIDs(), MetaAll, func(Meta) { n++ }); err != nil || n != 60 {
		t.Fatal(n, err)
	}
	// Login, ID with ENABLE, EXAMINE, FETCH.
	if turns := p.Counters().Turns; turns > 4 {
		t.Errorf("%d round trips", turns)
	}
}

func BenchmarkDovecotTexts(b *testing.B) {
	s, mail := dovecot(b, 2000)
	c := dial(b, toDovecot(b, s, s.Addr, TLSNone))
	if _, err := c.Examine(b.Context(), "INBOX", nil); err != nil {
		b.Fatal(err)
	}
	total := 0
	for _, m := range mail {
		total += len(m)
	}
	b.SetBytes(int64(total))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.FetchText(b.Context(), AllUIDs(), Part{}, func(Text) {}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDovecotMeta(b *testing.B) {
	s, _ := dovecot(b, 2000)
	c := dial(b, toDovecot(b, s, s.Addr, TLSNone))
	if _, err := c.Examine(b.Context(), "INBOX", nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.FetchMeta(b.Context(), AllUIDs(), MetaAll, func(Meta) {}); err != nil {
			b.Fatal(err)
		}
	}
}
