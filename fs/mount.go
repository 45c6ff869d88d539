package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bazil.org/fuse"
	"github.com/moby/sys/mountinfo"

	"imapfs/cache"
)

// Options say how the account is shown. The zero value of a field means what
// is said beside it.
type Options struct {
	// MountPoint is an existing directory.
	MountPoint string

	// FSName is the source in the mount table, imapfs#user@host; "" is "imapfs".
	FSName string

	// AllowOther lets other users in as far as mode and owner permit. For who is
	// not root it needs user_allow_other in /etc/fuse.conf.
	AllowOther bool

	// UID and GID own all files.
	UID, GID uint32

	// Umask is taken from 0666 for messages and 0777 for mailboxes: 077 gives
	// 0600 and 0700.
	Umask os.FileMode

	// Suffix is appended to each message's name.
	Suffix string

	// Writable has programs change the account through the mount, if it can be changed.
	Writable bool

	// Timeout is how long a request may wait for the server before it fails
	// with ETIMEDOUT; 0 means DefaultTimeout.
	Timeout time.Duration

	// Logger gets one line for each cause of failure; nil for none.
	Logger *slog.Logger

	lookEvery time.Duration // of tests; 0: cache.LookInterval
}

// DefaultTimeout is what is waited for the server where nothing is said.
const DefaultTimeout = 30 * time.Second

const (
	subtype = "imapfs"

	// maxReadahead is what the kernel reads ahead, in octets: bazil's buffers and
	// the kernel allow no more.
	maxReadahead = 128 << 10

	// maxBackground bounds the requests of the kernel's own read-ahead.
	maxBackground = 128
)

// A Server is a mounted account.
type Server struct {
	options           Options
	fileMode, dirMode os.FileMode
	naming            naming
	log               *slog.Logger
	causes            causes

	account account
	kernel  kernel
	conn    *fuse.Conn
	device  device
	mount   *mountinfo.Info // as the mount table had it after mounting
	ctx     context.Context // of Serve: all requests end with it

	mu     sync.Mutex // guards dirs, inodes and the making of slots; nothing is called with it held
	dirs   map[mailbox]*directory
	inodes map[uint64]*directory   // the same, by number
	slots  atomic.Pointer[[]*slot] // by ID; append-only
	root   *directory

	edits     *edits // nil: read-only
	generated generated
	waits     waits
	notifiers notifiers
	readers   atomic.Int32 // reading goroutines
	requests  atomic.Int64 // that were read
}

// Mount mounts the account and begins to observe it. Serve must be
// called next: until then whoever enters the mount waits.
//
// The mount has default_permissions, and nosuid and nodev, which fusermount3
// gives by itself. bazil.org/fuse cannot pass noexec: nothing can be executed
// all the same, as no file has an x bit.
func Mount(a *cache.Account, o Options) (*Server, error) {
	s, err := mount(cacheAccount{a}, o)
	if err != nil {
		return nil, err
	}
	a.Observe(observer{s})
	return s, nil
}

// Requests is how many requests of the kernel's were read.
func (s *Server) Requests() int64 { return s.requests.Load() }

// newServer makes all of a Server but the mount.
func newServer(a account, o Options) (*Server, error) {
	n := naming{suffix: o.Suffix}
	if err := n.check(); err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.FSName == "" {
		o.FSName = subtype
	}
	if o.lookEvery <= 0 {
		o.lookEvery = cache.LookInterval
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		options:  o,
		fileMode: 0o666 &^ o.Umask,
		dirMode:  0o777 &^ o.Umask,
		naming:   n,
		log:      o.Logger,
		causes:   causes{log: o.Logger, seen: make(map[string]time.Time)},
		account:  a,
		dirs:     make(map[mailbox]*directory),
		inodes:   make(map[uint64]*directory),
	}
	if w, ok := a.(writer); ok && o.Writable {
		s.edits = newEdits(w, n)
	}
	s.generated.init()
	s.waits.init()
	s.slots.Store(new([]*slot))
	s.root = s.directory(a.Tree().Root(), nil) // slot 0
	s.root.top = true
	return s, nil
}

