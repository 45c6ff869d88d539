package imapconn

import (
	"context"
	"fmt"
)

// quotaAnswer takes the QUOTA responses to GETQUOTAROOT.
type quotaAnswer struct{ data QuotaData }

func (*quotaAnswer) confusable(other answerer) bool { return sameKind[*quotaAnswer](other) }

// Quota asks for the storage quota that holds for a mailbox (RFC 9208 §4.1.2).
// Where several roots hold, the one with the least room left counts.
// ErrNotOffered where the server has no QUOTA.
func (c *Client) Quota(ctx context.Context, mailbox string) (QuotaData, error) {
	if !c.Caps().Has("QUOTA") {
		return QuotaData{}, fmt.Errorf("quota: %w", ErrNotOffered)
	}
	cmd := c.newCommand("GETQUOTAROOT")
	cmd.mailbox = mailbox
	cmd.enc.Raw(" ").String(mailbox)
	a := &quotaAnswer{}
	cmd.answer = a
	if err := c.do(ctx, cmd); err != nil {
		return QuotaData{}, err
	}
	return a.data, nil
}

// storageUnit is what STORAGE counts in, in octets (RFC 9208 §5.1).
const storageUnit = 1024

// quotaGiven reads QUOTA (RFC 9208 §4.2.1): a root and its resources.
func (c *Client) quotaGiven() {
	d := c.dec
	d.Space()
	d.AString()
	d.Spaces()
	var q QuotaData
	listed := d.Accept('(') // Courier leaves an empty list out
	for d.Spaces(); listed && d.Err() == nil && !d.Accept(')'); d.Spaces() {
		storage := string(upper(d.Atom())) == "STORAGE"
		d.Space()
		usage := d.Number()
		d.Space()
		limit := d.Number()
		if storage {
			q = QuotaData{Usage: octets(usage), Limit: octets(limit), HasStorage: true}
		}
	}
	if d.EOL(); d.Err() != nil {
		return
	}
	a, _ := answering[*quotaAnswer](c)
	if a == nil || !q.HasStorage {
		return
	}
	if !a.data.HasStorage || q.Limit-q.Usage < a.data.Limit-a.data.Usage {
		a.data = q
	}
}

// octets turns units of storage into octets, without overflow.
func octets(units int64) int64 {
	return min(units, 1<<52) * storageUnit
}
