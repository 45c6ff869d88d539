package imapconn

import (
	"bytes"
	"errors"
	"testing"
)

// old is a connection to a script, on a server of RFC 1730, with a mailbox of 5.
func old(t *testing.T, script func(*peer)) *Client {
	t.Helper()
	c := dial(t, play(t, func(p *peer) {
		p.login("IMAP4")
		p.answer(`EXAMINE "INBOX"`, `* FLAGS (\Seen)`, "* 5 EXISTS", "* OK [UIDVALIDITY 7] v")
		script(p)
		p.drain()
	}))
	if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPARTIALIsBelievedOnlyWhenItCanBeOfNoOtherMessage(t *testing.T) {
	const ask = "UID FETCH 70 (UID)"
	efg := "* 3 FETCH (RFC822 {3}\r\nefg)"
	for name, c := range map[string]struct {
		script func(*peer)
		want   string // "": left out
		err    error
	}{
		"right": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", efg)
		}, "efg", nil},
		"by its own name, with flags": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", "* 2 FETCH (FLAGS (a))", "* 3 FETCH (RFC822.PEEK \"efg\" FLAGS (\\Seen))")
		}, "efg", nil},
		"without parentheses": {func(p *peer) {
			p.answer(ask, "* 3 FETCH UID 70")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", "* 3 FETCH RFC822 {3}\r\nefg")
		}, "efg", nil},
		"EXPUNGE before the answer": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", "* 1 EXPUNGE", "* 3 FETCH (RFC822 {3}\r\nXYZ)")
			p.answer("NOOP")
			p.answer("PARTIAL 2 RFC822.PEEK 5 3", "* 2 FETCH (RFC822 {3}\r\nefg)")
		}, "efg", nil},
		"EXPUNGE behind the answer": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", "* 3 FETCH (RFC822 {3}\r\nXYZ)", "* 2 EXPUNGE")
			p.answer("NOOP", "* 1 EXPUNGE")
			p.answer("PARTIAL 1 RFC822.PEEK 5 3", "* 1 FETCH (RFC822 {3}\r\nefg)")
		}, "efg", nil},
		"EXPUNGE of the message itself": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", efg, "* 3 EXPUNGE")
			p.answer("NOOP")
			p.answer(ask)
		}, "", nil},
		"the number of another message": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", "* 2 FETCH (RFC822 {3}\r\nXYZ)")
		}, "", nil},
		"two answers": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", "* 3 FETCH (RFC822 {3}\r\nXYZ)", efg)
			p.answer("NOOP")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", efg)
		}, "efg", nil},
		"gone": {func(p *peer) { p.answer(ask) }, "", nil},
		"another message under its number": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", "* 3 FETCH (UID 71 RFC822 {3}\r\nXYZ)")
			p.answer("NOOP")
		}, "", ErrNumbers},
		"fewer messages": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.answer("PARTIAL 3 RFC822.PEEK 5 3", "* 2 EXISTS", efg)
			p.answer("NOOP")
		}, "", ErrNumbers},
		"no PARTIAL": {func(p *peer) {
			p.answer(ask, "* 3 FETCH (UID 70)")
			p.say(p.hear("PARTIAL 3 RFC822.PEEK 5 3") + " BAD what")
		}, "", ErrNotOffered},
		"numbers that never rest": {func(p *peer) {
			p.answer(ask, "* 5 FETCH (UID 70)")
			for range partialTries {
				p.answer("PARTIAL 5 RFC822.PEEK 5 3", "* 5 FETCH (RFC822 {3}\r\nXYZ)", "* 1 EXPUNGE")
				p.answer("NOOP", "* 5 EXISTS", "* 4 FETCH (FLAGS ())", "* 1 EXPUNGE", "* 5 EXISTS", "* 3 EXPUNGE", "* 5 EXISTS", "* 5 FETCH (UID 70)")
				if p.t.Failed() {
					return
				}
			}
		}, "", ErrNumbers},
	} {
		t.Run(name, func(t *testing.T) {
			client := old(t, c.script)
			got, err := texts(t.Context(), client, UIDSet{{First: 70, Last: 70}}, Part{Offset: 4, Octets: 3})
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if c.want == "" {
				if len(got) > 0 {
					t.Errorf("%+v was believed", got)
				}
				return
			}
			if len(got) != 1 || string(bytes.Join(got[0].Chunks, nil)) != c.want || got[0].UID != 70 || got[0].Offset != 4 || got[0].Octets != 3 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestMoreThanPARTIALAskedForIsNoAnswer(t *testing.T) {
	c := old(t, func(p *peer) {
		p.answer("UID FETCH 70 (UID)", "* 3 FETCH (UID 70)")
		p.answer("PARTIAL 3 RFC822.PEEK 5 3", "* 3 FETCH (RFC822 {9}\r\nabcdefghi)")
	})
	if got, err := texts(t.Context(), c, UIDSet{{First: 70, Last: 70}}, Part{Offset: 4, Octets: 3}); err == nil || len(got) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPARTIALGoesAlone(t *testing.T) {
	asked := make(chan struct{})
	c := old(t, func(p *peer) {
		p.answer("UID FETCH 70 (UID)", "* 3 FETCH (UID 70)")
		tag := p.hear("PARTIAL 3 RFC822.PEEK 5 3")
		close(asked)
		// A NOOP that came now would come before the answer was sent.
		p.say("* OK still at it", "* 3 FETCH (RFC822 {3}\r\nefg)", tag+" OK done")
		p.answer("NOOP", "* 3 EXPUNGE")
	})
	noop := make(chan error)
	go func() {
		<-asked
		noop <- c.Noop(t.Context())
	}()
	got, err := texts(t.Context(), c, UIDSet{{First: 70, Last: 70}}, Part{Offset: 4, Octets: 3})
	if err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := <-noop; err != nil {
		t.Error(err)
	}
}
