package imapconn

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// Many callers, a third of whom give up, and an idler share one connection that
// brings octet by octet now and then: everybody gets what they asked for.
func TestManyCallersOnOneConnectionEachGetTheirOwn(t *testing.T) {
	if testing.Short() {
		return
	}
	s, mail := dovecot(t, 60)
	p := imaptest.NewProxy(t, s.Addr)
	c := dial(t, toDovecot(t, s, p.Addr, TLSNone))
	if _, err := c.Examine(t.Context(), "INBOX", &recorded{}); err != nil {
		t.Fatal(err)
	}
	byUID := make(map[UID][]byte)
	if err := c.FetchText(t.Context(), AllUIDs(), Part{}, func(x Text) { byUID[x.UID] = bytes.Join(x.Chunks, nil) }); err != nil || len(byUID) != len(mail) {
		t.Fatalf("%d texts, %v", len(byUID), err)
	}
	end := time.Now().Add(2 * time.Second)
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; time.Now().Before(end); i++ {
			p.Drip(i%4 == 0)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			if err := c.Idle(ctx); err != nil {
				t.Error(err)
			}
			cancel()
		}
		p.Drip(false)
	})
	for range 20 {
		group.Go(func() {
			for time.Now().Before(end) {
				ctx, cancel := context.WithCancel(context.Background())
				if rand.IntN(3) == 0 {
					time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, cancel)
				}
				u := UID(rand.IntN(len(mail)) + 1)
				got, err := askSomething(ctx, c, u, byUID[u])
				if err != nil && !errors.Is(err, context.Canceled) || err == nil && !got {
					t.Errorf("UID %d: got its own %v, %v", u, got, err)
				}
				cancel()
			}
		})
	}
	group.Wait()
}

// askSomething gives a command about a message and reports whether the answer
// is that message's.
func askSomething(ctx context.Context, c *Client, u UID, text []byte) (right bool, err error) {
	set := UIDSet{{First: u, Last: u}}
	switch rand.IntN(4) {
	case 0:
		p := Part{Offset: rand.Int64N(3000), Octets: 1 + rand.Int64N(3000), Chunk: 1000}
		want := text[min(p.Offset, int64(len(text))):min(p.Offset+p.Octets, int64(len(text)))]
		err = c.FetchText(ctx, set, p, func(x Text) {
			right = x.UID == u && bytes.Equal(bytes.Join(x.Chunks, nil), want)
		})
	case 1:
		err = c.FetchText(ctx, set, Part{}, func(x Text) {
			right = x.UID == u && bytes.Equal(bytes.Join(x.Chunks, nil), text)
		})
	case 2:
		err = c.FetchMeta(ctx, set, MetaAll, func(m Meta) { right = right || m.UID == u && m.Size == int64(len(text)) })
	case 3:
		var list []ListData
		list, err = c.List(ctx, "", "*")
		right = len(list) > 0
	}
	return right, err
}
