package cache

import (
	"context"
	"errors"
	"slices"
	"strings"

	"imapfs/imapconn"
)

// Surveyed is a mailbox that an account would show.
type Surveyed struct {
	Name     string   // decoded, levels joined with /
	WireName string   // as LIST gave it
	Attrs    []string // of LIST
}

// Survey lists the mailboxes with messages that an account opened with cfg would show,
// sorted by name. Only Root, Exclude and Shared of cfg count. It asks by NAMESPACE and
// LIST, and for nothing else.
//
// NotExist: there is no mailbox Root. Other errors are the connection's.
func Survey(ctx context.Context, client *imapconn.Client, cfg Config) ([]Surveyed, error) {
	spaces, err := askNamespaces(ctx, client)
	if err != nil {
		return nil, err
	}
	data, err := spaces.list(ctx, client, cfg.Shared)
	if err != nil {
		return nil, err
	}
	root := cfg.rootPath()
	names, err := arrange(data, patterns(cfg.Exclude), root)
	if err != nil {
		return nil, err
	}
	if len(root) > 0 && !slices.ContainsFunc(names, func(n listed) bool { return slices.Equal(n.path, root) }) {
		return nil, noRoot(cfg.Root)
	}
	var all []Surveyed
	for _, n := range names {
		if n.selectable {
			all = append(all, Surveyed{strings.Join(n.path, "/"), n.wire, n.attrs})
		}
	}
	slices.SortFunc(all, func(a, b Surveyed) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// noRoot says that the only mailbox to be shown is not there.
func noRoot(root string) error {
	return &Error{Op: "list", Mailbox: root, Kind: NotExist,
		Err: errors.New("there is no such mailbox (leave the path out of the URL to see them all)")}
}

// TrashAmong finds the mailbox to which what is deleted is moved, which Account finds in
// the same way; nil: there is none, and `Deleted Messages` is made when it is needed.
func TrashAmong(all []Surveyed) *Surveyed {
	var named *Surveyed
	for i := range all {
		s := &all[i]
		if has(s.Attrs, `\Trash`) {
			return s
		}
		if named == nil && (s.Name == deletedMessages || s.Name == inbox+"/"+deletedMessages) {
			named = s
		}
	}
	return named
}
