package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"imapfs/cache"
)

// flushNews is a line of the answer to /flush.
type flushNews struct {
	Done  int64 `json:"done"`  // octets that were sent
	Total int64 `json:"total"` // octets that there are to be sent
	Over  bool  `json:"over"`  // it is the last line
	// Left is what the server does not have, in the last line.
	Left []cache.Pending `json:"left,omitzero"`
}

func (m *mail) serveFlush(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if limit, err := time.ParseDuration(r.FormValue("limit")); err == nil && limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	rc := beginLong(w, "application/x-ndjson")
	lines := json.NewEncoder(w)
	var told flushNews
	m.flush(ctx, func(done, total int64) {
		if news := (flushNews{Done: done, Total: total}); news.Done != told.Done || news.Total != told.Total {
			told = news
			lines.Encode(news)
			rc.Flush()
		}
	})
	rc.SetWriteDeadline(time.Now().Add(controlWrite))
	lines.Encode(flushNews{Done: told.Done, Total: told.Total, Over: true, Left: m.unsent()})
}

// flush sends what is pending: what was closed and not begun to be sent, too. It ends when
// each has arrived or failed once more, or with ctx.
func (m *mail) flush(ctx context.Context, progress func(done, total int64)) {
	var group sync.WaitGroup
	var more bool
	group.Go(func() { more = m.server.Flush(ctx) })
	m.account.FlushDrafts(ctx, progress)
	group.Wait()
	if more {
		m.account.FlushDrafts(ctx, progress) // what the mount has begun to send meanwhile
	}
}

// flushFirst has the daemon of a mount send what is pending, and gives what is left.
func (m *mounted) flushFirst(ctx context.Context, limit time.Duration, progress func(done, total int64)) ([]cache.Pending, error) {
	values := url.Values{}
	if limit > 0 {
		values.Set("limit", limit.String())
	}
	var last flushNews
	err := m.ask(ctx, http.MethodPost, "/flush", values, func(r io.Reader) error {
		lines := json.NewDecoder(io.LimitReader(r, maxAnswer))
		for !last.Over {
			if err := lines.Decode(&last); err != nil {
				return err
			}
			progress(last.Done, last.Total)
		}
		return nil
	})
	return last.Left, err
}

// How long a daemon whose mount is gone goes on sending: as long as octets go out, and not
// for longer than a service manager waits before it kills.
const (
	endSilence    = 5 * time.Second
	endFlushLimit = time.Minute
)

var errEndSilence = errors.New("nothing was sent any more")

// flushAtEnd sends what is pending when nothing is mounted any more, for a while, or until
// another signal; and says what is left.
func flushAtEnd(account *cache.Account, o *options, log *slog.Logger) {
	if o.ReadOnly {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), endFlushLimit)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, silent := context.WithCancelCause(ctx)
	defer silent(nil)
	patience := time.AfterFunc(endSilence, func() { silent(errEndSilence) })
	defer patience.Stop()
	var sent int64
	account.FlushDrafts(ctx, func(done, _ int64) {
		if done > sent {
			sent = done
			patience.Reset(endSilence)
		}
	})
	left := account.Pending()
	for _, p := range left {
		log.Warn("a text is not on the server", "mailbox", p.Mailbox, "name", p.Name, "octets", p.Size, "err", p.Error)
	}
	if len(left) > 0 {
		spool, _ := spoolDir(o) // it was found when the account was opened
		log.Warn("what is not on the server lies in the spool, and the next mount sends it (imapfs pending lists it)", "texts", len(left), "spool", spool)
	}
}
