package fs

import "bazil.org/fuse"

// quotaBlock is the block size that df counts in, in octets: QUOTA's STORAGE
// comes in these units.
const quotaBlock = 1024

// statfs shows the quota, where the server has one; else nothing but the
// number of messages.
func (s *Server) statfs() fuse.StatfsResponse {
	r := fuse.StatfsResponse{Bsize: quotaBlock, Frsize: quotaBlock, Namelen: maxName}
	u, ok := s.account.Usage()
	if !ok {
		return r
	}
	r.Blocks = uint64(max(u.Limit, 0)) / quotaBlock
	if free := u.Limit - u.Used; free > 0 {
		r.Bfree = uint64(free) / quotaBlock
		r.Bavail = r.Bfree
	}
	r.Files = uint64(max(u.Messages, 0))
	return r
}
