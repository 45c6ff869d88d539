package imaptest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
)

func needDovecot(t *testing.T, o DovecotOptions) *Dovecot {
	if testing.Short() {
		t.Skip("starts a Dovecot")
	}
	return StartDovecot(t, o)
}

func TestDovecotServesWhatWasDelivered(t *testing.T) {
	d := needDovecot(t, DovecotOptions{})
	d.Deliver(t, "INBOX", []byte("Subject: one\n\nfirst\n"))
	d.Deliver(t, "Архив/2025", []byte("Subject: two\r\n\r\nsecond\r\n"))
	user := "LOGIN " + d.User + " " + d.Password
	got := talk(t, d.Addr, user, "EXAMINE INBOX", "UID FETCH 1:* (RFC822.SIZE BODY.PEEK[])",
		`EXAMINE "&BBAEQARFBDgEMg-/2025"`, "UID FETCH 1:* RFC822.SIZE", "LOGOUT")
	wants(t, got, "* 1 EXISTS", "RFC822.SIZE 23", "Subject: one\r\n\r\nfirst\r\n", "* 1 EXISTS", "RFC822.SIZE 24", "t5 OK")
	if out := d.Doveadm("mailbox", "status", "-u", d.User, "messages", "INBOX"); !strings.Contains(out, "messages=1") {
		t.Errorf("doveadm says %q", out)
	}
}

func TestDovecotStartsAgainOnTheSamePort(t *testing.T) {
	d := needDovecot(t, DovecotOptions{})
	d.Stop()
	if greets(d.Addr) == nil {
		t.Error("answers when stopped")
	}
	d.Start()
	wants(t, talk(t, d.Addr, "LOGIN "+d.User+" "+d.Password), "t0 OK")
}

func TestDovecotSpeaksTLSUnlessToldNotTo(t *testing.T) {
	d := needDovecot(t, DovecotOptions{})
	pem, err := os.ReadFile(d.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c, err := tls.Dial("tcp", d.TLSAddr, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	greeting := make([]byte, 4)
	if _, err := c.Read(greeting); err != nil || !bytes.Equal(greeting, []byte("* OK")) {
		t.Errorf("greeted with %q, %v", greeting, err)
	}
	bare := needDovecot(t, DovecotOptions{NoTLS: true})
	if got := talk(t, bare.Addr, "CAPABILITY"); strings.Contains(got, "STARTTLS") {
		t.Errorf("STARTTLS without TLS: %s", got)
	}
}
