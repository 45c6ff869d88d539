package imapconn

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"

	"github.com/emersion/go-sasl"
)

// cramMD5 is CRAM-MD5 (RFC 2195). The server needs the password itself, and whoever
// has heard the exchange can guess at it: it is used only where it is asked for.
type cramMD5 struct {
	user, password string
	answered       bool
}

// Start gives no response: the server speaks first.
func (*cramMD5) Start() (mech string, ir []byte, err error) { return "CRAM-MD5", nil, nil }

// Next answers the challenge, once.
func (m *cramMD5) Next(challenge []byte) ([]byte, error) {
	if m.answered {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	m.answered = true
	mac := hmac.New(md5.New, []byte(m.password))
	mac.Write(challenge)
	return []byte(m.user + " " + hex.EncodeToString(mac.Sum(nil))), nil
}
