package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A control is where a daemon is asked about its mount: HTTP and JSON over a Unix
// socket that only its user and root reach.
//
//	GET  /status            a report
//	POST /refresh           looks at everything anew; the answer begins at once and ends when it is done
//	GET  /pending           what the server does not have: a pendingReport
//	GET  /pending/text      one of these texts: id=ID
//	POST /pending/discard   removes one for ever: id=ID
//	POST /flush             sends what is pending; the answer is a line of JSON for each bit of
//	                        progress (flushNews); limit=DURATION ends it
//	GET  /marked            what is marked \Deleted in a mailbox: mailbox=NAME, on the wire
//	POST /expunge           expunges just that: mailbox=NAME, uidvalidity=N, uids=SET
//
// All take at=MOUNTPOINT and device=MAJOR:MINOR, as the mount table has them: 421
// is the answer where that is another mount, and 410 where this one is no longer to
// be seen. It is the last answer then.
type control struct {
	subject subject
	log     *slog.Logger
	dir     *controlDir
	name    string
	inode   uint64
	http    http.Server
	end     context.CancelFunc // of all requests
	group   sync.WaitGroup     // of the goroutine that accepts, and of the requests

	mu   sync.Mutex // guards over against group.Add
	over bool
}

// subject is the mount that a control is about.
type subject struct {
	mountPoint string
	device     string // major:minor
	status     func() report
	refresh    func(context.Context) error
	mail       *mail       // nil: of a test that asks for neither
	mounted    func() bool // it is to be seen still
}

const (
	controlRead  = 5 * time.Second  // for a request to arrive
	controlWrite = 10 * time.Second // for a report to leave
	controlIdle  = time.Second      // for a further request
	controlHead  = 8 << 10          // octets of a request's head

	// controlTries is how often a directory is made anew that another daemon has
	// removed in between, being the last in it.
	controlTries = 5
)

// newControl begins to answer.
func newControl(s subject, log *slog.Logger) (*control, error) {
	c := &control{subject: s, log: log, name: socketName(s.mountPoint)}
	var listener *net.UnixListener
	for try := 1; listener == nil; try++ {
		var err error
		if c.dir, err = makeControlDir(); err != nil {
			return nil, err
		}
		c.dir.sweep()
		if listener, err = c.dir.listen(c.name); err != nil {
			c.dir.close()
			if try < controlTries && errors.Is(err, os.ErrNotExist) {
				continue
			}
			return nil, err
		}
	}
	c.inode = c.dir.inode(c.name)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", c.serveStatus)
	mux.HandleFunc("POST /refresh", c.serveRefresh)
	s.mail.register(mux)
	ctx, end := context.WithCancel(context.Background())
	c.end = end
	c.http = http.Server{
		Handler:           c.about(mux),
		ReadHeaderTimeout: controlRead,
		ReadTimeout:       controlRead,
		WriteTimeout:      controlWrite,
		IdleTimeout:       controlIdle,
		MaxHeaderBytes:    controlHead,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          stdlog.New(io.Discard, "", 0),
	}
	c.group.Go(func() {
		if err := c.http.Serve(ofOurUser{listener}); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("the control socket is gone: imapfs status and refresh will not find this mount (mount it anew)", "err", err)
		}
	})
	return c, nil
}

// close takes the socket away and waits for the requests under way, which end with it.
func (c *control) close() {
	c.withdraw()
	c.group.Wait()
}

// withdraw is close without the waiting.
func (c *control) withdraw() {
	c.mu.Lock()
	was := c.over
	c.over = true
	c.mu.Unlock()
	if was {
		return
	}
	if c.dir.inode(c.name) == c.inode {
		os.Remove(c.dir.entry(c.name))
	}
	c.dir.close()
	c.end()
	c.http.Close()
}

// begin counts one more request; false where there are to be no more.
func (c *control) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.group.Add(1)
	}
	return !c.over
}

// about answers what is asked of another mount, or of one that is out of sight.
func (c *control) about(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.begin() {
			return
		}
		defer c.group.Done()
		at, device := r.FormValue("at"), r.FormValue("device")
		switch {
		case at != "" && at != c.subject.mountPoint, device != "" && device != c.subject.device:
			http.Error(w, "this is another mount", http.StatusMisdirectedRequest)
		case !c.subject.mounted():
			http.Error(w, "the mount is out of sight", http.StatusGone)
			http.NewResponseController(w).Flush()
			c.withdraw()
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (c *control) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(c.subject.status())
}

// outcome is the answer where something was to be done.
type outcome struct {
	Error string `json:"error,omitzero"` // empty: it is done
}

func outcomeOf(err error) outcome {
	if err == nil {
		return outcome{}
	}
	return outcome{oneLine(err.Error())}
}

// refuse answers that something cannot be had, and why.
func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusConflict)
	json.NewEncoder(w).Encode(outcomeOf(err))
}

// beginLong begins an answer that takes as long as it takes: who asks may go.
func beginLong(w http.ResponseWriter, contentType string) *http.ResponseController {
	rc := http.NewResponseController(w)
	rc.SetReadDeadline(time.Time{})
	rc.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", contentType)
	rc.Flush()
	return rc
}

func (c *control) serveRefresh(w http.ResponseWriter, r *http.Request) {
	rc := beginLong(w, "application/json")
	answer := outcomeOf(c.subject.refresh(r.Context()))
	rc.SetWriteDeadline(time.Now().Add(controlWrite))
	json.NewEncoder(w).Encode(answer)
}

// ofOurUser takes connections of our own user and of root. The modes of the socket
// and of its directory say the same.
type ofOurUser struct{ *net.UnixListener }

// Accept implements net.Listener.
func (l ofOurUser) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if cred, err := peer(conn); err == nil && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid()) {
			return conn, nil
		}
		conn.Close()
	}
}

// peer says who is at the other end (unix(7), SO_PEERCRED): of a connection that
// was made, who listens there.
func peer(conn syscall.Conn) (cred *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(err, controlErr)
}