func mount(a account, o Options) (*Server, error) {
	point, err := filepath.Abs(o.MountPoint)
	if err == nil {
		point, err = filepath.EvalSymlinks(point)
	}
	if err != nil {
		return nil, fmt.Errorf("mount point: %w", err)
	}
	// fusermount3 would mount on a file, too.
	switch info, err := os.Stat(point); {
	case err != nil:
		return nil, fmt.Errorf("mount point: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("mount point %s is not a directory", point)
	}
	o.MountPoint = point
	s, err := newServer(a, o)
	if err != nil {
		return nil, err
	}
	options := []fuse.MountOption{
		fuse.FSName(s.options.FSName),
		fuse.Subtype(subtype),
		fuse.DefaultPermissions(),
		fuse.MaxReadahead(maxReadahead),
		fuse.MaxBackground(maxBackground),
		fuse.CongestionThreshold(maxBackground),
		// No AsyncRead: the kernel's background READs cannot be interrupted.
	}
	if s.edits == nil {
		options = append(options, fuse.ReadOnly())
	}
	if o.AllowOther {
		options = append(options, fuse.AllowOther())
	}
	before := devices()
	if s.conn, err = mountQuietly(point, options); err != nil {
		return nil, err
	}
	s.kernel = s.conn
	if s.mount, err = findMount(point); err != nil || s.mount == nil {
		unmount(point)
		return nil, errors.Join(fmt.Errorf("mount point %s is not in the mount table", point), err, s.conn.Close())
	}
	if s.device = newDevice(before); s.device.file == nil {
		s.log.Debug("texts are copied for the kernel: which file is the mount's is not plain")
	}
	return s, nil
}

// mountQuietly mounts. bazil writes what fusermount3 says to the standard
// logger and returns its exit status only; the error is to have both.
func mountQuietly(point string, options []fuse.MountOption) (*fuse.Conn, error) {
	var said bytes.Buffer
	out, flags := log.Writer(), log.Flags()
	log.SetOutput(&said)
	log.SetFlags(0)
	conn, err := fuse.Mount(point, options...)
	log.SetOutput(out)
	log.SetFlags(flags)

	helper, _ := said.ReadString('\n')
	helper = strings.TrimPrefix(strings.TrimSpace(helper), "mount helper error: ")
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, exec.ErrNotFound) || strings.Contains(err.Error(), "executable file not found"):
		return nil, errors.New("fusermount3 is not on the PATH (install fuse3)")
	case helper != "":
		return nil, fmt.Errorf("mount on %s: %s", point, helper)
	}
	return nil, fmt.Errorf("mount on %s: %w", point, err)
}

// Unmount unmounts; if the file system is in use, lazily: it is gone from the
// tree at once, and Serve returns when the last file in it is closed.
func (s *Server) Unmount() error {
	point := s.options.MountPoint
	if unmount(point) == nil {
		return nil
	}
	if _, err := runFusermount("-u", "-z", "--", point); err != nil {
		return fmt.Errorf("unmount %s: %w", point, err)
	}
	return nil
}

func unmount(point string) error {
	_, err := runFusermount("-u", "--", point)
	return err
}

func runFusermount(args ...string) (string, error) {
	out, err := exec.Command("fusermount3", args...).CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil && text != "" {
		err = errors.New(text)
	}
	return string(out), err
}

// Mounted reports whether the mount is to be seen still. One that was unmounted
// lazily is not, though programs that have files of it open are served on.
func (s *Server) Mounted() bool {
	now, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.ID != s.mount.ID, false })
	return err != nil || slices.ContainsFunc(now, func(m *mountinfo.Info) bool { return m.Minor == s.mount.Minor })
}

// Device is the mount's number as the mount table has it, major:minor.
func (s *Server) Device() string { return fmt.Sprintf("%d:%d", s.mount.Major, s.mount.Minor) }

// clear takes away what umount -f and an aborted connection leave: a mount
// point that answers ENOTCONN. Another mount that is there by now is left alone.
func (s *Server) clear() error {
	now, err := findMount(s.options.MountPoint)
	if err != nil || now == nil || now.ID != s.mount.ID || now.Minor != s.mount.Minor {
		return err
	}
	s.log.Warn("the connection to the kernel ended without an unmount", "mountpoint", s.options.MountPoint)
	if _, err := runFusermount("-u", "-z", "--", s.options.MountPoint); err != nil {
		return fmt.Errorf("unmount %s: %w", s.options.MountPoint, err)
	}
	return nil
}

// findMount gives the topmost file system at a mount point from the mount
// table; nil if there is none. The mount itself is not touched.
func findMount(point string) (*mountinfo.Info, error) {
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != point, false })
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[len(all)-1], nil
}
