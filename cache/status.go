package cache

import (
	"cmp"
	"slices"
	"time"

	"imapfs/imapconn"
)

// Status is what an account is doing, from memory.
type Status struct {
	Since time.Time `json:"since"` // when it was opened
	// In and Out are the octets that came and went since on the wire, over all
	// connections, TLS and all, compressed where they are; of logins that failed they
	// do not count.
	In  int64 `json:"octets_in"`
	Out int64 `json:"octets_out"`

	// Commands that were sent over all connections since, and how often one was while none
	// was unanswered on its connection: what has taken a round trip at least.
	Commands   int64 `json:"commands"`
	RoundTrips int64 `json:"round_trips"`

	Connections []ConnectionStatus `json:"connections"`
	Opened      int64              `json:"connections_opened"` // since, those that are over among them
	// MaxConnections is how many there may be: Config.Connections, or what the server
	// lets us have.
	MaxConnections int `json:"max_connections"`
	Waiting        int `json:"waiting"` // who wait for a connection
	// Notify: the server tells of all mailboxes on one connection more (RFC 5465).
	Notify bool `json:"notify"`
	// RestingUntil is when a server that wants less to do may be asked again; zero:
	// now. Resting is what it said.
	RestingUntil time.Time `json:"resting_until,omitzero"`
	Resting      string    `json:"resting,omitzero"`
	Throttled    int64     `json:"throttled"` // how often it has said so since
	// Day is what all mounts of the account have moved in 24 hours; nil: nobody counts.
	Day *Day `json:"day,omitempty"`
	// DownSince is since when the server cannot be reached, though somebody tried;
	// zero: it can. Down says why.
	DownSince time.Time `json:"down_since,omitzero"`
	Down      string    `json:"down,omitzero"`

	Tree      TreeStatus      `json:"tree"`
	Cache     CacheStatus     `json:"cache"`
	Pending   PendingStatus   `json:"pending"`   // what the server does not have
	LookedAt  int             `json:"looked_at"` // mailboxes looked into in the last ten minutes
	Mailboxes []MailboxStatus `json:"mailboxes"` // of those the newest, maxMailboxStatus at most
}

// ConnectionStatus is one connection to the server.
type ConnectionStatus struct {
	Addr       string `json:"addr"`                // host:port
	TLS        string `json:"tls,omitzero"`        // the version; empty: in the clear
	Compressed bool   `json:"compressed,omitzero"` // RFC 4978
	Mailbox    string `json:"mailbox,omitzero"`    // selected; decoded, levels joined with /
	Users      int    `json:"users"`               // who use it now, without the one who idles
	Idling     bool   `json:"idling"`
	// Notices: the server tells there, by NOTIFY, what changes anywhere (RFC 5465).
	Notices bool      `json:"notices"`
	Since   time.Time `json:"since"`
	Used    time.Time `json:"used"` // when it was last released
	In      int64     `json:"octets_in"`
	Out     int64     `json:"octets_out"`
	// RoundTrip is the kernel's estimate, in seconds; 0: not known.
	RoundTrip float64 `json:"round_trip_seconds,omitzero"`
}

// TreeStatus is how fresh the tree is.
type TreeStatus struct {
	Mailboxes int       `json:"mailboxes"`
	Checked   time.Time `json:"checked"`  // when the LIST was asked for that it is made of
	Messages  int64     `json:"messages"` // in the mailboxes that have been loaded
}

// CacheStatus is how full the cache of texts is.
type CacheStatus struct {
	Octets int64 `json:"octets"`
	Limit  int64 `json:"limit"` // octets
	Blocks int   `json:"blocks"`
	CacheUse
	Ahead AheadStatus `json:"ahead"`
}

// CacheUse is what the cache of texts has been used for since the account was opened.
type CacheUse struct {
	Hits   int64 `json:"hits"`        // opens and reads that were answered from memory
	Misses int64 `json:"misses"`      // those that had to wait for the server
	Served int64 `json:"octets_read"` // from memory
	// Texts that were fetched, whole or the beginning of a large one, and the octets of all
	// texts and parts of texts.
	Texts   int64 `json:"texts_fetched"`
	Fetched int64 `json:"octets_fetched"`
}

// AheadStatus is what the read-ahead does, in octets.
type AheadStatus struct {
	InFlight int64 `json:"in_flight"` // asked for, and not there
	Unread   int64 `json:"unread"`    // there, and nobody has come for it
	Fetched  int64 `json:"fetched"`   // since the account was opened, asked for before anybody wanted it
	Unused   int64 `json:"unused"`    // of those, what was given up, as nobody came
}

// What tells of news in a mailbox.
const (
	ByIDLE   = "IDLE"   // RFC 2177: as it happens
	ByNOTIFY = "NOTIFY" // RFC 5465: as it happens
	ByPoll   = "poll"   // at the latest after Config.Poll
)

// MailboxStatus is how fresh a mailbox is.
type MailboxStatus struct {
	Name        string      `json:"name"` // decoded, levels joined with /
	WireName    string      `json:"wire_name"`
	UIDValidity UIDValidity `json:"uidvalidity,omitzero"`
	Messages    int         `json:"messages"`         // 0 where it was never loaded
	Loaded      bool        `json:"loaded"`           // whole, at some time
	Checked     time.Time   `json:"checked,omitzero"` // when the looking began that what is known comes from
	LookedInto  time.Time   `json:"looked_into"`
	By          string      `json:"by"`    // ByIDLE, ByNOTIFY or ByPoll
	Fresh       bool        `json:"fresh"` // who enters now is answered from memory
}

// maxMailboxStatus bounds the mailboxes in a Status, in mailboxes: find looks into
// every one.
const maxMailboxStatus = 1000

