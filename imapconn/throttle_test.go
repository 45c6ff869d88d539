package imapconn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottledIsToldByCodeAndByFewPhrases(t *testing.T) {
	for _, c := range []struct {
		e     StatusError
		pause time.Duration
		want  bool
	}{
		{StatusError{Op: "LOGIN", Type: "NO", Code: "LIMIT", Text: "Too many connections"}, 0, true},
		{StatusError{Op: "UID FETCH", Type: "NO", Code: "OVERQUOTA", Text: "Account exceeded command or bandwidth limits."}, 0, true},
		{StatusError{Op: "EXAMINE", Type: "NO", Code: "THROTTLED", Text: "slow down"}, 0, true},
		{StatusError{Op: "AUTHENTICATE", Type: "NO", Code: "UNAVAILABLE", Text: "try again"}, 0, true},
		{StatusError{Op: "session", Type: "BYE", Code: "LIMIT"}, 0, true},
		{StatusError{Op: "UID FETCH", Type: "BAD", Text: "Request is throttled. Suggested Backoff Time: 299961 milliseconds"}, 299961 * time.Millisecond, true},
		{StatusError{Op: "APPEND", Type: "NO", Text: "Request is throttled. Suggested Backoff Time: 5000 milliseconds"}, 5 * time.Second, true},
		{StatusError{Op: "EXAMINE", Type: "NO", Text: "Suggested Backoff Time: 99999999 milliseconds"}, maxSuggested, true},
		{StatusError{Op: "greeting", Type: "BYE", Text: "Too many simultaneous connections. (Failure)"}, 0, true},
		{StatusError{Op: "LOGIN", Type: "NO", Text: "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)"}, 0, true},
		// What is to be stored is too much: later is no better.
		{StatusError{Op: "APPEND", Type: "NO", Code: "OVERQUOTA"}, 0, false},
		{StatusError{Op: "UID COPY", Type: "NO", Code: "LIMIT"}, 0, false},
		{StatusError{Op: "UID STORE", Type: "NO", Code: "LIMIT", Text: "too many keywords"}, 0, false},
		{StatusError{Op: "LOGIN", Type: "NO", Code: "AUTHENTICATIONFAILED", Text: "Invalid credentials"}, 0, false},
		{StatusError{Op: "EXAMINE", Type: "NO", Code: "NONEXISTENT"}, 0, false},
		{StatusError{Op: "EXAMINE", Type: "NO", Text: "Suggested Backoff Time: soon"}, 0, true},
	} {
		for _, err := range []error{&c.e, fmt.Errorf("in a load: %w", &c.e), &AuthError{Err: &c.e}, &ConnError{Err: &c.e}} {
			if pause, ok := Throttled(err); ok != c.want || pause != c.pause {
				t.Errorf("%v: %v, %v; want %v, %v", err, pause, ok, c.pause, c.want)
			}
		}
	}
	if _, ok := Throttled(errors.New("[LIMIT] is no code here")); ok {
		t.Error("an error that is no server's counts")
	}
}

func FuzzThrottled(f *testing.F) {
	f.Add("Request is throttled. Suggested Backoff Time: 299961 milliseconds")
	f.Add("suggested backoff time:-1")
	f.Fuzz(func(t *testing.T, text string) {
		pause, ok := Throttled(&StatusError{Op: "UID FETCH", Type: "NO", Text: text})
		if pause < 0 || pause > maxSuggested || pause > 0 && !ok {
			t.Errorf("%q: %v, %v", text, pause, ok)
		}
	})
}

// The time is synthetic: what is measured is what was waited for.
func TestABandwidthIsKeptBothWaysAndIsNoSilence(t *testing.T) {
	const perSecond, octets = 100 << 10, 1 << 20
	for name, move := range map[string]func(l limited, far net.Conn){
		"down": func(l limited, far net.Conn) {
			go func() { far.Write(make([]byte, octets)); far.Close() }()
			if n, err := io.Copy(io.Discard, l); n != octets || err != nil {
				t.Errorf("%d octets came, %v", n, err)
			}
		},
		"up": func(l limited, far net.Conn) {
			got := make(chan int64)
			go func() { n, _ := io.Copy(io.Discard, far); got <- n }()
			if n, err := l.Write(make([]byte, octets)); n != octets || err != nil {
				t.Errorf("%d octets went, %v", n, err)
			}
			l.Close()
			if n := <-got; n != octets {
				t.Errorf("%d octets arrived", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				c := clock{start: time.Now()}
				silent := time.Duration(0)
				stop := make(chan struct{})
				go func() {
					for {
						select {
						case <-time.After(100 * time.Millisecond):
							silent = max(silent, c.since())
						case <-stop:
							return
						}
					}
				}()
				begun := time.Now()
				m := meter{near, &c, time.Minute, new(Traffic), new(Traffic)}
				move(limited{m, NewBandwidth(perSecond), &c, make(chan struct{})}, far)
				took := time.Since(begun)
				close(stop)
				synctest.Wait()
				if want := octets / perSecond * time.Second; took < want*9/10 || took > want*11/10 {
					t.Errorf("%d octets took %v, want about %v", octets, took, want)
				}
				if silent > 2*time.Second {
					t.Errorf("the clock stood still for %v", silent)
				}
				if in, out := m.all.In(), m.all.Out(); in+out != octets {
					t.Errorf("counted %d in, %d out", in, out)
				}
			})
		})
	}
}

func TestADeadConnectionDoesNotWaitForItsBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		done := make(chan struct{})
		c := clock{start: time.Now()}
		l := limited{meter{near, &c, time.Minute, new(Traffic), new(Traffic)}, NewBandwidth(1), &c, done}
		go io.Copy(io.Discard, far)
		wrote := make(chan struct{})
		go func() { l.Write([]byte(strings.Repeat("x", 1<<20))); close(wrote) }()
		time.Sleep(3 * time.Second)
		close(done)
		near.Close()
		begun := time.Now()
		<-wrote
		if took := time.Since(begun); took > 0 {
			t.Errorf("after %v", took)
		}
		far.Close()
	})
}
