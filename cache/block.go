package cache

import "slices"

// How texts are cut. A small one is one block, fetched whole. A larger one lies
// in blocks of 128 KiB, the kernel's largest READ, and is fetched in runs of
// blocks; what a reader near its end needs is then a fraction of the 512 KiB that
// RFC 3501 servers like to be asked for.
const (
	smallText = 512 << 10
	blockLen  = 128 << 10
	runLen    = 512 << 10 // of a run, at first, on a grid of the same width
	longRun   = 4 << 20   // of a run when reading forward goes well
	tailMin   = 64 << 10  // opening a large text brings at least so much of its end
	beyond    = 64 << 10  // and asks for so much behind it, where nothing should be

	// lieLimit bounds a text that is fetched whole because it is said to be small.
	lieLimit = 8 << 20
	// partLimit bounds the answer of a server that gives more than the part asked for.
	partLimit = 64 << 20
	// wholeLimit bounds a text from a server that has no partial FETCH.
	wholeLimit = 256 << 20
)

// blockAt says which block of a text of that size has an octet, and where the
// block begins.
func blockAt(size, off int64) (block int32, start int64) {
	if size <= smallText {
		return 0, 0
	}
	n := off / blockLen
	return int32(n), n * blockLen
}

// maxText is the longest text whose blocks can be counted, in octets.
const maxText = int64(blockLen) << 30

// cut makes blocks of n octets each, the last one shorter, out of chunks of any
// length. Chunks that fit are not copied.
func cut(chunks [][]byte, n int) [][]byte {
	var out [][]byte
	var open []byte // the block under way, where it must be copied
	for i, c := range chunks {
		for len(c) > 0 {
			if open == nil && (len(c) == n || len(c) < n && i == len(chunks)-1) {
				out = append(out, slices.Clip(c))
				break
			}
			if open == nil {
				open = make([]byte, 0, n)
			}
			k := min(n-len(open), len(c))
			open = append(open, c[:k]...)
			c = c[k:]
			if len(open) == n {
				out, open = append(out, open), nil
			}
		}
	}
	if len(open) > 0 {
		out = append(out, slices.Clone(open))
	}
	return out
}
