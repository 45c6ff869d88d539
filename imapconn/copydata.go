package imapconn

import (
	"slices"

	"imapfs/imapconn/imapwire"
)

// maxCopyCodes bounds the COPYUID codes that are taken in for one command, in
// codes. One is usual; each is up to imapwire.MaxCodeText octets.
const maxCopyCodes = 256

// CopyData is what COPYUID said of a COPY or MOVE (RFC 4315 §3). A message that
// was asked for and is in neither set was not copied: it is gone.
type CopyData struct {
	UIDValidity UIDValidity // of the target; 0: not said
	Copied      UIDSet      // the sources whose copies were named
	// Unnamed is what was asked for by commands that the server answered OK without
	// a COPYUID that could be believed: each of these messages may have been copied
	// or not.
	Unnamed UIDSet

	pairs []imapwire.UIDPair // rising by From once the command is answered
}

// Target is the UID of the copy of a message; ok is false where it was not named.
func (d CopyData) Target(from UID) (to UID, ok bool) {
	i, found := slices.BinarySearchFunc(d.pairs, from, func(p imapwire.UIDPair, from UID) int {
		switch {
		case p.From+UID(p.N-1) < from:
			return -1
		case p.From > from:
			return 1
		}
		return 0
	})
	if !found {
		return 0, false
	}
	return d.pairs[i].To + (from - d.pairs[i].From), true
}

// copies takes a COPYUID in, and reports whether it is an answer to a: every
// source that it names was asked for and has not been named yet.
func (a *changing) copies(code imapwire.Code) bool {
	if code.Name != "COPYUID" || a.kind != copying && a.kind != moving || a.codes == maxCopyCodes {
		return false
	}
	v, pairs, ok := imapwire.ParseCopyUID(code.Args)
	if !ok || a.copied.UIDValidity != 0 && v != a.copied.UIDValidity {
		return false
	}
	var from UIDSet
	total := uint64(0)
	for _, p := range pairs {
		from.AddRange(p.From, p.From+UID(p.N-1))
		total += uint64(p.N)
	}
	if from.Len() != total || len(from.Without(a.set)) > 0 || len(from.And(a.copied.Copied)) > 0 {
		return false
	}
	a.codes++
	a.copied.UIDValidity = v
	for _, r := range from {
		a.copied.Copied.AddRange(r.First, r.Last)
	}
	a.copied.pairs = append(a.copied.pairs, pairs...)
	return true
}

// copyData puts together what was said of several commands. Those for another
// UIDVALIDITY of the target than the first are not believed.
func copyData(answers []*changing) CopyData {
	var d CopyData
	for _, a := range answers {
		believed := len(a.copied.Copied) > 0 && (d.UIDValidity == 0 || d.UIDValidity == a.copied.UIDValidity)
		switch {
		case believed:
			d.UIDValidity = a.copied.UIDValidity
			d.pairs = append(d.pairs, a.copied.pairs...)
			add(&d.Copied, a.copied.Copied)
		case a.done:
			add(&d.Unnamed, a.set)
		}
	}
	slices.SortFunc(d.pairs, func(a, b imapwire.UIDPair) int { return int(int64(a.From) - int64(b.From)) })
	return d
}

// add adds a set to another.
func add(to *UIDSet, set UIDSet) {
	for _, r := range set {
		to.AddRange(r.First, r.Last)
	}
}
