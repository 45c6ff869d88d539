package main

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"imapfs/cache"
	"imapfs/imapconn"
)

// checkReport is what imapfs check says, and the object of its --json.
type checkReport struct {
	Account string    `json:"account"` // user@host
	Server  string    `json:"server"`  // host:port
	Version string    `json:"version"` // of imapfs
	Time    time.Time `json:"time"`

	TLS          *checkedTLS         `json:"tls"` // null: in the clear
	Login        checkedLogin        `json:"login"`
	Compressed   bool                `json:"compressed"` // RFC 4978
	Capabilities []checkedCapability `json:"capabilities"`
	Unused       []string            `json:"capabilities_unused"` // those that are offered and of no use here
	RoundTrip    checkedRoundTrip    `json:"round_trip"`
	Mailboxes    checkedMailboxes    `json:"mailboxes"`
	Removal      checkedRemoval      `json:"rm"`
	Doubles      []checkedDouble     `json:"doubles"` // mailboxes whose messages are in others, too
	Slow         []string            `json:"slow"`
	Notes        []string            `json:"notes"`
}

type checkedTLS struct {
	Version     string             `json:"version"` // "TLS 1.3"
	CipherSuite string             `json:"cipher_suite"`
	Certificate checkedCertificate `json:"certificate"`
}

type checkedCertificate struct {
	Names    []string  `json:"names"`  // whom it is for
	Issuer   string    `json:"issuer"` // RFC 2253
	Until    time.Time `json:"until"`  // it is valid
	DaysLeft int       `json:"days_left"`
}

type checkedLogin struct {
	Offered   []string `json:"offered"`   // mechanisms, and LOGIN where the command may be used
	Mechanism string   `json:"mechanism"` // that was used; empty: the server had logged us in
}

type checkedCapability struct {
	Name    string `json:"name"`
	Offered bool   `json:"offered"`
	Gives   string `json:"gives"`
}

type checkedRoundTrip struct {
	Median  float64 `json:"median_seconds"`
	Longest float64 `json:"longest_seconds"`
	Count   int     `json:"count"` // of NOOPs
}

type checkedMailboxes struct {
	Shown    int    `json:"shown"`            // that a mount would show, with messages in them or not
	Asked    int    `json:"asked"`            // of those, that were asked for their numbers
	Refused  int    `json:"refused"`          // of those, that the server said nothing of
	Messages int    `json:"messages"`         // in those asked
	Octets   *int64 `json:"octets"`           // of their messages; null: the server does not tell
	Trash    string `json:"trash,omitzero"`   // decoded, levels joined with /
	Because  string `json:"because,omitzero"` // why not all were asked
	Largest  string `json:"largest,omitzero"` // the one with most messages
	Most     int    `json:"largest_messages"` // in that
}

type checkedRemoval struct {
	How  string `json:"how"` // expunge, trash or mark
	Says string `json:"says"`
}

type checkedDouble struct {
	Mailbox string `json:"mailbox"`
	Use     string `json:"use"`     // the attribute: \All, \Important or \Flagged (RFC 6154, RFC 8457)
	Exclude string `json:"exclude"` // what to write behind --exclude
}

// tlsOf is what a handshake has agreed upon; nil: there was none.
func tlsOf(state *tls.ConnectionState, now time.Time) *checkedTLS {
	if state == nil {
		return nil
	}
	t := &checkedTLS{Version: tls.VersionName(state.Version), CipherSuite: tls.CipherSuiteName(state.CipherSuite)}
	if len(state.PeerCertificates) > 0 {
		t.Certificate = certificateOf(state.PeerCertificates[0], now)
	}
	return t
}

// maxNames bounds the names of a certificate that are told.
const maxNames = 20

func certificateOf(cert *x509.Certificate, now time.Time) checkedCertificate {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 && cert.Subject.CommonName != "" {
		names = []string{cert.Subject.CommonName}
	}
	return checkedCertificate{
		Names: names[:min(len(names), maxNames)], Issuer: cert.Issuer.String(), Until: cert.NotAfter,
		DaysLeft: int(cert.NotAfter.Sub(now) / (24 * time.Hour)),
	}
}

// loginOf tells the mechanisms from the other capabilities.
func loginOf(l imapconn.Login) checkedLogin {
	c := checkedLogin{Offered: []string{}, Mechanism: l.Mechanism}
	for _, name := range l.Offered.Names() {
		if mechanism, ok := strings.CutPrefix(name, "AUTH="); ok {
			c.Offered = append(c.Offered, mechanism)
		}
	}
	if l.Offered.Known() && !l.Offered.Has("LOGINDISABLED") && !slices.Contains(c.Offered, "LOGIN") {
		c.Offered = append(c.Offered, "LOGIN")
	}
	return c
}

// capabilitiesOf is the table for a server, and what it offers beyond.
func capabilitiesOf(caps imapconn.Caps) (all []checkedCapability, unused []string) {
	for i := range capabilities {
		c := &capabilities[i]
		all = append(all, checkedCapability{c.name(), c.offered(caps), c.gives})
	}
	for _, name := range caps.Names() {
		if !isKnown(name) {
			unused = append(unused, name)
		}
	}
	return all, unused
}

// removalOf says what rm does.
func removalOf(caps imapconn.Caps, o *options, trash *cache.Surveyed) checkedRemoval {
	to := "Deleted Messages, which is made when it is needed"
	if trash != nil {
		to = trash.Name
	}
	switch o.OnDelete.rule().RemovalBy(caps) {
	case cache.Trashed:
		says := "moves to the trash: " + to
		switch {
		case o.OnDelete == onDeleteTrash:
		case caps.Has("X-GM-EXT-1"):
			says += " (Gmail: to expunge elsewhere would only take a label off)"
		default:
			says += " (no UIDPLUS: a single message cannot be expunged)"
		}
		return checkedRemoval{"trash", says}
	case cache.Expunged:
		return checkedRemoval{"expunge", "removes from the server (--on-delete trash moves to the trash: " + to + ")"}
	}
	return checkedRemoval{"mark", `marks \Deleted and hides (no UIDPLUS and no MOVE; imapfs expunge removes what is marked)`}
}

// doubling are the uses of mailboxes that hold what others hold, too.
var doubling = []string{`\All`, `\Important`, `\Flagged`}

// doublesAmong finds the mailboxes that hold what others hold.
func doublesAmong(all []cache.Surveyed) (doubles []checkedDouble) {
	for _, s := range all {
		for _, use := range doubling {
			if slices.ContainsFunc(s.Attrs, func(a string) bool { return strings.EqualFold(a, use) }) {
				doubles = append(doubles, checkedDouble{s.Name, use, patternOf(s.Name)})
				break
			}
		}
	}
	return doubles
}

// patternOf is a name as a pattern of --exclude: a ! before it would take others back.
func patternOf(name string) string {
	if rest, ok := strings.CutPrefix(name, "!"); ok {
		return "%" + rest
	}
	return name
}
