package imapconn

import (
	"errors"
	"testing"

	"github.com/emersion/go-sasl"
)

// The example of RFC 2195 §2.
func TestCRAMMD5AnswersAsTheRFCDoes(t *testing.T) {
	m := &cramMD5{user: "tim", password: "tanstaaftanstaaf"}
	if name, first, err := m.Start(); name != "CRAM-MD5" || first != nil || err != nil {
		t.Errorf("%q, %q, %v", name, first, err)
	}
	got, err := m.Next([]byte("<1896.697170952@postoffice.reston.mci.net>"))
	if err != nil || string(got) != "tim b913a602c7eda7a495b4e6e7334d3890" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := m.Next([]byte("another")); !errors.Is(err, sasl.ErrUnexpectedServerChallenge) {
		t.Errorf("a second challenge: %v", err)
	}
}
