package imapconn

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/emersion/go-sasl"
)

// maxChallenges bounds the questions of one AUTHENTICATE.
const maxChallenges = 16

// attempt is one try to log in.
type attempt struct {
	cmd     *command
	mech    sasl.Client // nil: LOGIN, the command
	private bool        // what the server asks is not for a trace: with it the password could be guessed

	// The writing goroutine's own until cmd.written is closed, but for the first
	// response, which is there before it starts.
	said   []string // the responses as they are sent
	failed error    // why we broke it off
}

// authenticate builds AUTHENTICATE (RFC 3501 §6.2.2), the first response in the
// command line where SASL-IR is offered (RFC 4959). A challenge that the
// mechanism does not understand is answered with abort: the OAuth mechanisms get
// the reason of a refusal so, and the server says NO only after an answer
// (RFC 7628 §3.2.3); nil cancels with *.
func (c *Client) authenticate(mech sasl.Client, abort []byte) (*attempt, error) {
	name, first, err := mech.Start()
	if err != nil {
		return nil, err
	}
	cmd := c.newCommand("AUTHENTICATE")
	cmd.mechanism = name
	cmd.alone, cmd.written = true, make(chan struct{})
	cmd.enc.Raw(" " + name)
	a := &attempt{cmd: cmd, mech: mech, said: []string{encodeResponse(first, false)}}
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
				if response, err = next(mech, challenge); err != nil && abort == nil {
					a.failed = err
					c.sink.plain("*\r\n")
					continue
				}
				if err != nil {
					response = abort
				}
			}
			first = nil
			line := encodeResponse(response, false)
			a.said = append(a.said, line)
			c.trace.also(line)
			c.sink.secret(line)
		}
		return errors.New("server asks on and on instead of answering AUTHENTICATE")
	}
	return a, nil
}

// outcome is why an attempt that the server has answered counts as failed all the
// same, or with other words than the server's.
func (a *attempt) outcome(admitted bool) error {
	prover, proves := a.mech.(interface{ proved() bool })
	switch {
	case a.failed != nil && (admitted || !errors.Is(a.failed, errRefusedBySCRAM)):
		return a.failed
	case admitted && proves && !prover.proved():
		return errImpostor
	}
	return nil
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
