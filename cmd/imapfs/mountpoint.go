package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// fsType is what /proc/self/mountinfo says of our mounts.
const fsType = "fuse.imapfs"

// checkMountPoint makes sure that path is an empty directory of ours on which
// nothing is mounted, and returns its real name. A mount of ours whose
// process died is cleared away first.
func checkMountPoint(path string) (string, error) {
	path, err := realPath(path)
	if err != nil {
		return "", mountPointError(path, err)
	}
	mounted, err := mountEntry(path)
	if err != nil {
		return "", err
	}
	if mounted != nil && strings.HasPrefix(mounted.FSType, "fuse") {
		err := asksDaemon(path)
		switch {
		case !errors.Is(err, syscall.ENOTCONN) && mounted.FSType == fsType:
			return "", fmt.Errorf("%s: imapfs is mounted there already (imapfs unmount %[1]s)", path)
		case !errors.Is(err, syscall.ENOTCONN):
			return "", fmt.Errorf("%s: a file system of type %s is mounted there (name an empty directory)", path, mounted.FSType)
		case mounted.FSType != fsType || !mountedByUs(mounted):
			return "", fmt.Errorf("%s: a dead mount of type %s lies there (fusermount3 -uz %[1]s)", path, mounted.FSType)
		}
		if err := detach(path, true); err != nil {
			return "", fmt.Errorf("%s: a dead mount lies there and cannot be cleared: %w (fusermount3 -uz %[1]s)", path, err)
		}
		return checkMountPoint(path)
	}
	return path, checkEmptyDir(path)
}

// asksDaemon has the kernel ask the daemon for the attributes of a mount. With lstat(2) those of
// a mount whose daemon is dead would come from its cache.
func asksDaemon(path string) error {
	return unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, new(unix.Statx_t))
}

func checkEmptyDir(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return mountPointError(path, err)
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is not a directory (name an empty directory)", path)
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; os.Geteuid() != 0 && owner != uint32(os.Geteuid()) {
		return fmt.Errorf("%s belongs to another user (name a directory of your own)", path)
	}
	d, err := os.Open(path)
	if err != nil {
		return mountPointError(path, err)
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); err == nil {
		return fmt.Errorf("%s is not empty (name an empty directory)", path)
	} else if err != io.EOF {
		return mountPointError(path, err)
	}
	return nil
}

func mountPointError(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s does not exist (mkdir -p %[1]s)", path)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s is below a file (name an empty directory)", path)
	case errors.Is(err, syscall.ENOTCONN):
		return fmt.Errorf("%s lies in a dead mount (clear that with fusermount3 -uz)", path)
	}
	return fmt.Errorf("the mount point: %w (name an empty directory of your own)", err)
}

// realPath resolves the symbolic links of a path, as the mount table has it,
// but does not look into what is mounted at its end: that may be dead.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path, err
	}
	if abs == "/" {
		return abs, nil
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return abs, err
	}
	abs = filepath.Join(parent, filepath.Base(abs))
	if _, err := os.Readlink(abs); err == nil {
		return filepath.EvalSymlinks(abs)
	}
	return abs, nil
}

// mountEntry is what the mount table has at path, nil for nothing. Of several,
// one over another, it is the one that is seen.
func mountEntry(path string) (*mountinfo.Info, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.Mountpoint != path, false
	})
	if err != nil {
		return nil, fmt.Errorf("the mount table: %w (is /proc mounted?)", err)
	}
	if len(mounts) == 0 {
		return nil, nil
	}
	return mounts[len(mounts)-1], nil
}

// mountedByUs says whether the user that runs us made the mount; root may
// clear anybody's.
func mountedByUs(m *mountinfo.Info) bool {
	if os.Geteuid() == 0 {
		return true
	}
	owner, known := mountOwner(m)
	return known && owner == os.Geteuid()
}

// mountOwner is the user that made a mount of FUSE.
func mountOwner(m *mountinfo.Info) (uid int, known bool) {
	for opt := range strings.SplitSeq(m.VFSOptions, ",") {
		if id, ok := strings.CutPrefix(opt, "user_id="); ok {
			uid, err := strconv.Atoi(id)
			return uid, err == nil
		}
	}
	return 0, false
}

// ourEntry is what the mount table has at a path, which is made absolute and rid
// of links; an error where that is no mount of ours.
func ourEntry(path string) (string, *mountinfo.Info, error) {
	path, err := realPath(path)
	if err != nil {
		return path, nil, mountPointError(path, err)
	}
	mounted, err := mountEntry(path)
	switch {
	case err != nil:
		return path, nil, err
	case mounted == nil:
		return path, nil, fmt.Errorf("%s: nothing is mounted there (findmnt -t %s lists what is)", path, fsType)
	case mounted.FSType != fsType:
		return path, nil, fmt.Errorf("%s: a file system of type %s is mounted there, not imapfs (umount %[1]s)", path, mounted.FSType)
	}
	return path, mounted, nil
}

// detach unmounts. A lazy one succeeds though the mount is in use, takes it
// out of sight, and the kernel ends it when the last user is gone. The error
// of a mount in use is EBUSY.
func detach(path string, lazy bool) error {
	if os.Geteuid() == 0 {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		return unix.Unmount(path, flags)
	}
	how := "-u"
	if lazy {
		how = "-uz"
	}
	out, err := exec.Command(fusermount, how, "--", path).CombinedOutput()
	switch {
	case err == nil:
		return nil
	case bytes.Contains(out, []byte("busy")):
		return syscall.EBUSY
	case errors.As(err, new(*exec.ExitError)):
		return errors.New(strings.TrimPrefix(oneLine(string(out)), fusermount+": "))
	}
	return err
}

// fusermount is the program that mounts and unmounts for those who are not root.
const fusermount = "fusermount3"

// checkFUSE makes sure that a mount can be had at all.
func checkFUSE(allowOther bool) error {
	if _, err := exec.LookPath(fusermount); err != nil {
		return fmt.Errorf("%s is not on the PATH (install it: apt install fuse3)", fusermount)
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENODEV):
		return errors.New("there is no /dev/fuse (modprobe fuse; in a container add --device /dev/fuse --cap-add SYS_ADMIN)")
	case errors.Is(err, os.ErrPermission) && os.Geteuid() == 0:
		return errors.New("/dev/fuse may not be opened (in a container add --device /dev/fuse --cap-add SYS_ADMIN)")
	}
	if allowOther && os.Geteuid() != 0 && !userAllowOther("/etc/fuse.conf") {
		return errors.New("--allow-other is not allowed here (have root write user_allow_other into /etc/fuse.conf)")
	}
	return nil
}

// userAllowOther says whether fuse.conf lets ordinary users use allow_other.
func userAllowOther(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			return true
		}
	}
	return false
}
