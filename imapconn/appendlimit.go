package imapconn

import (
	"context"
	"math"
	"strconv"
	"strings"
)

// NoAppendLimit is the limit of a mailbox that has none, in octets.
const NoAppendLimit = math.MaxInt64

// AppendLimit gives the size of the largest message that a mailbox takes, in
// octets (RFC 7889); 0 means that it takes none. Where the server has one limit
// for all mailboxes, or knows none, nothing is sent; else STATUS is, so the
// mailbox should not be selected. NoAppendLimit where the server says none.
func (c *Client) AppendLimit(ctx context.Context, mailbox string) (int64, error) {
	have := c.Caps()
	if !have.Has("APPENDLIMIT") {
		return fixedAppendLimit(have), nil
	}
	s, err := c.Status(ctx, mailbox, "APPENDLIMIT")
	if err != nil {
		return 0, err
	}
	if !s.HasAppendLimit {
		return NoAppendLimit, nil
	}
	return s.AppendLimit, nil
}

// fixedAppendLimit is the limit that holds for all mailboxes.
func fixedAppendLimit(have Caps) int64 {
	for _, name := range have.Names() {
		if n, ok := strings.CutPrefix(name, "APPENDLIMIT="); ok {
			if limit, ok := appendLimit([]byte(n)); ok {
				return limit
			}
		}
	}
	return NoAppendLimit
}

// appendLimit reads a limit: a number or NIL.
func appendLimit(atom []byte) (limit int64, ok bool) {
	if strings.EqualFold(string(atom), "NIL") {
		return NoAppendLimit, true
	}
	limit, err := strconv.ParseInt(string(atom), 10, 64)
	if err != nil || limit < 0 {
		return 0, false
	}
	return limit, true
}
