package cache

import (
	"context"
	"errors"
	"strings"

	"imapfs/imapconn"
)

// maxAskedPrefixes bounds the namespaces that are listed on their own, since what
// is listed of all names leaves them out.
const maxAskedPrefixes = 100

// namespaces are those of an account (RFC 2342), as far as the tree needs them.
type namespaces struct {
	own, foreign []imapconn.Namespace // foreign: of other users, and shared
}

// askNamespaces asks once. A server without NAMESPACE, or that refuses it, has
// one namespace, and all of it is the user's.
func askNamespaces(ctx context.Context, client *imapconn.Client) (*namespaces, error) {
	said, err := client.Namespaces(ctx)
	var refused *imapconn.StatusError
	switch {
	case errors.Is(err, imapconn.ErrNotOffered), errors.As(err, &refused):
		return &namespaces{}, nil
	case err != nil:
		return nil, err
	}
	return &namespaces{own: said.Personal, foreign: append(said.Others, said.Shared...)}, nil
}

// holds reports whether a name on the wire is in a namespace, or is its top:
// `Other Users` of `Other Users/`.
func holds(n imapconn.Namespace, name string) bool {
	if strings.HasPrefix(name, n.Prefix) {
		return true
	}
	top, cut := strings.CutSuffix(n.Prefix, string(n.Delimiter))
	return cut && n.Delimiter != 0 && name == top
}

// isForeign reports whether a mailbox is another user's, or shared: the longest
// prefix that its name has counts. INBOX is the user's, and so is what is in no
// namespace.
func (n *namespaces) isForeign(name string) bool {
	if strings.EqualFold(name, inbox) {
		return false
	}
	longest, foreign := -1, false
	for _, of := range n.own {
		if len(of.Prefix) > longest && holds(of, name) {
			longest, foreign = len(of.Prefix), false
		}
	}
	for _, of := range n.foreign {
		if len(of.Prefix) > longest && holds(of, name) {
			longest, foreign = len(of.Prefix), true
		}
	}
	return foreign
}

// unlisted gives the prefixes that are to be shown and of which a listing of all
// names has said nothing. A prefix with a wildcard in it cannot be asked for.
func (n *namespaces) unlisted(data []imapconn.ListData, shared bool) (prefixes []string) {
	all := n.own
	if shared {
		all = append(all[:len(all):len(all)], n.foreign...)
	}
	for _, of := range all {
		covered := of.Prefix == "" || strings.ContainsAny(of.Prefix, "*%")
		for i := 0; i < len(data) && !covered; i++ {
			covered = strings.HasPrefix(data[i].Name, of.Prefix)
		}
		if !covered && len(prefixes) < maxAskedPrefixes {
			prefixes = append(prefixes, of.Prefix)
		}
	}
	return prefixes
}

// listAll asks for every mailbox that is to be shown.
func (t *trees) listAll(l *lease) ([]imapconn.ListData, error) {
	if t.spaces == nil {
		spaces, err := askNamespaces(t.a.ctx, l.client)
		if err != nil {
			return nil, err
		}
		t.spaces = spaces
	}
	return t.spaces.list(t.a.ctx, l.client, t.a.cfg.Shared)
}

// list asks for every mailbox, with those of others where they are shared.
func (n *namespaces) list(ctx context.Context, client *imapconn.Client, shared bool) ([]imapconn.ListData, error) {
	data, err := client.List(ctx, "", "*")
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, errors.New("server lists no mailbox, not even INBOX (try again, or look with --trace FILE)")
	}
	for _, prefix := range n.unlisted(data, shared) {
		more, err := client.List(ctx, "", prefix+"*")
		if err != nil {
			return nil, err
		}
		data = append(data, more...)
	}
	if shared || len(n.foreign) == 0 {
		return data, nil
	}
	own := data[:0]
	for _, l := range data {
		if !n.isForeign(l.Name) {
			own = append(own, l)
		}
	}
	return own, nil
}
