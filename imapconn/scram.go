package imapconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// The mechanisms of RFC 5802 and RFC 7677.
const (
	scramSHA256Plus = "SCRAM-SHA-256-PLUS"
	scramSHA256     = "SCRAM-SHA-256"
	scramSHA1       = "SCRAM-SHA-1"
)

// maxIterations bounds how often a server may have a password hashed: a third of a
// second. What is recommended to servers goes up to 600,000; package scram asks for
// 4,096 at least.
const maxIterations = 1_000_000

// errImpostor is a server that has let us in and does not know the password.
var errImpostor = errors.New("server does not prove that it knows the password")

// errBinding is a server that offers to bind a login to TLS and does not know the way
// that RFC 9266 has for the version of TLS in use. Cyrus 3.6 knows tls-unique only,
// which TLS 1.3 has not. That is no word about the password, and nobody gains by
// it: who could make it up could as well offer PLAIN alone.
var errBinding = errors.New("server binds a login to TLS in another way")

// libsaslBadProtocol is what a server with Cyrus SASL says then, and of no password
// (SASL_BADPROT; a wrong password is "authentication failure").
const libsaslBadProtocol = "bad protocol / cancel"

// scramClient is SCRAM in the terms of package sasl.
type scramClient struct {
	name  string
	conv  *scram.ClientConversation
	steps int // of the server's messages that were read
}

// scramBy makes the mechanism of a name.
func scramBy(name string) func(*Client, *Dialer, Credentials) (*attempt, error) {
	return func(c *Client, d *Dialer, cred Credentials) (*attempt, error) {
		hash := scram.SHA256
		if name == scramSHA1 {
			hash = scram.SHA1
		}
		client, err := hash.NewClient(cred.User, cred.Password, "")
		if err != nil {
			// SASLprep knows the characters of Unicode 3.2: no emoji, say. Who has set
			// such a password has not prepared it either.
			if client, err = hash.NewClientUnprepped(cred.User, cred.Password, ""); err != nil {
				return nil, err
			}
		}
		a, err := c.authenticate(&scramClient{name: name, conv: c.converse(client, name)}, nil)
		if err == nil {
			a.private = true
		}
		return a, err
	}
}

// converse begins a conversation, and says what RFC 5802 §6 wants said of channel
// binding: that it is used; or that it would be, had the server offered it, which
// tells the server of a man in the middle who took it out of the offer.
func (c *Client) converse(client *scram.Client, name string) *scram.ClientConversation {
	plus := false
	for _, offer := range c.Caps().Names() {
		plus = plus || strings.HasPrefix(offer, "AUTH=SCRAM-") && strings.HasSuffix(offer, "-PLUS")
	}
	switch binding := c.binding(); {
	case name == scramSHA256Plus:
		return client.NewConversationWithChannelBinding(binding)
	case binding.IsSupported() && !plus:
		return client.NewConversationAdvertisingChannelBinding()
	}
	return client.NewConversation()
}

// binding is what binds a login to the TLS connection: tls-exporter under TLS 1.3
// (RFC 9266 §3); before it tls-unique, which servers must have (RFC 5802 §6.1), or
// else tls-server-end-point. None in the clear.
func (c *Client) binding() scram.ChannelBinding {
	state := c.tls.Load()
	if state == nil {
		return scram.ChannelBinding{}
	}
	var binding scram.ChannelBinding
	var err error
	switch {
	case state.Version >= tls.VersionTLS13:
		binding, err = scram.NewTLSExporterBinding(state)
	case len(state.TLSUnique) > 0: // with the extended master secret only, without which it is unsafe
		binding = scram.NewTLSUniqueBinding(state.TLSUnique)
	default:
		binding, err = scram.NewTLSServerEndpointBinding(state)
	}
	if err != nil {
		return scram.ChannelBinding{}
	}
	return binding
}

// Start gives the client's first message.
func (s *scramClient) Start() (mech string, ir []byte, err error) {
	first, err := s.conv.Step("")
	return s.name, []byte(first), err
}

// Next answers the server's first message with the proof, and its last, when that
// is right, with nothing.
func (s *scramClient) Next(challenge []byte) ([]byte, error) {
	s.steps++
	if s.steps == 1 {
		if err := checkIterations(string(challenge)); err != nil {
			return nil, err
		}
	}
	response, err := s.conv.Step(string(challenge))
	switch {
	case err == nil:
		return []byte(response), nil
	case string(challenge) == scram.ErrUnsupportedChannelBindingType:
		return nil, errBinding
	case s.steps == 1:
		return nil, fmt.Errorf("%s: %w", s.name, err)
	case strings.HasPrefix(string(challenge), "e="):
		return nil, errRefusedBySCRAM
	}
	return nil, errImpostor
}

// errRefusedBySCRAM is the server's no in the words of SCRAM; that of IMAP follows.
var errRefusedBySCRAM = errors.New("server refuses the password")

// proved reports whether the server has shown that it knows the password.
func (s *scramClient) proved() bool { return s.conv.Valid() }

// checkIterations looks at i= in the server's first message, before anything is
// computed for it.
func checkIterations(message string) error {
	fields := strings.Split(message, ",")
	if len(fields) < 3 {
		return nil // package scram says what is wrong with it
	}
	n, err := strconv.Atoi(strings.TrimPrefix(fields[2], "i="))
	if err == nil && n > maxIterations {
		return fmt.Errorf("server wants the password hashed %d times, which is more than %d", n, maxIterations)
	}
	return nil
}
