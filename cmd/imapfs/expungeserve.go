package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"imapfs/cache"
	"imapfs/fs"
	"imapfs/imapconn/imapwire"
)

// markedReport is the answer to /marked.
type markedReport struct {
	outcome
	Mailbox     string            `json:"mailbox"` // decoded, levels joined with /
	UIDValidity cache.UIDValidity `json:"uidvalidity"`
	Messages    []markedMessage   `json:"messages"`
}

// markedMessage is a message that is marked \Deleted. Of the first maxNamed it is said from
// whom they are and what about.
type markedMessage struct {
	UID     cache.UID `json:"uid"`
	Size    int64     `json:"size"` // octets
	Date    time.Time `json:"date,omitzero"`
	Hidden  bool      `json:"hidden"` // removed in a mount, and not shown there
	From    string    `json:"from,omitzero"`
	Subject string    `json:"subject,omitzero"`
}

const (
	maxNamed    = 100              // messages of which the header is looked at
	namingLimit = 10 * time.Second // in which that is to be had
	namingAtOne = 16               // headers that are asked for at once
)

var (
	errMountedReadOnly = errors.New("it is mounted read-only (mount it without --read-only)")
	errMoreMarked      = errors.New("other messages are marked than those that were named (look again)")
)

// mailboxIn gives the mailbox that a request names, in an account that may be changed.
func (m *mail) mailboxIn(r *http.Request) (*cache.Mailbox, error) {
	if m.options.ReadOnly {
		return nil, errMountedReadOnly
	}
	name := r.FormValue("mailbox")
	box := m.account.MailboxCalled(name)
	if box == nil || !box.Selectable() {
		return nil, fmt.Errorf("%q is no mailbox that has messages (imapfs refresh looks for new ones)", name)
	}
	return box, nil
}

func (m *mail) serveMarked(w http.ResponseWriter, r *http.Request) {
	box, err := m.mailboxIn(r)
	if err != nil {
		refuse(w, err)
		return
	}
	rc := beginLong(w, "application/json")
	report := markedReport{Mailbox: strings.Join(box.Path(), "/"), Messages: []markedMessage{}}
	err = m.account.Expunge(r.Context(), box, func(v cache.UIDValidity, marked []cache.Message) bool {
		report.UIDValidity = v
		for _, msg := range marked {
			_, shown := box.Snapshot().Find(msg.UID)
			one := markedMessage{UID: msg.UID, Size: msg.Size, Hidden: !shown}
			if msg.Date != 0 {
				one.Date = time.Unix(msg.Date, 0).UTC()
			}
			report.Messages = append(report.Messages, one)
		}
		return false
	})
	report.outcome = outcomeOf(err)
	nameMarked(r.Context(), box, &report)
	rc.SetWriteDeadline(time.Now().Add(controlWrite))
	json.NewEncoder(w).Encode(report)
}

// nameMarked fills in from whom messages are and what about, as far as that is had in time.
func nameMarked(ctx context.Context, box *cache.Mailbox, report *markedReport) {
	ctx, cancel := context.WithTimeout(ctx, namingLimit)
	defer cancel()
	var group sync.WaitGroup
	defer group.Wait()
	slots := make(chan struct{}, namingAtOne)
	for i := range report.Messages[:min(len(report.Messages), maxNamed)] {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			msg := &report.Messages[i]
			header, err := box.Header(ctx, report.UIDValidity, msg.UID)
			if err != nil {
				return
			}
			from, _ := fs.HeaderField(header, "From")
			subject, _ := fs.HeaderField(header, "Subject")
			msg.From, msg.Subject = cut(string(from), maxCell), cut(string(subject), maxCell)
		})
	}
}

func (m *mail) serveExpunge(w http.ResponseWriter, r *http.Request) {
	box, err := m.mailboxIn(r)
	if err != nil {
		refuse(w, err)
		return
	}
	named, err := imapwire.ParseUIDSet(r.FormValue("uids"))
	validity, numErr := strconv.ParseUint(r.FormValue("uidvalidity"), 10, 32)
	if err = errors.Join(err, numErr); err != nil {
		refuse(w, err)
		return
	}
	rc := beginLong(w, "application/json")
	refused := false
	err = m.account.Expunge(r.Context(), box, func(v cache.UIDValidity, marked []cache.Message) bool {
		refused = v != cache.UIDValidity(validity)
		for _, msg := range marked {
			refused = refused || !named.Contains(msg.UID)
		}
		return !refused
	})
	if refused {
		err = errMoreMarked
	}
	rc.SetWriteDeadline(time.Now().Add(controlWrite))
	json.NewEncoder(w).Encode(outcomeOf(err))
}
