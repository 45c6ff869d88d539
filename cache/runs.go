package cache

import "iter"

// Runs gives the UIDs of the messages whose flags meet a condition, as ranges
// of consecutive numbers, first and last, ascending; between two of them lies a
// UID that does not meet it or does not exist. meets is asked once for each
// different set of flags, of which a mailbox has a few dozen.
func (s *Snapshot) Runs(meets func(flags []string) bool) iter.Seq2[UID, UID] {
	return func(yield func(first, last UID) bool) {
		chosen := s.flagSetsThat(meets)
		var first, last UID // 0: no run is under way
		for _, c := range s.chunks {
			for i := range c {
				r := &c[i]
				switch {
				case !chosen[r.flags]:
				case first != 0 && r.uid == last+1:
					last = r.uid
				case first != 0 && !yield(first, last):
					return
				default:
					first, last = r.uid, r.uid
				}
			}
		}
		if first != 0 {
			yield(first, last)
		}
	}
}

// flagSetsThat says of each set of flags whether it meets a condition.
func (s *Snapshot) flagSetsThat(meets func(flags []string) bool) []bool {
	chosen := make([]bool, len(s.flags))
	for i, set := range s.flags {
		chosen[i] = meets(set)
	}
	return chosen
}
