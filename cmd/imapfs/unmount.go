package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"imapfs/cache"
)

func newUnmount() *cobra.Command {
	var noWait bool
	var limit time.Duration
	c := &cobra.Command{
		Use:     "unmount [flags] MOUNTPOINT",
		Aliases: []string{"umount"},
		Short:   "unmounts what imapfs mount has mounted",
		Long: `Unmounts what imapfs mount has mounted, and so ends its background process. What was
written and is not on the server yet is sent first: that takes as long as it moves.
What the server does not take is named, and the exit status is 1; it stays in the
spool, and the next mount tries again. Ctrl-C leaves it mounted (exit status 130).

A mount in use is taken out of sight at once; it ends when the last program has
left it, and what such a program writes is sent when it closes the file.`,
		Example: "  imapfs unmount ~/mail\n  imapfs unmount --timeout 10s ~/mail",
		Args:    exactly(1),
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for what is to be sent: the next mount sends what is left")
	c.Flags().DurationVar(&limit, "timeout", 0, "wait so long at most, then unmount (as long as it takes)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if limit < 0 || noWait && limit > 0 {
			return usagef("--timeout %v is no time to wait for (30s is one; --no-wait waits for none)", limit)
		}
		return unmount(c.Context(), args[0], noWait, limit)
	}
	return c
}

var errStillMounted = errors.New("interrupted: it is still mounted (--no-wait does not wait)")

func unmount(ctx context.Context, path string, noWait bool, limit time.Duration) error {
	path, at, err := ourEntry(path)
	if err != nil {
		return err
	}
	freeStuck(at)
	var left []cache.Pending
	var unknown error
	if !noWait {
		left, unknown = sendPending(ctx, at, limit)
		if errors.Is(unknown, errStillMounted) {
			return unknown
		}
	}
	daemon := func() {}
	if len(left) > 0 {
		daemon = daemonEnd(at)
	}
	if err = detach(path, false); errors.Is(err, syscall.EINVAL) && os.Geteuid() == 0 {
		return nil // it went with the connection
	}
	if errors.Is(err, syscall.EBUSY) {
		daemon = func() {}
		if err = detach(path, true); err == nil {
			fmt.Fprintf(os.Stderr, "imapfs: %s was in use: it is out of sight, and ends when the last program has left it\n", path)
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w (see who uses it with fuser -m %[1]s)", path, err)
	case unknown != nil:
		return fmt.Errorf("unmounted, but whether all is on the server is not known: %w", unknown)
	case len(left) > 0:
		daemon() // until then the next mount cannot have what is left
		return leftBehind(path, left)
	}
	return nil
}

// daemonPatience is how long a daemon that has nothing mounted any more is waited for: it
// tries to send what is left.
const daemonPatience = 15 * time.Second

// daemonEnd gives what waits for the daemon of a mount to end.
func daemonEnd(at *mountinfo.Info) (wait func()) {
	fd := -1
	if conn := mountedAt(at).dial(at.Mountpoint); conn != nil {
		if cred, err := peer(conn); err == nil {
			if fd, err = unix.PidfdOpen(int(cred.Pid), 0); err != nil {
				fd = -1
			}
		}
		conn.Close()
	}
	return func() {
		if fd < 0 {
			return
		}
		defer unix.Close(fd)
		until := time.Now().Add(daemonPatience)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(0, int(time.Until(until)/time.Millisecond)))
			if !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	}
}

// mountedAt is what to ask about an entry of the mount table.
func mountedAt(at *mountinfo.Info) *mounted {
	owner, _ := mountOwner(at)
	return &mounted{deviceOf(at), owner, []string{at.Mountpoint}}
}

// sendPending has the daemon of a mount send what is pending, shows how far it is, and
// gives what is left. Where no daemon answers nobody can send anything: no error.
func sendPending(ctx context.Context, at *mountinfo.Info, limit time.Duration) ([]cache.Pending, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	show := &sending{point: at.Mountpoint}
	left, err := mountedAt(at).flushFirst(ctx, limit, show.progress)
	show.end()
	switch {
	case ctx.Err() != nil:
		return nil, errStillMounted
	case errors.Is(err, errNoDaemon):
		return nil, nil
	}
	return left, err
}

// leftBehind names what is not on the server, a line for each.
func leftBehind(path string, left []cache.Pending) error {
	for _, p := range left {
		why := p.Error
		if why == "" {
			why = "not sent yet"
		}
		fmt.Fprintf(os.Stderr, "imapfs: %s, %s: %s\n", oneLine(placeOf(p)), size(p.Size), oneLine(why))
	}
	return fmt.Errorf("%s is unmounted, but %s not on the server: the next mount tries again (imapfs pending lists what is left)",
		path, countedAre(len(left), "text"))
}

// countedAre is a number of things, and that they are.
func countedAre(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}

// sending shows how far the sending is: a bar on a terminal, else one line. Nothing where
// there is nothing to send.
type sending struct {
	point string
	bar   *progressbar.ProgressBar
	said  bool
}

func (s *sending) progress(done, total int64) {
	switch {
	case total == 0:
	case !term.IsTerminal(int(os.Stderr.Fd())):
		if !s.said {
			s.said = true
			fmt.Fprintf(os.Stderr, "imapfs: %s: sending %s before it is unmounted\n", oneLine(s.point), size(total))
		}
	case s.bar == nil:
		s.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(os.Stderr),
			progressbar.OptionSetDescription("sending"),
			progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetWidth(30),
			progressbar.OptionSetRenderBlankState(true),
			progressbar.OptionClearOnFinish())
		fallthrough
	default:
		s.bar.ChangeMax64(max(total, 1))
		s.bar.Set64(done)
	}
}

func (s *sending) end() {
	if s.bar != nil {
		s.bar.Clear()
	}
}
