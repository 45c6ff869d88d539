package imapconn

import (
	"testing"

	"imapfs/imapconn/imapwire"
)

// What is given once a FETCH is being sent is behind it, and waits for no answer.
func TestWhatIsGivenBehindAFetchSharesItsFlight(t *testing.T) {
	t.Parallel()
	c := examined(t, "3", nil, func(p *peer) {
		first := p.hear("UID FETCH 1,3 (UID INTERNALDATE RFC822.SIZE)")
		second := p.hear("UID FETCH 2 (UID BODY.PEEK[])")
		p.say("* 2 FETCH (UID 2 BODY[] {3}", "abc)", second+" OK", "* 3 FETCH (UID 3 RFC822.SIZE 7)", first+" OK")
	})
	var text Text
	var size int64
	read := func() error { return nil }
	err := c.FetchMetaFirst(t.Context(), imapwire.SetOf(1, 3), MetaDate|MetaSize, func() {
		read = pending(func() error {
			return c.FetchText(t.Context(), imapwire.SetOf(2), Part{}, func(x Text) { text = x })
		})
	}, func(m Meta) { size = m.Size })
	if err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil || text.Octets != 3 || size != 7 {
		t.Errorf("%d octets of text, a size of %d, %v", text.Octets, size, err)
	}
}

func TestAFetchOfNothingIsNotQueued(t *testing.T) {
	t.Parallel()
	c := examined(t, "3", nil, func(*peer) {})
	err := c.FetchMetaFirst(t.Context(), nil, MetaSize, func() { t.Error("it is being sent") }, nil)
	if err != nil {
		t.Error(err)
	}
}
