package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"imapfs/cache"
)

func TestEachKindHasItsErrno(t *testing.T) {
	for _, c := range []struct {
		kind cache.Kind
		want syscall.Errno
	}{
		{cache.NotExist, syscall.ENOENT},
		{cache.Stale, syscall.ESTALE},
		{cache.Access, syscall.EACCES},
		{cache.ReadOnly, syscall.EROFS},
		{cache.NotOffered, syscall.EPERM},
		{cache.Quota, syscall.EDQUOT},
		{cache.TooBig, syscall.EFBIG},
		{cache.Exists, syscall.EEXIST},
		{cache.Busy, syscall.EBUSY},
		{cache.Interrupted, syscall.EINTR},
		{cache.Timeout, syscall.ETIMEDOUT},
		{cache.IO, syscall.EIO},
		{cache.Kind(0), syscall.EIO},
		{cache.Kind(999), syscall.EIO},
	} {
		err := error(&cache.Error{Op: "read", Kind: c.kind, Err: errors.New("why")})
		for _, e := range []error{err, fmt.Errorf("open: %w", err), errors.Join(err, errors.New("besides"))} {
			if got := errnoOf(e); got != c.want {
				t.Errorf("kind %v, %q: %v, want %v", c.kind, e, got, c.want)
			}
		}
	}
}

func TestErrnoOfWhatHasNoKind(t *testing.T) {
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{syscall.ENODATA, syscall.ENODATA},
		{fmt.Errorf("x: %w", syscall.ERANGE), syscall.ERANGE},
		{errStale, syscall.ESTALE},
		{context.DeadlineExceeded, syscall.ETIMEDOUT},
		{fmt.Errorf("x: %w", context.Canceled), syscall.EINTR},
		{errors.New("anything"), syscall.EIO},
		// The kind counts, not what is wrapped in it.
		{&cache.Error{Kind: cache.Timeout, Err: syscall.ECONNRESET}, syscall.ETIMEDOUT},
		{&cache.Error{Kind: cache.Stale, Err: context.Canceled}, syscall.ESTALE},
	} {
		if got := errnoOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

func TestCauseIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	c := causes{log: slog.New(slog.NewTextHandler(&out, nil)), seen: make(map[string]time.Time)}
	cut := errors.New("connection reset (the server or the network)")
	for uid := range cache.UID(100) {
		c.report("read", &cache.Error{Op: "fetch", Mailbox: "INBOX", UID: uid, Kind: cache.IO, Err: cut})
		c.report("open", fmt.Errorf("again: %w", &cache.Error{Op: "fetch", Mailbox: "INBOX", UID: uid, Kind: cache.IO, Err: cut}))
		c.report("read", &cache.Error{Op: "fetch", Mailbox: "INBOX", UID: uid, Kind: cache.Stale, Err: fmt.Errorf("gone %d", uid)})
		c.report("getxattr", syscall.ENODATA)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	for i := range 2 * causeLimit {
		c.report("read", &cache.Error{Kind: cache.IO, Err: fmt.Errorf("cause %d", i)})
	}
	if len(c.seen) > causeLimit {
		t.Errorf("%d causes are remembered", len(c.seen))
	}
}
