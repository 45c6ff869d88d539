package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The names in a directory: of the lock, of the journal, and behind an entry's ID.
const (
	lockName    = "lock"
	journalName = "journal"
	entryExt    = ".entry"
	textExt     = ".text"
	doneExt     = ".done" // behind ID.UIDVALIDITY.UID: what was the entry when it was done
	tornExt     = ".torn" // an entry that could not be read
	tmpExt      = ".tmp"
)

// dir is the directory of one daemon. It is ours as long as the lock is held.
type dir struct {
	disk disk
	path string
	lock io.Closer
	sync group // of which names it holds
}

func newDir(d disk, path string, lock io.Closer) *dir {
	n := &dir{disk: d, path: path, lock: lock}
	n.sync.run = func() error { return d.syncDir(path) }
	return n
}

func (d *dir) file(name string) string { return filepath.Join(d.path, name) }

// write puts a file in place of what has the name, whole or not at all. If durable,
// it is on the disk when write returns; else it outlives this process only, but
// its octets are on the disk before its name where there is a durable one to lose.
func (d *dir) write(name string, b []byte, flush, durable bool) (err error) {
	tmp := d.file(name + tmpExt)
	f, err := d.disk.open(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil && (flush || durable) {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = d.disk.rename(tmp, d.file(name))
	}
	if err != nil {
		d.disk.remove(tmp) // if that fails too the next Open does it
		return err
	}
	if durable {
		return d.sync.do()
	}
	return nil
}

// remove removes a file; one that is not there is removed.
func (d *dir) remove(name string) error {
	if err := d.disk.remove(d.file(name)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// read reads a file of at most limit octets.
func (d *dir) read(name string, limit int64) ([]byte, error) {
	f, err := d.disk.open(d.file(name), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.size()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, errRecord
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}

// textSize is the size of a text, -1 where there is none.
func (d *dir) textSize(id string) (int64, error) {
	f, err := d.disk.open(d.file(id+textExt), os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.size()
}

// doneName is the name of an entry that is done: renaming says it in one step that
// costs no sync and cannot tear.
func doneName(id string, v UIDValidity, uid UID) string {
	return fmt.Sprintf("%s.%d.%d%s", id, v, uid, doneExt)
}

// parseDone reads what doneName writes.
func parseDone(name string) (id string, v UIDValidity, uid UID, ok bool) {
	parts := strings.Split(strings.TrimSuffix(name, doneExt), ".")
	if len(parts) != 3 || !goodID(parts[0]) {
		return "", 0, 0, false
	}
	a, err1 := strconv.ParseUint(parts[1], 10, 32)
	b, err2 := strconv.ParseUint(parts[2], 10, 32)
	v, uid = UIDValidity(a), UID(b)
	return parts[0], v, uid, err1 == nil && err2 == nil && doneName(parts[0], v, uid) == name
}
