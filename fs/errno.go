package fs

import (
	"errors"
	"syscall"

	"imapfs/cache"
)

var (
	// errStale: the node means nothing any more; the kernel asks again by name.
	errStale = syscall.ESTALE

	// errWait is answered by handlers that would have to ask the server. It
	// never leaves this package.
	errWait = errors.New("must wait for the server")

	// errDeadline is the cause of ETIMEDOUT where package cache has not said it first.
	errDeadline = &cache.Error{Op: "wait", Kind: cache.Timeout,
		Err: errors.New("the server has not answered inside the deadline (see --timeout)")}
)

// errnos is the table: each kind of failure has one errno.
var errnos = map[cache.Kind]syscall.Errno{
	cache.NotExist:    syscall.ENOENT,
	cache.Stale:       syscall.ESTALE,
	cache.Access:      syscall.EACCES,
	cache.ReadOnly:    syscall.EROFS,
	cache.NotOffered:  syscall.EPERM,
	cache.Quota:       syscall.EDQUOT,
	cache.TooBig:      syscall.EFBIG,
	cache.Exists:      syscall.EEXIST,
	cache.Busy:        syscall.EBUSY,
	cache.Interrupted: syscall.EINTR,
	cache.Timeout:     syscall.ETIMEDOUT,
	cache.IO:          syscall.EIO,
	cache.NotEmpty:    syscall.ENOTEMPTY,
	cache.Invalid:     syscall.EINVAL,
}

// errnoOf gives the errno of an error by its kind, however deeply wrapped. What
// has no kind is EIO.
func errnoOf(err error) syscall.Errno {
	var (
		known  *cache.Error
		number syscall.Errno
	)
	if !errors.As(err, &known) && errors.As(err, &number) {
		return number
	}
	if e, ok := errnos[cache.KindOf(err)]; ok {
		return e
	}
	return syscall.EIO
}
