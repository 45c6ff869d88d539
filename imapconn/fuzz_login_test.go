package imapconn

import (
	"bytes"
	"context"
	"encoding/base64"
	"net"
	"strings"
	"testing"
	"time"
)

// FuzzLogin plays octets to a Client that logs in by one mechanism, as FuzzSession
// does: a part after each line that it says. It must come to an end, and a server that
// does not know the password must not get anywhere by SCRAM, whatever it says.
func FuzzLogin(f *testing.F) {
	const ok = "a1 OK [CAPABILITY IMAP4rev1] in\r\n\x1ea2 OK\r\n"
	challenge := func(s string) string { return "+ " + b64(s) + "\r\n\x1e" }
	for i := range mechanisms {
		f.Add([]byte("+ \r\n\x1e"+challenge("r=nonce,s=c2FsdA==,i=4096")+challenge("v=c2lnbmF0dXJl")+ok), byte(i))
		f.Add([]byte(challenge("e=invalid-proof")+"a1 NO wrong\r\n"), byte(i))
		f.Add([]byte(challenge("")+challenge("Username:")+challenge("Password:")+ok), byte(i))
		f.Add([]byte("+ no base64\r\n\x1e"+ok), byte(i))
		f.Add([]byte(ok), byte(i))
	}
	f.Fuzz(func(t *testing.T, sent []byte, by byte) {
		mech := mechanisms[int(by)%len(mechanisms)]
		near, far := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			hello := "* OK [CAPABILITY IMAP4rev1 AUTH=" + mech.name + "] hi\r\n\x1e"
			playParts(far, bytes.Split(append([]byte(hello), sent...), []byte{0x1e}), 0, 2*time.Millisecond)
		}()
		d := &Dialer{
			Host: "fuzz", TLS: TLSNone, Timeout: 5 * time.Second, Mechanism: mech.name,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
			Credentials: func(context.Context) (Credentials, error) {
				if mech.wants == "a token" {
					return Credentials{User: "u", Token: "t"}, nil
				}
				return Credentials{User: "u", Password: "p"}, nil
			},
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c, err := d.Dial(ctx)
		if err == nil {
			c.Close()
			if strings.HasPrefix(mech.name, "SCRAM") {
				t.Error("an impostor was believed")
			}
		}
		<-served
		if ctx.Err() != nil {
			t.Error("a login that waits for ever")
		}
	})
}

// FuzzSCRAM is the part of FuzzLogin that cannot be reached from outside, where the
// server's first message has to extend the client's nonce: tail is what it adds, with
// salt and iterations, last its last message.
func FuzzSCRAM(f *testing.F) {
	f.Add("more,s=c2FsdA==,i=4096", "v=c2lnbmF0dXJl")
	f.Add("more,s=c2FsdA==,i=4096,ext=1", "v=")
	f.Add(",s=,i=4096", "e=other-error")
	f.Add(",s=c2FsdA==,i=+99999999", "")
	f.Add(",s=c2FsdA==,i=99999999999999999999", "v")
	f.Fuzz(func(t *testing.T, tail, last string) {
		for _, name := range []string{scramSHA1, scramSHA256} {
			a, err := scramBy(name)(&Client{}, nil, Credentials{User: "u", Password: "p"})
			if err != nil {
				t.Fatal(err)
			}
			s := a.mech.(*scramClient)
			first, err := base64.StdEncoding.DecodeString(a.said[0])
			if err != nil {
				t.Fatal(err)
			}
			_, nonce, _ := strings.Cut(string(first), "r=")
			if _, err := next(s, []byte(b64("r="+nonce+tail))); err != nil {
				continue
			}
			if _, err := next(s, []byte(b64(last))); err == nil || s.proved() {
				t.Errorf("%s: an impostor was believed", name)
			}
		}
	})
}
