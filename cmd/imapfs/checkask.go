package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"imapfs/cache"
	"imapfs/imapconn"
)

const (
	checkNoops = 5 // of which the median is the round-trip time
	// maxStatus bounds the mailboxes that are asked for their numbers, maxExamine those
	// of a server without STATUS, and statusFlight how many are in one flight.
	maxStatus    = 1000
	maxExamine   = 100
	statusFlight = 50
	// fewDays is from how many days on a certificate that ends is spoken of.
	fewDays = 14
	// slowRoundTrip is from when on a round trip is spoken of.
	slowRoundTrip = 100 * time.Millisecond
)

// ask asks what a report says. Listing may take twice the --timeout, the numbers of the
// mailboxes once: what is not told by then is left out, and that is said.
func ask(ctx context.Context, client *imapconn.Client, o *options) (*checkReport, error) {
	now, caps := time.Now(), client.Caps()
	r := &checkReport{
		Account: o.name(), Server: net.JoinHostPort(o.Account.Host, strconv.Itoa(o.Account.Port)),
		Version: version(), Time: now,
		TLS: tlsOf(client.TLS(), now), Login: loginOf(client.Login()), Compressed: client.Stats().Compressed,
		Slow: slowness(caps, o),
	}
	r.Capabilities, r.Unused = capabilitiesOf(caps)
	listCtx, cancel := context.WithTimeout(ctx, 2*o.Timeout)
	defer cancel()
	var err error
	if r.RoundTrip, err = measure(listCtx, client); err != nil {
		return nil, err
	}
	all, err := cache.Survey(listCtx, client, cache.Config{Exclude: o.Exclude, Shared: o.Shared, Root: o.Account.Mailbox})
	if err != nil {
		return nil, err
	}
	trash := cache.TrashAmong(all)
	r.Removal, r.Doubles = removalOf(caps, o, trash), doublesAmong(all)
	if r.Mailboxes, err = count(ctx, client, all, o.Timeout); err != nil {
		return nil, err
	}
	if trash != nil {
		r.Mailboxes.Trash = trash.Name
	}
	r.Notes = r.notes(caps, o)
	if r.Mailboxes.Because == "" {
		r.Notes = append(r.Notes, examine(ctx, client, all, o.Timeout)...)
	}
	if r.RoundTrip.Median >= slowRoundTrip.Seconds() {
		r.Slow = append(r.Slow, fmt.Sprintf("a round trip of %s: whoever opens what was not read ahead, and each write, waits for one at least", roundTrip(r.RoundTrip.Median)))
	}
	for _, list := range []*[]string{&r.Unused, &r.Slow, &r.Notes} {
		*list = append([]string{}, *list...) // [] in JSON, not null
	}
	r.Doubles = append([]checkedDouble{}, r.Doubles...)
	return r, nil
}

// measure takes the time of some NOOPs.
func measure(ctx context.Context, client *imapconn.Client) (checkedRoundTrip, error) {
	var took []time.Duration
	for range checkNoops {
		began := time.Now()
		if err := client.Noop(ctx); err != nil {
			return checkedRoundTrip{}, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return checkedRoundTrip{took[len(took)/2].Seconds(), took[len(took)-1].Seconds(), len(took)}, nil
}

// notes are what one had better know.
func (r *checkReport) notes(caps imapconn.Caps, o *options) (notes []string) {
	if r.TLS == nil {
		notes = append(notes, "the connection is in the clear: who listens has the password and the mail")
	} else if left := r.TLS.Certificate.DaysLeft; left < fewDays {
		notes = append(notes, "the certificate has "+counted(left, "day")+" left: no connection can be made after that, if it is not renewed")
	}
	if caps.Has("X-GM-EXT-1") && o.DailyLimit == 0 {
		notes = append(notes, "Gmail locks an account for a day that fetches more than 2500M in one (--daily-limit 2500M stops before)")
	}
	return notes
}

// count adds up the messages of the mailboxes, within the time limit. Its errors are the
// connection's.
func count(ctx context.Context, client *imapconn.Client, all []cache.Surveyed, limit time.Duration) (checkedMailboxes, error) {
	n := checkedMailboxes{Shown: len(all)}
	caps := client.Caps()
	ask, most, flight := statuses, maxStatus, statusFlight
	if isRFC1730(caps) {
		ask, most, flight = examines, maxExamine, 1
	}
	sized := offered(caps, "STATUS=SIZE")
	octets := int64(0)
	left := all[:min(len(all), most)]
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for len(left) > 0 {
		few := left[:min(len(left), flight)]
		data, err := ask(within, client, few, sized)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			break
		} else if err != nil {
			return n, err
		}
		for i, d := range data {
			n.Asked++
			if !d.HasMessages {
				n.Refused++
				continue
			}
			n.Messages += int(d.Messages)
			if m := int(d.Messages); m > n.Most {
				n.Most, n.Largest = m, few[i].Name
			}
			octets += d.Size
			sized = sized && d.HasSize
		}
		left = left[len(few):]
	}
	switch {
	case len(left) > 0:
		n.Because = fmt.Sprintf("no more within %v (--timeout)", limit)
	case n.Asked < n.Shown:
		n.Because = fmt.Sprintf("imapfs check asks for %d at most", most)
	}
	if sized && n.Refused < n.Asked {
		n.Octets = &octets
	}
	return n, nil
}

// statuses asks by STATUS. What the server refuses has no numbers.
func statuses(ctx context.Context, client *imapconn.Client, few []cache.Surveyed, sized bool) ([]imapconn.StatusData, error) {
	items := []string{"MESSAGES"}
	if sized {
		items = append(items, "SIZE")
	}
	names := make([]string, len(few))
	for i, s := range few {
		names[i] = s.WireName
	}
	data, _, err := client.Statuses(ctx, names, items...)
	return data, err
}

// examines asks by EXAMINE, for want of STATUS.
func examines(ctx context.Context, client *imapconn.Client, few []cache.Surveyed, _ bool) ([]imapconn.StatusData, error) {
	data := make([]imapconn.StatusData, len(few))
	for i, s := range few {
		box, err := client.Examine(ctx, s.WireName, nil)
		refused, ok := errors.AsType[*imapconn.StatusError](err)
		if err != nil && (!ok || refused.Type == "BYE") {
			return nil, err
		}
		data[i] = imapconn.StatusData{Mailbox: s.WireName, Messages: box.Exists, HasMessages: err == nil}
	}
	return data, nil
}

// examine looks at one mailbox as a reader would, and says what is amiss.
func examine(ctx context.Context, client *imapconn.Client, all []cache.Surveyed, limit time.Duration) (notes []string) {
	if len(all) == 0 {
		return []string{"there is no mailbox with messages to show (see --exclude, and the path in the URL)"}
	}
	i := max(0, slices.IndexFunc(all, func(s cache.Surveyed) bool { return s.Name == "INBOX" }))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	box, err := client.Examine(ctx, all[i].WireName, nil)
	if err != nil {
		return []string{all[i].Name + " cannot be looked into: " + err.Error()}
	}
	if box.UIDNotSticky {
		notes = append(notes, "the server gives messages other UIDs in each session: names do not last")
	}
	if box.NoModSeq && offered(client.Caps(), "CONDSTORE") {
		notes = append(notes, all[i].Name+" keeps no mod-sequences: CONDSTORE and QRESYNC are of no use there")
	}
	return notes
}
