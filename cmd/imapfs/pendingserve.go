package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"imapfs/cache"
	"imapfs/fs"
)

// mail is what a daemon answers about what is written, by the control socket.
type mail struct {
	account *cache.Account
	server  *fs.Server
	options *options
	secrets *secrets
}

func (m *mail) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /pending", m.servePending)
	mux.HandleFunc("GET /pending/text", m.servePendingText)
	mux.HandleFunc("POST /pending/discard", m.serveDiscard)
	mux.HandleFunc("POST /flush", m.serveFlush)
	mux.HandleFunc("GET /marked", m.serveMarked)
	mux.HandleFunc("POST /expunge", m.serveExpunge)
}

// pendingReport is the answer to /pending, and a line of pending --json.
type pendingReport struct {
	MountPoint string          `json:"mountpoint,omitzero"` // empty: no daemon has them
	Account    string          `json:"account"`             // user@host
	Spool      string          `json:"spool,omitzero"`      // the directory; empty: read-only
	Time       time.Time       `json:"time,omitzero"`       // when it was made
	Pending    []cache.Pending `json:"pending"`             // the oldest first
}

// pending is what is pending, secrets blanked.
func (m *mail) pending() pendingReport {
	r := pendingReport{MountPoint: m.options.MountPoint, Account: m.options.name(), Time: time.Now(), Pending: m.unsent()}
	if !m.options.ReadOnly {
		r.Spool, _ = spoolDir(m.options) // it was found when the account was opened
	}
	return r
}

// unsent is all that the server does not have and no program has open, the oldest first.
func (m *mail) unsent() []cache.Pending {
	all := append([]cache.Pending{}, m.account.Pending()...)
	all = append(all, m.server.Unsent()...)
	slices.SortStableFunc(all, func(a, b cache.Pending) int { return a.Since.Compare(b.Since) })
	for i := range all {
		all[i].Error = cut(m.secrets.blank(all[i].Error), logOctets)
	}
	return all
}

func (m *mail) servePending(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(m.pending())
}

func (m *mail) servePendingText(w http.ResponseWriter, r *http.Request) {
	to := &begun{w: w}
	err := m.account.Export(r.FormValue("id"), to)
	switch {
	case err != nil && !to.has:
		refuse(w, err)
	case err != nil:
		panic(http.ErrAbortHandler) // whoever asks sees that it is not whole
	}
}

// begun begins a long answer when there is something to say.
type begun struct {
	w   http.ResponseWriter
	has bool
}

func (b *begun) Write(p []byte) (int, error) {
	if !b.has {
		b.has = true
		beginLong(b.w, "message/rfc822")
	}
	return b.w.Write(p)
}

var _ io.Writer = (*begun)(nil)

func (m *mail) serveDiscard(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	found, err := m.server.Discard(id)
	if !found {
		err = m.account.DiscardPending(id)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(outcomeOf(err))
}
