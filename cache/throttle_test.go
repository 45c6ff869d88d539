package cache

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

func TestWhatAServerThrottlesIsAskedAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"Exchange": "BAD Request is throttled. Suggested Backoff Time: 40 milliseconds",
		"code":     "NO [THROTTLED] slow down, Suggested Backoff Time: 40 milliseconds",
	} {
		t.Run(name, func(t *testing.T) {
			s := imaptest.NewScripted(t)
			s.Mailbox("INBOX").Add(text(1, 1000))
			log := &kept{}
			a := openScripted(t, s, logInto(log))
			m := box(t, a, "INBOX")
			for _, command := range []string{"EXAMINE", "UID FETCH"} {
				var came atomic.Int32
				s.On(command, func(c *imaptest.Call) {
					if came.Add(1) <= 2 {
						c.Done(answer)
						return
					}
					c.Default()
				})
			}
			mustLoad(t, m)
			checkText(t, m, 1, text(1, 1000))
			if n := len(s.Commands("EXAMINE")); n < 5 {
				t.Errorf("%d EXAMINEs came, of which four were to be refused", n)
			}
			if n := a.Status().Throttled; n < 2 || n > 4 { // what is said while it rests does not count
				t.Errorf("throttled %d times", n)
			}
			if n := log.count("wants less to do"); n != 1 {
				t.Errorf("it is said %d times:\n%s", n, log.text())
			}
		})
	}
}

func TestALongRestIsToldAtOnceAndWhatIsCachedIsThere(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	in := s.Mailbox("INBOX")
	in.Add(text(1, 1000))
	in.Add(text(2, 1000))
	a := openScripted(t, s)
	m := box(t, a, "INBOX")
	v := mustLoad(t, m).Validity()
	checkText(t, m, 1, text(1, 1000))
	before := len(s.Commands("UID FETCH"))
	s.On("UID FETCH", func(c *imaptest.Call) {
		c.Done("NO Request is throttled. Suggested Backoff Time: 299961 milliseconds")
	})
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_, err := m.Open(ctx, v, 2)
		if ctx.Err() != nil {
			t.Error("the whole deadline was waited for")
		}
		cancel()
		wantKind(t, err, Busy)
	}
	if n := len(s.Commands("UID FETCH")) - before; n > 2 { // the spare connection's may have been under way
		t.Errorf("%d FETCHes: the server is not left alone", n)
	}
	checkText(t, m, 1, text(1, 1000))
}

// What is refused is one connection more, in the words of servers that have no code.
func TestARefusedConnectionIsNoRefusedPassword(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Mailbox("INBOX").Add(text(1, 1000))
	p := imaptest.NewProxy(t, s.Addr)
	log := &kept{}
	a := open(t, p.Addr, s.User, s.Password, logInto(log))
	m := box(t, a, "INBOX")
	mustLoad(t, m)
	var refused atomic.Int32
	s.On("LOGIN", func(c *imaptest.Call) {
		if refused.Add(1) <= 2 {
			c.Done("NO Maximum number of connections exceeded. Suggested Backoff Time: 30 milliseconds")
			return
		}
		c.Default()
	})
	p.Cut()
	checkText(t, m, 1, text(1, 1000))
	if refused.Load() < 3 {
		t.Errorf("%d logins", refused.Load())
	}
}

func logInto(log *kept) settings {
	return func(c *Config, _ *imapconn.Dialer) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) }
}
