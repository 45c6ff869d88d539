package fs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"bazil.org/fuse"

	"imapfs/cache"
)

// dispatch answers one request in the goroutine that read it, or hands it to
// one of its own if it must wait for the server. Every request is answered: one
// way or the other, and once.
func (s *Server) dispatch(req fuse.Request) {
	switch r := req.(type) {
	case *fuse.LookupRequest:
		s.account.Look()
		s.serveLookup(r)
	case *fuse.GetattrRequest:
		s.account.Look()
		s.serveGetattr(r)
	case *fuse.ReadRequest:
		if r.Dir {
			s.serveReaddir(r)
		} else {
			s.serveRead(r)
		}
	case *fuse.OpenRequest:
		if r.Dir {
			s.serveOpendir(r)
		} else {
			s.serveOpen(r)
		}
	case *fuse.ReleaseRequest:
		switch {
		case r.Dir:
			r.Respond()
		case r.Handle == handleRead:
			s.countOpen(r.Node, -1)
			r.Respond()
		default:
			r.Respond()
			s.closeFile(r.Node)
		}
	case *fuse.FlushRequest:
		switch {
		case r.Handle == handleWrite:
		case s.openedByKernel():
			r.RespondError(syscall.ENOSYS)
			return
		default:
			r.Respond() // kernels before 5.16 ask despite noFlush
			return
		}
		s.serveFlush(r, func() { r.Respond() })
	case *fuse.FsyncRequest:
		if r.Dir || r.Handle != handleWrite {
			r.Respond() // there is nothing to write
			return
		}
		s.serveFlush(r, func() { r.Respond() })
	case *fuse.CreateRequest:
		s.serveCreate(r)
	case *fuse.MknodRequest:
		s.serveMknod(r)
	case *fuse.WriteRequest:
		s.serveWrite(r)
	case *fuse.SetattrRequest:
		s.serveSetattr(r)
	case *fuse.MkdirRequest:
		s.serveMkdir(r)
	case *fuse.RemoveRequest:
		s.serveRemove(r)
	case *fuse.RenameRequest:
		s.serveRename(r)
	case *fuse.LinkRequest:
		s.serveLink(r)
	case *fuse.SymlinkRequest:
		s.fail(r, s.refused(syscall.EPERM))
	case *fuse.GetxattrRequest:
		s.serveGetxattr(r)
	case *fuse.ListxattrRequest:
		s.serveListxattr(r)
	case *fuse.SetxattrRequest:
		s.serveSetxattr(r)
	case *fuse.RemovexattrRequest:
		s.serveRemovexattr(r)
	case *fuse.StatfsRequest:
		resp := s.statfs()
		r.Respond(&resp)
	case *fuse.AccessRequest:
		r.Respond() // the kernel decides by mode (default_permissions)
	case *fuse.ForgetRequest:
		s.generated.forget(r.Node, r.N)
		s.edits.forget(r.Node, r.N)
		r.Respond()
	case *fuse.BatchForgetRequest:
		for _, f := range r.Forget {
			s.generated.forget(f.NodeID, f.N)
			s.edits.forget(f.NodeID, f.N)
		}
		r.Respond()
	case *fuse.InterruptRequest:
		s.serveInterrupt(r)
	case *fuse.PollRequest:
		r.Respond(&fuse.PollResponse{REvents: r.Events & fuse.DefaultPollMask})
	case *fuse.DestroyRequest:
		r.Respond()
	case *fuse.NotifyReply:
		// An answer to a question that we never ask.
		(&fuse.NotifyRetrieval{}).Finish(r)
	default:
		req.RespondError(refusal(req))
	}
}

// refusal is the errno of what this mount does not do. ENOSYS means for the
// kernel "never ask again": only for what bazil cannot parse, where the kernel
// has another way, and for openedByKernel.
func refusal(req fuse.Request) syscall.Errno {
	switch req.(type) {
	case *fuse.SetattrRequest, *fuse.WriteRequest, *fuse.CreateRequest, *fuse.MkdirRequest,
		*fuse.MknodRequest, *fuse.SymlinkRequest, *fuse.LinkRequest, *fuse.RenameRequest,
		*fuse.RemoveRequest, *fuse.RemovexattrRequest:
		return syscall.EROFS
	case *fuse.ReadlinkRequest:
		return syscall.EINVAL
	case *fuse.UnrecognizedRequest:
		return syscall.ENOSYS
	}
	return syscall.EOPNOTSUPP // fallocate, locks that were not negotiated
}

// openedByKernel reports whether the kernel may open and close files without asking: for
// ever, once OPEN and FLUSH were answered ENOSYS. A text that was read is then read again
// as fast as one on a local disk. A writable mount needs both, and only an OPEN can correct
// a wrong size (open.go).
func (s *Server) openedByKernel() bool { return s.edits == nil && s.account.SizesRight() }

// refused is the errno of what a writable mount does not do.
func (s *Server) refused(errno error) error {
	if s.edits == nil {
		return syscall.EROFS
	}
	return errno
}

// fail answers an error that needed no waiting.
func (s *Server) fail(req fuse.Request, err error) {
	if number, ok := err.(syscall.Errno); ok {
		req.RespondError(number) // an answer: ls -l asks for an ACL of each entry
		return
	}
	s.causes.report(opName(req), err)
	req.RespondError(errnoOf(err))
}

func (s *Server) serveLookup(r *fuse.LookupRequest) {
	resp, err := s.lookup(r.Node, r.Name)
	switch err {
	case nil:
		r.Respond(&resp)
	case errWait:
		s.waitLookup(r)
	default:
		s.fail(r, err)
	}
}

