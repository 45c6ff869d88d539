package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// controlDirs are the directories where control sockets of a user's daemons may
// lie, the best first: a daemon takes the first that it can have, and who asks looks
// into all, as cron and sudo have another environment. Of another user's
// environment nothing is known.
func controlDirs(uid int) []string {
	var dirs []string
	if run := os.Getenv("XDG_RUNTIME_DIR"); uid == os.Geteuid() && filepath.IsAbs(run) {
		dirs = append(dirs, filepath.Join(run, "imapfs"))
	}
	dirs = append(dirs, fmt.Sprintf("/run/user/%d/imapfs", uid))
	for _, tmp := range []string{os.TempDir(), "/tmp"} {
		dirs = append(dirs, filepath.Join(tmp, fmt.Sprintf("imapfs-%d", uid)))
	}
	return slices.Compact(dirs)
}

// A controlDir is an open directory of sockets: its owner's alone. It is used by
// its descriptor, so that nobody can put another in its place, and so that no path
// is longer than the 107 octets that unix(7) has room for.
type controlDir struct {
	f    *os.File
	path string
}

// makeControlDir opens the first of our directories that can be had, and makes it
// if it is not there.
func makeControlDir() (*controlDir, error) {
	var errs error
	for _, path := range controlDirs(os.Geteuid()) {
		d, err := makeControlDirAt(path)
		if err == nil {
			return d, nil
		}
		errs = errors.Join(errs, err)
	}
	return nil, errs
}

func makeControlDirAt(path string) (*controlDir, error) {
	// What is above is there already: the system's, or $XDG_RUNTIME_DIR, which sudo
	// may have left to root though it is another's.
	if above, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, err
	} else if owner := above.Sys().(*syscall.Stat_t).Uid; filepath.Base(path) == "imapfs" && int(owner) != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to user %d", filepath.Dir(path), owner)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	d, err := openControlDir(path, os.Geteuid())
	if err != nil {
		return nil, err
	}
	if err := d.f.Chmod(0o700); err != nil {
		d.f.Close()
		return nil, err
	}
	return d, nil
}

// openControlDir opens a directory if it belongs to the user.
func openControlDir(path string, uid int) (*controlDir, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; int(owner) != uid {
		f.Close()
		return nil, fmt.Errorf("%s belongs to user %d", path, owner)
	}
	return &controlDir{f, path}, nil
}

// socketName is the name of the socket of a mount point.
func socketName(mountPoint string) string {
	sum := sha256.Sum256([]byte(mountPoint))
	return hex.EncodeToString(sum[:8]) + socketSuffix
}

const socketSuffix = ".sock"

// entry is the path of a name in the directory, for this process.
func (d *controlDir) entry(name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.f.Fd(), name)
}

func (d *controlDir) dial(name string) (*net.UnixConn, error) {
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: d.entry(name), Net: "unix"})
}

// listen takes a name: whoever had it before serves a mount that is no longer
// there, or that is out of sight.
func (d *controlDir) listen(name string) (*net.UnixListener, error) {
	if err := os.Remove(d.entry(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: d.entry(name), Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the name may be another's by then
	if err := os.Chmod(d.entry(name), 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// inode is the number of what has a name; 0: nothing.
func (d *controlDir) inode(name string) uint64 {
	st, err := os.Lstat(d.entry(name))
	if err != nil {
		return 0
	}
	return st.Sys().(*syscall.Stat_t).Ino
}

// staleAge is how old a socket is at least when it may be taken for one that a dead
// daemon has left: one that was bound just now refuses, too.
const staleAge = 10 * time.Second

// sweep removes the sockets of daemons that are gone.
func (d *controlDir) sweep() {
	names, err := os.ReadDir(d.entry("."))
	if err != nil {
		return
	}
	for _, e := range names {
		info, err := e.Info()
		if err != nil || info.Mode().Type() != os.ModeSocket || !strings.HasSuffix(e.Name(), socketSuffix) || time.Since(info.ModTime()) < staleAge {
			continue
		}
		was := d.inode(e.Name())
		conn, err := d.dial(e.Name())
		if err == nil {
			conn.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) && d.inode(e.Name()) == was {
			os.Remove(d.entry(e.Name()))
		}
	}
}

// close closes the directory, and removes it where it is empty.
func (d *controlDir) close() {
	d.f.Close()
	os.Remove(d.path)
}
