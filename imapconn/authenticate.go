package imapconn

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/emersion/go-sasl"
)

// maxChallenges bounds the questions of one AUTHENTICATE.
const maxChallenges = 16

// authenticate builds AUTHENTICATE (RFC 3501 §6.2.2), the first response in the
// command line where SASL-IR is offered (RFC 4959). A challenge that the
// mechanism does not understand is answered with abort: the OAuth mechanisms get
// the reason of a refusal so, and the server says NO only after an answer
// (RFC 7628 §3.2.3); nil cancels with *, or ends XOAUTH2 with an empty line.
func (c *Client) authenticate(mech sasl.Client, abort []byte) (*command, error) {
	name, first, err := mech.Start()
	if err != nil {
		return nil, err
	}
	cmd := c.newCommand("AUTHENTICATE")
	cmd.mechanism = name
	cmd.alone = true
	cmd.enc.Raw(" " + name)
	cmd.secrets = []string{encodeResponse(first, false)}
	if first != nil && c.Caps().Has("SASL-IR") {
		cmd.enc.Raw(" ").RawSecret(encodeResponse(first, true))
		first = nil
	}
	cmd.dialogue = func(cmd *command) error {
		for range maxChallenges {
			challenge, ok, err := c.awaitPlus(cmd)
			if err != nil || !ok {
				return err
			}
			response := first
			if first == nil {
				if response, err = next(mech, challenge); err != nil {
					if abort == nil {
						c.sink.plain("*\r\n")
						continue
					}
					response = abort
				}
			}
			first = nil
			c.sink.secret(encodeResponse(response, false))
		}
		return errors.New("server asks on and on instead of answering AUTHENTICATE")
	}
	return cmd, nil
}

// next decodes a challenge and asks the mechanism for its answer.
func next(mech sasl.Client, challenge []byte) ([]byte, error) {
	decoded, err := base64.StdEncoding.DecodeString(string(challenge))
	if err != nil {
		return nil, fmt.Errorf("unreadable challenge: %w", err)
	}
	return mech.Next(decoded)
}

// encodeResponse encodes a response; an empty one in the command line is =.
func encodeResponse(response []byte, inLine bool) string {
	if len(response) == 0 && inLine {
		return "="
	}
	return base64.StdEncoding.EncodeToString(response)
}

// xoauth2 is Google's and Microsoft's mechanism from before OAUTHBEARER.
type xoauth2 struct{ user, token string }

// Start gives the only response.
func (x xoauth2) Start() (mech string, ir []byte, err error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers the reason of a refusal with an empty line, after which the
// server says NO.
func (xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }
