package imapconn

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// recorded is a Recorder that writes down what it is told.
type recorded struct {
	mu  sync.Mutex
	got []string
}

func (r *recorded) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, fmt.Sprintf(format, args...))
}

func (r *recorded) Exists(n uint32)  { r.add("exists %d", n) }
func (r *recorded) Expunged(uid UID) { r.add("expunged %d", uid) }
func (r *recorded) Flags(uid UID, flags []string) {
	r.add("flags %d %s", uid, strings.Join(flags, " "))
}
func (r *recorded) Vanished(first, last UID) { r.add("vanished %d:%d", first, last) }
func (r *recorded) Reached(m ModSeq)         { r.add("reached %d", m) }
func (r *recorded) Changed()                 { r.add("changed") }
func (r *recorded) Lost(reason string)       { r.add("lost: %s", reason) }

func (r *recorded) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !reflect.DeepEqual(r.got, want) {
		t.Errorf("the Recorder was told\n%q, want\n%q", r.got, want)
	}
}

// Each is what a server says at a NOOP in a mailbox of 4, of which 1 to 3 are
// known to be UID 10, 20 and 30.
func TestTheRecorderIsToldWhatTheServerSays(t *testing.T) {
	for name, test := range map[string]struct {
		sent string
		want []string
	}{
		"nothing":                {"* 4 EXISTS\r\n* 0 RECENT\r\n* OK fine", nil},
		"new mail":               {"* 5 EXISTS\r\n* 1 RECENT", []string{"exists 5"}},
		"expunge":                {"* 2 EXPUNGE\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE", []string{"expunged 20", "expunged 30", "expunged 10"}},
		"expunge of an unknown":  {"* 4 EXPUNGE", []string{"expunged 0"}},
		"Courier, EXISTS behind": {"* 1 EXPUNGE\r\n* 3 EXISTS\r\n* 0 RECENT", []string{"expunged 10"}},
		"flags by UID":           {`* 2 FETCH (UID 20 FLAGS (\Seen b a))`, []string{`flags 20 \Seen a b`}},
		"flags by number":        {"* 1 EXPUNGE\r\n* 1 FETCH (FLAGS (\\Seen))", []string{"expunged 10", `flags 20 \Seen`}},
		"flags of an unknown":    {`* 4 FETCH (FLAGS (\Seen))`, []string{"changed"}},
		"learned on the way":     {"* 4 FETCH (UID 40 FLAGS ())\r\n* 4 FETCH (FLAGS (x))\r\n* 4 EXPUNGE", []string{"flags 40 ", "flags 40 x", "expunged 40"}},
		"flags past the end":     {"* 9 FETCH (FLAGS ())\r\n* 0 FETCH (FLAGS ())", []string{"changed", "changed"}},
		"mailutils":              {"* 1 EXPUNGED\r\n* 3 EXISTS", []string{"lost: EXPUNGED"}},
		"fewer":                  {"* 3 EXISTS\r\n* 2 EXISTS", []string{"lost: fewer EXISTS without EXPUNGE"}},
		"go-imap":                {"* 0 EXPUNGE\r\n* 1 EXPUNGE", []string{"lost: EXPUNGE of a number that is no message's"}},
		"past the end":           {"* 5 EXPUNGE", []string{"lost: EXPUNGE of a number that is no message's"}},
		"another UID":            {`* 2 FETCH (UID 21 FLAGS ())`, []string{"lost: another UID at the same number", "flags 21 "}},
		"another UIDVALIDITY":    {"* OK [UIDVALIDITY 8] new", []string{"lost: another UIDVALIDITY"}},
		"VANISHED":               {"* VANISHED 1:5", []string{"lost: VANISHED"}},
		"after it was lost":      {"* 3 EXISTS\r\n* 2 FETCH (UID 20 FLAGS (a))\r\n* 2 FETCH (FLAGS (a))\r\n* 9 EXISTS", []string{"lost: fewer EXISTS without EXPUNGE", "flags 20 a", "changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &recorded{}
			c := examined(t, "4", rec, func(p *peer) {
				p.answer("UID FETCH 1:39 (UID)", "* 1 FETCH (UID 10)", "* 2 FETCH (UID 20)", "* 3 FETCH (UID 30)")
				p.answer("NOOP", test.sent)
			})
			if err := c.FetchMeta(t.Context(), UIDSet{{First: 1, Last: 39}}, 0, func(Meta) {}); err != nil {
				t.Error(err)
			}
			if err := c.Noop(t.Context()); err != nil {
				t.Error(err)
			}
			rec.want(t, test.want...)
		})
	}
}

func TestTheRecorderOfAMailboxThatWasLeftIsToldNothing(t *testing.T) {
	old, fresh := &recorded{}, &recorded{}
	c := examined(t, "4", old, func(p *peer) {
		p.answer(`EXAMINE "B"`, "* 9 EXISTS", "* OK [CLOSED]", "* 2 EXISTS")
		p.answer("NOOP", "* 3 EXISTS")
	})
	if data, err := c.Examine(t.Context(), "B", fresh); err != nil || data.Exists != 2 {
		t.Errorf("%+v, %v", data, err)
	}
	if err := c.Noop(t.Context()); err != nil {
		t.Error(err)
	}
	old.want(t)
	fresh.want(t, "exists 3")
}

// The table against a plain slice.
func TestTheSequenceTableKeepsNumbersAndUIDsTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var table seqTable
	var plain []UID
	next := UID(1)
	for range 20_000 {
		switch n := uint32(len(plain)); {
		case n == 0 || r.IntN(100) == 0:
			more := uint32(r.IntN(9000))
			if err := table.grow(n + more); err != nil {
				t.Fatal(err)
			}
			plain = append(plain, make([]UID, more)...)
		case r.IntN(2) == 0:
			i := r.IntN(len(plain))
			for range min(50, len(plain)-i) {
				table.set(SeqNum(i+1), next)
				plain[i] = next
				next++
				i++
			}
		default:
			i := r.IntN(len(plain))
			if got := table.expunge(SeqNum(i + 1)); got != plain[i] {
				t.Fatalf("expunged %d, want %d", got, plain[i])
			}
			plain = append(plain[:i], plain[i+1:]...)
		}
		if len(plain) > 0 {
			i := r.IntN(len(plain))
			if got := table.uid(SeqNum(i + 1)); got != plain[i] || table.n != uint32(len(plain)) {
				t.Fatalf("number %d is %d of %d, want %d of %d", i+1, got, table.n, plain[i], len(plain))
			}
		}
	}
	if table.holds(0) || table.holds(SeqNum(table.n+1)) {
		t.Error("it holds what is not there")
	}
}

func BenchmarkSequenceTableExpungeOfAMillion(b *testing.B) {
	var table seqTable
	table.grow(1_000_000)
	for i := range SeqNum(1_000_000) {
		table.set(i+1, UID(i+1))
	}
	for b.Loop() {
		if table.n < 10 {
			table.grow(1_000_000)
		}
		table.expunge(SeqNum(table.n / 2))
	}
}
