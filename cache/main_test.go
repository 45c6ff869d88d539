package cache

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

func TestMain(m *testing.M) {
	if where := os.Getenv(crashEnv); where != "" {
		sends(where)
		return
	}
	goleak.VerifyTestMain(m)
}

// short is the time limit of most tests: long enough for a busy machine. None waits
// for its end.
const short = 20 * time.Second

// settings changes the Config and the Dialer of an account under test.
type settings func(*Config, *imapconn.Dialer)

// open opens the account at addr, which is closed with the test.
func open(t testing.TB, addr, user, password string, change ...settings) *Account {
	t.Helper()
	a, err := tryOpen(t, addr, user, password, change...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tryOpen(t testing.TB, addr, user, password string, change ...settings) (*Account, error) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{t: t}
	d := &imapconn.Dialer{
		Host: host, Port: n, TLS: imapconn.TLSNone, Timeout: short,
		Credentials: func(context.Context) (imapconn.Credentials, error) {
			return imapconn.Credentials{User: user, Password: password}, nil
		},
	}
	cfg := Config{Dial: d.Dial, CacheBytes: 64 << 20, Timeout: short, Poll: time.Hour,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range change {
		f(&cfg, d)
	}
	if os.Getenv("TRACE") != "" {
		d.Trace = log
	}
	ctx, cancel := context.WithTimeout(context.Background(), short)
	defer cancel()
	a, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		a.Close()
		log.close()
	})
	return a, nil
}

// logged puts the log into the test's, while there is one.
type logged struct {
	mu sync.Mutex
	t  testing.TB
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Logf("%s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

func (l *logged) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t = nil
}

func openScripted(t testing.TB, s *imaptest.Scripted, change ...settings) *Account {
	t.Helper()
	return open(t, s.Addr, s.User, s.Password, change...)
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// box finds a mailbox by its path.
func box(t testing.TB, a *Account, path ...string) *Mailbox {
	t.Helper()
	m := a.Tree().Root()
	for _, name := range path {
		if m = a.Tree().Child(m, name); m == nil {
			t.Fatalf("there is no mailbox %q", path)
		}
	}
	return m
}

func mustLoad(t testing.TB, m *Mailbox) *Snapshot {
	t.Helper()
	s, err := m.Load(within(t, short))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readAll opens and reads a text as a program does, in pieces of n octets.
func readAll(t testing.TB, m *Mailbox, uid UID, n int) ([]byte, error) {
	t.Helper()
	ctx := within(t, 4*short)
	v := m.Snapshot().Validity()
	size, err := m.Open(ctx, v, uid)
	if err != nil {
		return nil, err
	}
	text := make([]byte, 0, size+int64(n)) // the race detector counts each octet that is copied
	for {
		text = slices.Grow(text, n)
		p := text[len(text) : len(text)+n]
		k, ok := tryReadAt(m, v, uid, p, int64(len(text)))
		if !ok {
			if k, err = m.ReadAt(ctx, v, uid, p, int64(len(text))); err != nil {
				return text, err
			}
		}
		text = text[:len(text)+k]
		if k < n {
			break
		}
	}
	if int64(len(text)) != size {
		t.Errorf("message %d: opened with %d octets, %d were read", uid, size, len(text))
	}
	return text, nil
}

func checkText(t testing.TB, m *Mailbox, uid UID, want []byte) {
	t.Helper()
	got, err := readAll(t, m, uid, blockLen)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("message %d: %d octets that are not the %d sent (first difference at %d)", uid, len(got), len(want), firstDifference(got, want))
	}
	if mes, ok := m.Snapshot().Find(uid); ok && mes.Size != int64(len(want)) {
		t.Errorf("message %d: size %d, the text has %d octets", uid, mes.Size, len(want))
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// text is a message of n octets in which each line is another, and which says
// of whom it is.
func text(id, n int) []byte {
	b := make([]byte, 0, n+100)
	b = fmt.Appendf(b, "From: a@example.org\r\nSubject: message %d\r\n\r\n", id)
	who := fmt.Sprintf("message %d, octet ", id)
	for len(b) < n {
		b = strconv.AppendInt(append(b, who...), int64(len(b)), 10)
		b = append(b, "\r\n"...)
	}
	b = b[:n]
	if n >= 2 {
		copy(b[n-2:], "\r\n")
	}
	return b
}

// uids gives the UIDs of a snapshot.
func uids(s *Snapshot) []UID {
	var out []UID
	for i := range s.Len() {
		out = append(out, s.At(i).UID)
	}
	return out
}

// eventually waits until ok.
func eventually(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", d, what)
		}
	}
}

func wantKind(t testing.TB, err error, want Kind) {
	t.Helper()
	if KindOf(err) != want {
		t.Fatalf("error %v is %v, want %v", err, KindOf(err), want)
	}
}

// tryReadAt is ReadAt from memory only.
func tryReadAt(m *Mailbox, v UIDValidity, uid UID, p []byte, off int64) (n int, ok bool) {
	pieces, ok := m.TryView(v, uid, len(p), off, nil)
	for _, piece := range pieces {
		n += copy(p[n:], piece)
	}
	return n, ok
}