// waitLookup waits for the first load. Meanwhile the kernel holds the
// directory, so its news is held back.
func (s *Server) waitLookup(r *fuse.LookupRequest) {
	w := s.newWaiting(r.Node)
	d := w.slot.dir
	d.hold()
	w.then = func() { s.release(d) }
	var resp fuse.LookupResponse
	w.late = func() { s.generated.forget(resp.Node, 1) }
	s.wait(r, w, func(ctx context.Context) (reply func(), err error) {
		reply = func() { r.Respond(&resp) }
		if s.hasSequences(d, r.Name) {
			resp, err = s.lookupSequencesWait(ctx, r.Node)
			return reply, err
		}
		if err := s.load(ctx, r.Node); err != nil {
			return nil, err
		}
		resp, err = s.lookup(r.Node, r.Name)
		return reply, loaded(err)
	})
}

func (s *Server) serveReaddir(r *fuse.ReadRequest) {
	buf := readBuffers.Get().(*[maxRead]byte)
	defer readBuffers.Put(buf)
	l, err := s.readdir(r.Node, r.Offset, min(r.Size, maxRead), buf[:])
	switch err {
	case nil:
		r.Respond(&fuse.ReadResponse{Data: l.data})
		s.relisted(l)
	case errWait:
		s.wait(r, s.newWaiting(r.Node), func(ctx context.Context) (func(), error) {
			if err := s.load(ctx, r.Node); err != nil {
				return nil, err
			}
			l, err := s.readdir(r.Node, r.Offset, r.Size, nil)
			return func() {
				r.Respond(&fuse.ReadResponse{Data: l.data})
				s.relisted(l)
			}, loaded(err)
		})
	default:
		s.fail(r, err)
	}
}

func (s *Server) serveOpendir(r *fuse.OpenRequest) {
	if _, _, err := s.node(r.Node); err != nil {
		s.fail(r, err)
		return
	}
	s.wait(r, s.newWaiting(r.Node), func(ctx context.Context) (func(), error) {
		resp, err := s.opendir(ctx, r.Node)
		return func() { r.Respond(&resp) }, err
	})
}

func (s *Server) serveOpen(r *fuse.OpenRequest) {
	if writes(r.Flags) && s.edits != nil {
		s.serveOpenForWriting(r)
		return
	}
	if l, id := s.resolve(r.Node); l != nil {
		if resp, ok := s.openLocal(l); ok {
			r.Respond(&resp)
			return
		}
		s.fail(r, errStale)
		return
	} else if id == 0 {
		s.fail(r, errStale)
		return
	}
	_, id := s.resolve(r.Node)
	if s.openedByKernel() {
		r.RespondError(syscall.ENOSYS)
		return
	}
	resp, err := s.open(id, r.Flags)
	switch err {
	case nil:
		s.countOpen(r.Node, 1)
		r.Respond(&resp)
	case errWait:
		s.wait(r, s.newWaiting(r.Node), func(ctx context.Context) (func(), error) {
			resp, err := s.openWait(ctx, id, r.Flags)
			return func() {
				s.countOpen(r.Node, 1) // only now: who was interrupted sends no RELEASE
				r.Respond(&resp)
			}, err
		})
	default:
		s.fail(r, err)
	}
}

func (s *Server) serveRead(r *fuse.ReadRequest) {
	l, id := s.resolve(r.Node)
	if l != nil {
		s.serveReadLocal(r, l)
		return
	}
	a := readAnswers.Get().(*readAnswer)
	defer a.done()
	pieces, err := s.read(id, min(r.Size, maxRead), r.Offset, a.pieces)
	switch err {
	case nil:
		s.device.answer(r, a, pieces)
	case errWait:
		w := s.newWaiting(id)
		w.off = r.Offset
		w.failed = func(errno syscall.Errno) { w.slot.rememberFailure(w.uid, errno) }
		s.wait(r, w, func(ctx context.Context) (func(), error) {
			p := make([]byte, min(r.Size, maxRead))
			n, err := s.readWait(ctx, id, p, r.Offset)
			return func() { r.Respond(&fuse.ReadResponse{Data: p[:n]}) }, err
		})
	default:
		s.fail(r, err)
	}
}

func (s *Server) serveReadLocal(r *fuse.ReadRequest, l *local) {
	buf := readBuffers.Get().(*[maxRead]byte)
	defer readBuffers.Put(buf)
	n, err := s.readLocal(l, buf[:min(r.Size, maxRead)], r.Offset)
	if err != nil {
		s.fail(r, err)
		return
	}
	r.Respond(&fuse.ReadResponse{Data: buf[:n]})
}

// serveInterrupt ends the request that is to be interrupted. One that is not
// known is answered already, or with a second reading goroutine not yet
// registered: then the kernel is to ask again.
func (s *Server) serveInterrupt(r *fuse.InterruptRequest) {
	if !s.waits.interrupt(r.IntrID) && s.readers.Load() > 1 {
		r.RespondError(syscall.EAGAIN)
		return
	}
	r.Respond()
}

// newWaiting describes a request about a node that is known.
func (s *Server) newWaiting(id fuse.NodeID) *waiting {
	if q := s.generated.find(id); q != nil {
		return &waiting{slot: q.slot, off: -1}
	}
	sl, uid, err := s.node(id)
	if err != nil {
		sl = s.root.slot.Load()
	}
	return &waiting{slot: sl, uid: uid, off: -1}
}

// loaded is for what is asked again after a load: it need not wait twice.
func loaded(err error) error {
	if err == errWait {
		return &cache.Error{Op: "load", Kind: cache.IO, Err: errors.New("loaded and yet not there")}
	}
	return err
}

// opName is a request's name for the log: LookupRequest is "lookup".
func opName(req fuse.Request) string {
	_, name, _ := strings.Cut(fmt.Sprintf("%T", req), ".")
	return strings.ToLower(strings.TrimSuffix(name, "Request"))
}