// Status says what the account is doing. It waits for nothing but locks that
// nobody holds for long, and sends nothing.
func (a *Account) Status() Status {
	s := Status{Since: a.since, Tree: a.trees.status(), Cache: a.texts.status(), Pending: a.pendingStatus()}
	s.Tree.Messages = a.indexed.Load()
	watched := a.pool.status(&s)
	s.Notify = a.notices.stand()
	if day, ok := a.Traffic(); ok {
		s.Day = &day
	}
	by := ByPoll
	if a.noticed() {
		by = ByNOTIFY
	}
	var lately []*Mailbox
	for m := range a.Tree().all {
		if m.lookedInto() && m.Selectable() {
			lately = append(lately, m)
		}
	}
	s.LookedAt = len(lately)
	// touched moves meanwhile: it is read once.
	s.Mailboxes = make([]MailboxStatus, 0, len(lately))
	for _, m := range lately {
		st := m.status()
		if st.By = by; watched[m] {
			st.By = ByIDLE
		}
		s.Mailboxes = append(s.Mailboxes, st)
	}
	slices.SortFunc(s.Mailboxes, func(x, y MailboxStatus) int {
		return cmp.Or(y.LookedInto.Compare(x.LookedInto), cmp.Compare(x.Name, y.Name))
	})
	s.Mailboxes = s.Mailboxes[:min(len(s.Mailboxes), maxMailboxStatus)]
	return s
}

func (t *trees) status() TreeStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return TreeStatus{Mailboxes: len(t.boxes) - 1, Checked: t.asked} // boxes has the root
}

func (t *texts) status() CacheStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := CacheStatus{Octets: t.blocks.octets, Limit: t.limit, Blocks: t.blocks.len(),
		Ahead: AheadStatus{InFlight: t.flying, Unread: t.blocks.unreadOctets, Fetched: t.ahead, Unused: t.blocks.unused}}
	s.CacheUse = CacheUse{Hits: t.hits.Load(), Misses: t.misses, Served: t.served.Load(), Texts: t.brought, Fetched: t.fetched}
	return s
}

// status fills in what the pool knows, and gives the mailboxes that are idled on.
func (p *pool) status(s *Status) (watched map[*Mailbox]bool) {
	watched = make(map[*Mailbox]bool)
	p.mu.Lock()
	conns := make([]ConnectionStatus, 0, len(p.conns))
	clients := make([]*imapconn.Client, 0, len(p.conns))
	for _, c := range p.conns {
		st := ConnectionStatus{Users: c.busy(), Idling: c.idler != nil, Used: c.used}
		if c.sel != nil {
			st.Mailbox = c.sel.box.full()
			if st.Idling {
				watched[c.sel.box] = true
			}
		}
		conns = append(conns, st)
		clients = append(clients, c.client)
	}
	if c := p.noticing; c != nil {
		conns = append(conns, ConnectionStatus{Notices: true, Used: c.used})
		clients = append(clients, c.client)
	}
	leaving := make([]*imapconn.Client, 0, len(p.leaving))
	for _, c := range p.leaving {
		leaving = append(leaving, c.client)
	}
	s.spend(p.spent)
	s.Opened, s.Throttled = p.opened, p.throttles
	s.MaxConnections, s.Waiting = p.limit, len(p.queue)
	if r := &p.resting; time.Now().Before(r.until) {
		s.RestingUntil, s.Resting = r.until, r.cause.Error()
	}
	if s.DownSince = p.outage.since; !s.DownSince.IsZero() {
		s.Down = p.outage.cause.Error()
	}
	p.mu.Unlock()

	for i, c := range clients {
		was := c.Stats()
		st := &conns[i]
		st.Addr, st.TLS, st.Since, st.In, st.Out = was.Addr, was.TLS, was.Since, was.In, was.Out
		st.RoundTrip, st.Compressed = was.RoundTrip.Seconds(), was.Compressed
		s.spend(spentOf(was))
	}
	for _, c := range leaving {
		s.spend(spentOf(c.Stats()))
	}
	s.Connections = conns
	return watched
}

// notices shows the connection of NOTIFY, until end.
func (p *pool) notices(client *imapconn.Client) (end func()) {
	c := &conn{client: client, used: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noticing = c
	p.opened++
	return func() {
		p.mu.Lock()
		p.noticing = nil
		p.leaving = append(p.leaving, c)
		p.mu.Unlock()
		p.spend(c)
	}
}

// spend counts what a connection has moved that is over.
func (p *pool) spend(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.leaving, c)
	if i < 0 {
		return
	}
	p.leaving = slices.Delete(p.leaving, i, i+1)
	p.spent.add(spentOf(c.client.Stats()))
}

// spent is what connections have moved and asked.
type spent struct{ in, out, commands, flights int64 }

func spentOf(s imapconn.Stats) spent { return spent{s.In, s.Out, s.Commands, s.Flights} }

func (s *spent) add(more spent) {
	s.in += more.in
	s.out += more.out
	s.commands += more.commands
	s.flights += more.flights
}

// spend counts what connections have moved and asked.
func (s *Status) spend(more spent) {
	s.In += more.in
	s.Out += more.out
	s.Commands += more.commands
	s.RoundTrips += more.flights
}

// status says how fresh a mailbox is.
func (m *Mailbox) status() MailboxStatus {
	st := MailboxStatus{
		Name:       m.full(),
		WireName:   m.WireName(),
		LookedInto: time.Unix(0, m.touched.Load()),
		Fresh:      m.fresh() != nil,
	}
	if s := m.snap.Load(); s != nil {
		st.Messages, st.Loaded, st.UIDValidity = s.Len(), true, s.validity
	}
	if since := m.checked.Load(); since != nil {
		st.Checked = *since
	}
	return st
}
