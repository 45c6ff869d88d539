package testdata

import (
	"bytes"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"imapfs/imapconn/imapwire"
)

func TestMessagesAreAnAccountToTryThingsOn(t *testing.T) {
	mailboxes := map[string]int{}
	invoices, flagged := 0, 0
	for _, m := range Messages() {
		mailboxes[m.Mailbox]++
		if bytes.Contains(bytes.ReplaceAll(m.Text, []byte("\r\n"), nil), []byte("\n")) {
			t.Errorf("%s: a bare line feed", m.Mailbox)
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(m.Text))
		if err != nil || m.Date.IsZero() {
			t.Errorf("%s: %v, date %v", m.Mailbox, err, m.Date)
			continue
		}
		if strings.Contains(parsed.Header.Get("Subject"), BigSubject) && len(m.Text) < 3<<20-1<<18 {
			t.Errorf("the big one has %d octets", len(m.Text))
		}
		if bytes.Contains(m.Text, []byte("invoice")) {
			invoices++
		}
		if slices.Contains(m.Flags, `\Flagged`) {
			flagged++
		}
	}
	want := map[string]int{"INBOX": 13, "Lists/golang": 3, "Archive/2024": 2, "Архив/2025": 1}
	for name, n := range want {
		if mailboxes[name] != n {
			t.Errorf("%s holds %d messages, want %d", name, mailboxes[name], n)
		}
	}
	if len(mailboxes) != len(want) || invoices < 4 || flagged != 1 {
		t.Errorf("%d mailboxes, %d invoices, %d flagged", len(mailboxes), invoices, flagged)
	}
	if imapwire.EncodeUTF7("Архив") == "Архив" {
		t.Error("no mailbox with a non-ASCII name")
	}
}

func TestTheBigMessageIsAlwaysTheSame(t *testing.T) {
	if !bytes.Equal(big(), big()) {
		t.Error("it changes")
	}
}

func TestNastyTextsDiffer(t *testing.T) {
	seen := map[string]string{}
	for name, text := range Nasty() {
		if len(text) == 0 || bytes.IndexByte(text, 0) >= 0 {
			t.Errorf("%s is empty or has a NUL, which servers do not store", name)
		}
		if other, is := seen[string(text)]; is {
			t.Errorf("%s and %s are the same", name, other)
		}
		seen[string(text)] = name
	}
}
