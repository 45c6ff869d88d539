package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// disk is what the spool asks of a file system. There is the real one, and that
// of the tests, which fails and forgets. Names are whole paths.
type disk interface {
	// mkdir makes a directory of mode 0700; one that is there is no error.
	mkdir(name string) error
	// list names what lies in a directory: its directories, else its regular files.
	list(name string, directories bool) ([]string, error)
	open(name string, flag int) (file, error)
	rename(from, to string) error
	remove(name string) error
	// syncDir makes durable which names a directory holds.
	syncDir(name string) error
	// lock takes the lock of a directory without waiting; nil: another has it,
	// or the directory is gone.
	lock(dir string) (io.Closer, error)
}

// file is an open file of a disk.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	size() (int64, error)
}

// osDisk is the real disk.
type osDisk struct{}

// osFile is a file of the real disk.
type osFile struct{ *os.File }

func (f osFile) size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (osDisk) mkdir(name string) error {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return err
	}
	st, err := os.Lstat(name)
	switch {
	case err != nil:
		return err
	case !st.IsDir():
		return &os.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
	case st.Mode().Perm()&0o077 != 0:
		return os.Chmod(name, 0o700) // it holds mail
	}
	return nil
}

func (osDisk) list(name string, directories bool) ([]string, error) {
	found, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range found {
		if d.IsDir() == directories && (directories || d.Type().IsRegular()) {
			names = append(names, d.Name())
		}
	}
	return names, nil
}

func (osDisk) open(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) remove(name string) error     { return os.Remove(name) }

func (osDisk) syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Orphans has a lock for an instant, which must not keep a daemon from a directory.
const (
	lockTries = 100
	lockPause = time.Millisecond
)

// lock locks a file, not the directory: NFS locks only what is open for writing.
func (osDisk) lock(dir string) (io.Closer, error) {
	name := filepath.Join(dir, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for tries := 1; ; {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == unix.EWOULDBLOCK && tries < lockTries {
			tries++
			time.Sleep(lockPause)
		} else if err != unix.EINTR {
			break
		}
	}
	if err == nil {
		// Its owner may have removed the directory since it was opened.
		var mine, there os.FileInfo
		if mine, err = f.Stat(); err == nil {
			if there, err = os.Lstat(name); err == nil && os.SameFile(mine, there) {
				return f, nil
			}
		}
	}
	f.Close()
	if err == nil || err == unix.EWOULDBLOCK || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return nil, &os.PathError{Op: "flock", Path: name, Err: err}
}

// copyText copies the first n octets of a text, on the real disk by sharing its
// blocks where the file system can.
func copyText(to, from file, n int64) error {
	out, ok1 := to.(osFile)
	in, ok2 := from.(osFile)
	if ok1 && ok2 && unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		return to.Truncate(n)
	}
	buf := make([]byte, min(n, chunk))
	for off := int64(0); off < n; {
		b := buf[:min(n-off, chunk)]
		if _, err := from.ReadAt(b, off); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := to.WriteAt(b, off); err != nil {
			return err
		}
		off += int64(len(b))
	}
	return nil
}
