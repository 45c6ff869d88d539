package spool

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// An Orphan is a text that the server does not have and no daemon either: its own is
// gone, and the next Open takes it over.
type Orphan struct {
	*Info
	Path string // of the text, as it was written
}

// Orphans gives those below base, the oldest first, without taking or changing anything.
// Scratch files are not among them, nor what cannot be read, of which [Spool.Problems]
// tells. What a daemon has is left out. There need be no base.
func Orphans(base string) ([]Orphan, error) {
	names, err := osDisk{}.list(base, true)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Orphan
	for _, name := range names {
		path := filepath.Join(base, name)
		if !goodID(name) || owned(path) {
			continue
		}
		found, err := newDir(osDisk{}, path, nil).orphans()
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a daemon may have come since, and be gone
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b Orphan) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// owned reports whether a daemon has the directory. It takes the lock for an instant:
// osDisk.lock, which meets that, tries again.
func owned(path string) bool {
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// orphans are those in a directory that nobody has.
func (d *dir) orphans() ([]Orphan, error) {
	names, err := d.disk.list(d.path, false)
	if err != nil {
		return nil, err
	}
	var all []Orphan
	for _, name := range names {
		id, isEntry := strings.CutSuffix(name, entryExt)
		if !isEntry || !goodID(id) || slices.ContainsFunc(names, func(n string) bool {
			return strings.HasPrefix(n, id+".") && strings.HasSuffix(n, doneExt)
		}) {
			continue
		}
		b, err := d.read(name, maxEntry)
		if err != nil && !errors.Is(err, errRecord) {
			return nil, err
		}
		in, err := parse(b)
		if err != nil || in.ID != id {
			continue
		}
		if in.Size, err = d.textSize(id); err != nil {
			return nil, err
		}
		switch in.State {
		case Writing:
			in.Damage = cmp.Or(in.Damage, Interrupted)
		case Sending:
			in.State = Unknown
		case Ready, Unknown, Refused, Changed:
		default:
			continue
		}
		if in.Size >= 0 {
			all = append(all, Orphan{in, d.file(id + textExt)})
		}
	}
	return all, nil
}
