package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
)

const (
	// askLimit is how long a daemon may take to begin an answer: it gives it from
	// memory.
	askLimit = 5 * time.Second

	maxAnswer = 256 << 20 // octets; a report names a thousand mailboxes, of 64 KiB each at worst
)

// mounted is a mount of ours and where it is to be seen: in several places, if it
// was bound to others.
type mounted struct {
	device string // major:minor
	owner  int    // who made it
	points []string
}

// mountsOf are our mounts: the one at path, or, where that is empty, all that this
// user has made. There is one at least, else an error says why not.
func mountsOf(path string) ([]*mounted, error) {
	var at *mountinfo.Info
	if path != "" {
		var err error
		if _, at, err = ourEntry(path); err != nil {
			return nil, err
		}
		if owner, _ := mountOwner(at); !mountedByUs(at) {
			return nil, fmt.Errorf("%s: user %d has mounted that (ask as that user, or as root)", at.Mountpoint, owner)
		}
	}
	entries, err := mountinfo.GetMounts(mountinfo.FSTypeFilter(fsType))
	if err != nil {
		return nil, fmt.Errorf("the mount table: %w (is /proc mounted?)", err)
	}
	found := byDevice(entries, func(e *mountinfo.Info) bool {
		if at != nil {
			return deviceOf(e) == deviceOf(at)
		}
		owner, known := mountOwner(e)
		return known && owner == os.Geteuid()
	})
	if len(found) == 0 {
		return nil, errors.New("nothing is mounted (imapfs mount mounts an account)")
	}
	return found, nil
}

// byDevice makes mounts of the entries of the mount table that are wanted, sorted by
// the first place of each.
func byDevice(entries []*mountinfo.Info, wanted func(*mountinfo.Info) bool) []*mounted {
	var found []*mounted
	for _, e := range entries {
		if !wanted(e) {
			continue
		}
		i := slices.IndexFunc(found, func(m *mounted) bool { return m.device == deviceOf(e) })
		if i < 0 {
			i = len(found)
			owner, _ := mountOwner(e)
			found = append(found, &mounted{device: deviceOf(e), owner: owner})
		}
		found[i].points = append(found[i].points, e.Mountpoint)
	}
	slices.SortFunc(found, func(a, b *mounted) int { return cmp.Compare(a.points[0], b.points[0]) })
	return found
}

func deviceOf(m *mountinfo.Info) string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }

var errInterrupted = errors.New("interrupted (what was begun goes on)")

// errNoDaemon: nobody answers for the mount.
var errNoDaemon = errors.New("no daemon answers for it (imapfs unmount clears away what a dead one has left; one that lives may say more in its log)")

// ask sends a request to the daemon of a mount and gives the answer to use. values, which
// may be nil, say more of it. How long the answer takes once it has begun is up to ctx.
func (m *mounted) ask(ctx context.Context, method, path string, values url.Values, use func(io.Reader) error) error {
	for _, point := range m.points {
		conn := m.dial(point)
		if conn == nil {
			continue
		}
		err := m.askOn(ctx, conn, point, method, path, values, use)
		if errors.Is(err, errNoDaemon) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", point, err)
		}
		return nil
	}
	return fmt.Errorf("%s: %w", m.points[0], errNoDaemon)
}

// dial connects to the socket of a mount point; nil where nobody listens.
func (m *mounted) dial(point string) *net.UnixConn {
	for _, path := range controlDirs(m.owner) {
		dir, err := openControlDir(path, m.owner)
		if err != nil {
			continue
		}
		conn, err := dir.dial(socketName(point))
		dir.f.Close()
		if err == nil {
			return conn
		}
	}
	return nil
}

// askJSON is ask for an answer of one JSON value.
func (m *mounted) askJSON(ctx context.Context, method, path string, values url.Values, answer any) error {
	return m.ask(ctx, method, path, values, func(r io.Reader) error {
		return json.NewDecoder(io.LimitReader(r, maxAnswer)).Decode(answer)
	})
}

// do has the daemon do something, and waits until that is done.
func (m *mounted) do(ctx context.Context, path string, values url.Values) error {
	var answer outcome
	if err := m.askJSON(ctx, http.MethodPost, path, values, &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("%s: %s", m.points[0], hinted(answer.Error, "try again"))
	}
	return nil
}

func (m *mounted) askOn(ctx context.Context, conn *net.UnixConn, point, method, path string, values url.Values, use func(io.Reader) error) error {
	defer conn.Close()
	cred, err := peer(conn)
	if err != nil {
		return fmt.Errorf("%w (try again)", err)
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext:           func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		ResponseHeaderTimeout: askLimit,
		DisableKeepAlives:     true,
	}}
	query := url.Values{"at": {point}, "device": {m.device}}
	maps.Copy(query, values)
	var body io.Reader // of a POST: what is named may be much
	if where := "?" + query.Encode(); method == http.MethodPost {
		body = strings.NewReader(where[1:])
	} else {
		path += where
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://imapfs"+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case os.IsTimeout(err):
		return fmt.Errorf("its daemon, process %d, does not answer within %v (see whether it is stopped; kill -9 %[1]d and imapfs unmount end it)", cred.Pid, askLimit)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errNoDaemon // it ended just now
	case err != nil:
		return fmt.Errorf("%w (try again)", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusGone, http.StatusMisdirectedRequest:
		return errNoDaemon
	case http.StatusConflict:
		var answer outcome
		if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&answer); err != nil {
			return err
		}
		return errors.New(hinted(answer.Error, "try again"))
	default:
		return fmt.Errorf("its daemon, process %d, answers %s (it may be of another version: mount anew)", cred.Pid, oneLine(response.Status))
	}
	err = use(response.Body)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("its daemon, process %d, ended in the middle of its answer (see its log)", cred.Pid)
	}
	return err
}

// askEach asks the daemons of all mounts that are meant. Each failure is an error
// line of its own; the last is returned.
func askEach(path string, f func(*mounted) error) error {
	mounts, err := mountsOf(path)
	if err != nil {
		return err
	}
	var last error
	for _, m := range mounts {
		err := f(m)
		if err == nil {
			continue
		}
		if last != nil {
			fmt.Fprintln(os.Stderr, "imapfs: "+oneLine(last.Error()))
		}
		last = err
	}
	return last
}
