package spool

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// errFault is what a call of a crashDisk gives that is told to fail.
var errFault = errors.New("the disk is said to fail here")

// crashDisk is a disk in memory that can lose what was not synced, as POSIX allows
// it: of the octets any, of the names any, though a rename is done whole or not.
type crashDisk struct {
	mu    sync.Mutex
	dirs  map[string]*crashDir
	locks map[string]*crashLock
	fault int // the call that fails, counted down to 1; 0: none
	syncs int // how often anything was synced
}

type crashDir struct {
	names   map[string]*inode
	durable map[string]*inode
	pending []map[string]*inode // each a step that is done whole; nil: no such name
}

type inode struct {
	data, durable []byte
	dirty         []func([]byte) []byte
}

type crashLock struct {
	d    *crashDisk
	path string
}

func newCrashDisk() *crashDisk {
	return &crashDisk{dirs: map[string]*crashDir{}, locks: map[string]*crashLock{}}
}

// failing counts a call, and reports whether it is the one that fails.
func (d *crashDisk) failing() bool {
	if d.fault == 0 {
		return false
	}
	d.fault--
	return d.fault == 0
}

// kill ends the process: its locks are free, what it has written is there.
func (d *crashDisk) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = 0
	clear(d.locks)
}

// cut ends the machine.
func (d *crashDisk) cut(r *rand.Rand) {
	d.kill()
	for _, path := range slices.Sorted(maps.Keys(d.dirs)) {
		dir := d.dirs[path]
		inOrder, upTo := r.IntN(2) == 0, r.IntN(len(dir.pending)+1)
		for i, step := range dir.pending {
			if inOrder && i < upTo || !inOrder && r.IntN(2) == 0 {
				apply(dir.durable, step)
			}
		}
		dir.names, dir.pending = maps.Clone(dir.durable), nil
		for _, name := range slices.Sorted(maps.Keys(dir.names)) {
			n := dir.names[name]
			for _, change := range n.dirty {
				switch r.IntN(3) {
				case 0:
					n.durable = change(n.durable)
				case 1: // its length, and zeros
					whole := change(slices.Clone(n.durable))
					for len(n.durable) < len(whole) {
						n.durable = append(n.durable, 0)
					}
				}
			}
			n.dirty, n.data = nil, slices.Clone(n.durable)
		}
	}
}

func apply(names map[string]*inode, step map[string]*inode) {
	for name, n := range step {
		if n == nil {
			delete(names, name)
		} else {
			names[name] = n
		}
	}
}

func (d *crashDisk) dir(name string) (*crashDir, string, error) {
	dir := d.dirs[filepath.Dir(name)]
	if dir == nil {
		return nil, "", fs.ErrNotExist
	}
	return dir, filepath.Base(name), nil
}

func (dir *crashDir) step(step map[string]*inode) {
	apply(dir.names, step)
	dir.pending = append(dir.pending, step)
}

func (d *crashDisk) mkdir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dirs[name] == nil {
		d.dirs[name] = &crashDir{names: map[string]*inode{}, durable: map[string]*inode{}}
	}
	return nil
}

func (d *crashDisk) list(name string, directories bool) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !directories {
		return slices.Sorted(maps.Keys(d.dirs[name].names)), nil
	}
	var names []string
	for path := range d.dirs {
		if filepath.Dir(path) == name && path != name {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d *crashDisk) open(name string, flag int) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, err := d.dir(name)
	if err != nil {
		return nil, err
	}
	if d.failing() {
		return nil, errFault
	}
	n := dir.names[base]
	if n == nil {
		if flag&os.O_CREATE == 0 {
			return nil, fs.ErrNotExist
		}
		n = &inode{}
		dir.step(map[string]*inode{base: n})
	}
	f := &crashFile{d, n}
	if flag&os.O_TRUNC != 0 {
		f.change(func([]byte) []byte { return nil })
	}
	return f, nil
}

func (d *crashDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, a, err := d.dir(from)
	if err != nil {
		return err
	}
	if d.failing() {
		return errFault
	}
	if dir.names[a] == nil {
		return fs.ErrNotExist
	}
	dir.step(map[string]*inode{a: nil, filepath.Base(to): dir.names[a]})
	return nil
}

func (d *crashDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dir := d.dirs[name]; dir != nil {
		if len(dir.names) > 0 {
			return syscall.ENOTEMPTY
		}
		delete(d.dirs, name)
		return nil
	}
	dir, base, err := d.dir(name)
	if err != nil {
		return err
	}
	if d.failing() {
		return errFault
	}
	if dir.names[base] == nil {
		return fs.ErrNotExist
	}
	dir.step(map[string]*inode{base: nil})
	return nil
}

func (d *crashDisk) syncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := d.dirs[name]
	if dir == nil {
		return fs.ErrNotExist
	}
	if d.failing() {
		return errFault
	}
	d.syncs++
	dir.durable, dir.pending = maps.Clone(dir.names), nil
	return nil
}

func (d *crashDisk) lock(dir string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dirs[dir] == nil || d.locks[dir] != nil {
		return nil, nil
	}
	l := &crashLock{d, dir}
	d.locks[dir] = l
	return l, nil
}

func (l *crashLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.d.locks[l.path] == l {
		delete(l.d.locks, l.path)
	}
	return nil
}

type crashFile struct {
	d *crashDisk
	n *inode
}

// change does a change now, and perhaps after a crash.
func (f *crashFile) change(c func([]byte) []byte) {
	f.n.data = c(f.n.data)
	f.n.dirty = append(f.n.dirty, c)
}

func (f *crashFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	var err error
	p = slices.Clone(p)
	if f.d.failing() {
		p, err = p[:len(p)/2], syscall.ENOSPC
	}
	if len(p) > 0 {
		f.change(func(b []byte) []byte {
			if need := int(off) + len(p); need > len(b) {
				b = append(b, make([]byte, need-len(b))...)
			}
			copy(b[off:], p)
			return b
		})
	}
	return len(p), err
}

func (f *crashFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.failing() {
		return errFault
	}
	f.change(func(b []byte) []byte {
		if int(size) > len(b) {
			return append(b, make([]byte, int(size)-len(b))...)
		}
		return b[:size]
	})
	return nil
}

// Sync forgets what it could not write, as Linux does.
func (f *crashFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	dirty := f.n.dirty
	f.n.dirty = nil
	if f.d.failing() {
		return errFault
	}
	f.d.syncs++
	for _, c := range dirty {
		f.n.durable = c(f.n.durable)
	}
	return nil
}

func (f *crashFile) Close() error { return nil }

func (f *crashFile) size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.n.data)), nil
}
