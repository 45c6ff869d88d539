package fs

import (
	"bufio"
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"bazil.org/fuse"
	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // headers come in every charset
	"github.com/emersion/go-message/textproto"
)

// xattrPrefix begins the name of every attribute of ours.
const xattrPrefix = "user.imap."

// xattrFlags is the only attribute that a message lists, so that rsync -X, tar
// and restic carry flags and nothing else.
const xattrFlags = xattrPrefix + "flags"

// maxXattr is XATTR_SIZE_MAX: the octets of a value that the kernel passes on.
const maxXattr = 64 << 10

// headerXattrs come from the header of the message, which must be fetched.
var headerXattrs = map[string]string{
	"subject":    "Subject",
	"from":       "From",
	"to":         "To",
	"date":       "Date",
	"message-id": "Message-Id",
}

// specialUses are the LIST attributes of RFC 6154 and RFC 8457.
var specialUses = []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Important`, `\Junk`, `\Sent`, `\Trash`}

// getxattr answers from memory; errWait if a header or a first load is needed.
func (s *Server) getxattr(id fuse.NodeID, name string) ([]byte, error) {
	if s.generated.find(id) != nil {
		return nil, syscall.ENODATA
	}
	if l, base := s.resolve(id); l != nil {
		return s.localXattr(l, name)
	} else if id = base; id == 0 {
		return nil, errStale
	}
	sl, uid, err := s.node(id)
	if err != nil {
		return nil, err
	}
	key, ours := strings.CutPrefix(name, xattrPrefix)
	if !ours {
		return nil, syscall.ENODATA
	}
	if uid == 0 {
		return s.mailboxXattr(sl, key)
	}
	_, b, m, err := s.message(id)
	if err != nil {
		return nil, err
	}
	switch key {
	case "flags":
		return []byte(strings.Join(m.Flags, " ")), nil // present even when empty
	case "uid":
		return strconv.AppendUint(nil, uint64(uid), 10), nil
	case "uidvalidity":
		return strconv.AppendUint(nil, uint64(b.validity), 10), nil
	case "internaldate":
		return time.Unix(m.Date, 0).UTC().AppendFormat(nil, time.RFC3339), nil
	}
	if _, ok := headerXattrs[key]; ok {
		return nil, errWait
	}
	return nil, syscall.ENODATA
}

// localXattr answers for a local text: the flags that it has, or is to have.
func (s *Server) localXattr(l *local, name string) ([]byte, error) {
	if name != xattrFlags {
		return nil, syscall.ENODATA
	}
	l.text.Lock()
	text := l.draft
	l.text.Unlock()
	e := s.edits
	e.mu.Lock()
	base, flagged := l.file.base, l.flagged && l.file.dirty()
	e.mu.Unlock()
	if d := s.dirOf(base.box); d != nil && base.uid != 0 && !flagged {
		if m, ok := find(d.box.Snapshot(), base.uid); ok {
			return []byte(strings.Join(m.Flags, " ")), nil
		}
	}
	if text == nil {
		return nil, nil
	}
	flags := slices.Clone(text.Flags())
	slices.Sort(flags)
	return []byte(strings.Join(flags, " ")), nil
}

// mailboxXattr answers for a directory.
func (s *Server) mailboxXattr(sl *slot, key string) ([]byte, error) {
	box := sl.dir.box
	switch key {
	case "mailbox":
		if wire := box.WireName(); wire != "" {
			return []byte(wire), nil
		}
	case "special-use":
		var uses []string
		for _, a := range box.Attrs() {
			if i := slices.IndexFunc(specialUses, func(u string) bool { return strings.EqualFold(u, a) }); i >= 0 {
				uses = append(uses, specialUses[i])
			}
		}
		if uses != nil {
			slices.Sort(uses)
			return []byte(strings.Join(uses, " ")), nil
		}
	case "uidnext", "uidvalidity":
		snap, b, err := s.snapshot(sl)
		switch {
		case err != nil:
			return nil, err
		case snap == nil && box.Selectable():
			return nil, errWait
		case snap == nil:
			return nil, syscall.ENODATA
		case key == "uidvalidity":
			return strconv.AppendUint(nil, uint64(b.validity), 10), nil
		case snap.UIDNext() != 0:
			return strconv.AppendUint(nil, uint64(snap.UIDNext()), 10), nil
		}
	}
	return nil, syscall.ENODATA
}

// getxattrWait asks the server for what getxattr could not answer.
func (s *Server) getxattrWait(ctx context.Context, id fuse.NodeID, name string) ([]byte, error) {
	_, id = s.resolve(id)
	sl, uid, err := s.node(id)
	if err != nil {
		return nil, err
	}
	if uid == 0 {
		if err := s.load(ctx, id); err != nil {
			return nil, err
		}
		value, err := s.getxattr(id, name)
		return value, loaded(err)
	}
	_, b, _, err := s.message(id)
	if err == errWait {
		if err = s.load(ctx, id); err != nil {
			return nil, err
		}
		var value []byte
		if value, err = s.getxattr(id, name); err != errWait {
			return value, err // it was not about the header
		}
		_, b, _, err = s.message(id)
	}
	if err != nil {
		return nil, loaded(err)
	}
	header, err := sl.dir.box.Header(ctx, b.validity, uid)
	if err != nil {
		return nil, err
	}
	value, ok := HeaderField(header, headerXattrs[strings.TrimPrefix(name, xattrPrefix)])
	switch {
	case !ok:
		return nil, syscall.ENODATA
	case len(value) > maxXattr:
		return nil, syscall.E2BIG
	}
	return value, nil
}

// HeaderField gives the first field of that name, unfolded and with its encoded
// words decoded; as it stands if they cannot be.
func HeaderField(header []byte, field string) ([]byte, bool) {
	// What comes behind a line that is no field is not seen; what comes before is.
	h, _ := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(header)))
	mh := message.Header{Header: h}
	if !mh.Has(field) {
		return nil, false
	}
	text, err := mh.Text(field)
	if err != nil {
		text = mh.Get(field)
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	return []byte(strings.TrimSpace(text)), true
}

// listxattr names the one attribute of a message that is worth carrying.
func (s *Server) listxattr(id fuse.NodeID) ([]byte, error) {
	if s.generated.find(id) != nil {
		return nil, nil
	}
	if s.edits.find(id) != nil {
		return []byte(xattrFlags + "\x00"), nil
	}
	_, uid, err := s.node(id)
	if err != nil || uid == 0 {
		return nil, err
	}
	return []byte(xattrFlags + "\x00"), nil
}

// setxattr refuses by name what a mount does not set. ENOSYS would end all attributes, and
// EPERM breaks cp -p and install, which try the ACL's.
func setxattr(name string) syscall.Errno {
	if strings.HasPrefix(name, xattrPrefix) {
		return syscall.EROFS
	}
	return syscall.EOPNOTSUPP
}

// sized is the protocol of getxattr and listxattr: a size of 0 asks how long the
// value is, and one that is too small is ERANGE.
func sized(value []byte, size uint32) error {
	if size != 0 && uint64(len(value)) > uint64(size) {
		return syscall.ERANGE
	}
	return nil
}

func (s *Server) serveGetxattr(r *fuse.GetxattrRequest) {
	answer := func(value []byte) {
		if err := sized(value, r.Size); err != nil {
			r.RespondError(err)
			return
		}
		r.Respond(&fuse.GetxattrResponse{Xattr: value})
	}
	value, err := s.getxattr(r.Node, r.Name)
	switch err {
	case nil:
		answer(value)
	case errWait:
		s.wait(r, s.newWaiting(r.Node), func(ctx context.Context) (func(), error) {
			value, err := s.getxattrWait(ctx, r.Node, r.Name)
			return func() { answer(value) }, err
		})
	default:
		s.fail(r, err)
	}
}

func (s *Server) serveListxattr(r *fuse.ListxattrRequest) {
	value, err := s.listxattr(r.Node)
	if err == nil {
		err = sized(value, r.Size)
	}
	if err != nil {
		s.fail(r, err)
		return
	}
	r.Respond(&fuse.ListxattrResponse{Xattr: value})
}
