package cache

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// model is a snapshot as a plain map.
type model map[UID]record

func (m model) apply(edits []edit) {
	for _, e := range edits {
		r, had := m[e.uid]
		switch {
		case e.remove:
			delete(m, e.uid)
		case e.sizeOnly && had:
			r.size, r.sizeHi, r.ours = e.size, e.sizeHi, true
			m[e.uid] = r
		case e.flagOnly && had:
			r.flags = e.flags
			m[e.uid] = r
		case !e.sizeOnly && !e.flagOnly:
			m[e.uid] = e.record
		}
	}
}

func (m model) check(t *testing.T, s *Snapshot) {
	t.Helper()
	uids := make([]UID, 0, len(m))
	var octets int64
	for u, r := range m {
		uids = append(uids, u)
		octets += r.octets()
	}
	slices.Sort(uids)
	if s.Len() != len(uids) || s.octets != octets {
		t.Fatalf("%d messages of %d octets, want %d of %d", s.Len(), s.octets, len(uids), octets)
	}
	for i, u := range uids {
		r := m[u]
		want := Message{UID: u, Size: r.octets(), Date: r.unix()}
		if got := s.At(i); !reflect.DeepEqual(got, want) {
			t.Fatalf("message %d is %+v, want %+v", i, got, want)
		}
		if s.Search(u) != i {
			t.Fatalf("UID %d is found at %d, not %d", u, s.Search(u), i)
		}
	}
	for i, c := range s.chunks {
		if len(c) == 0 || len(c) > chunkLen {
			t.Fatalf("chunk %d has %d messages", i, len(c))
		}
	}
	if s.UIDNext() <= s.uidOfLast() {
		t.Fatalf("UIDNEXT %d with UID %d", s.UIDNext(), s.uidOfLast())
	}
}

func (s *Snapshot) uidOfLast() UID {
	if h := s.highest(); h != nil {
		return h.uid
	}
	return 0
}

// checkDiff compares Diff and Resized with what the maps say.
func checkDiff(t *testing.T, a, b *Snapshot, was, is model) {
	t.Helper()
	var wantAdded, wantRemoved, wantResized []UID
	for u := range is {
		if _, ok := was[u]; !ok {
			wantAdded = append(wantAdded, u)
		}
	}
	for u, r := range was {
		now, ok := is[u]
		if !ok {
			wantRemoved = append(wantRemoved, u)
		} else if now.octets() != r.octets() {
			wantResized = append(wantResized, u)
		}
	}
	slices.Sort(wantAdded)
	slices.Sort(wantRemoved)
	slices.Sort(wantResized)
	added, removed := Diff(a, b)
	resized := Resized(a, b)
	if !slices.Equal(added, wantAdded) || !slices.Equal(removed, wantRemoved) || !slices.Equal(resized, wantResized) {
		t.Fatalf("added %v, removed %v, resized %v; want %v, %v, %v", added, removed, resized, wantAdded, wantRemoved, wantResized)
	}
}

// edits makes changes out of octets: what the fuzzer turns into meaning.
func editsOf(data []byte) []edit {
	var edits []edit
	for len(data) >= 4 {
		uid := UID(data[0])<<8 | UID(data[1])
		e := edit{record: newRecord(uid+1, int64(data[3])<<30, int64(int8(data[3]))<<31, 0)}
		switch data[2] % 8 {
		case 0, 1, 2:
			e.remove = true
		case 3:
			e.sizeOnly = true
		case 4:
			e.flagOnly = true
		}
		edits = append(edits, e)
		data = data[4:]
	}
	return edits
}

func FuzzSnapshotIsItsEdits(f *testing.F) {
	f.Add([]byte{0, 1, 7, 1, 0, 2, 7, 1, 0, 1, 0, 0}, 1)
	seed := make([]byte, 40_000)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(seed)
	f.Add(seed, 997)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		if step < 1 {
			return
		}
		m := model{}
		s := snapshotOf(1, 1, nil)
		s.flags = newFlagSets().sets
		for edits := editsOf(data); len(edits) > 0; {
			n := min(step, len(edits))
			was := make(model, len(m))
			for u, r := range m {
				was[u] = r
			}
			m.apply(edits[:n])
			next, names := s.apply(edits[:n])
			edits = edits[n:]
			m.check(t, next)
			checkDiff(t, s, next, was, m)
			// A listing of what is there now leads to the same.
			checkListing(t, s, next, m, int(data[0]))
			added, removed := Diff(s, next)
			if names != (len(added)+len(removed) > 0) {
				t.Fatalf("names changed: %v, but added %v, removed %v", names, added, removed)
			}
			s = next
			if len(data) > 400 && len(edits) < len(data)/8 {
				step = 1 // many small changes to a large mailbox
				edits = edits[:min(len(edits), 50)]
			}
		}
	})
}

// checkListing has a listing of what is there turn s into m. From place late on
// it comes in the wrong order, and some of it twice, with other flags at first.
func checkListing(t *testing.T, s, is *Snapshot, m model, late int) {
	t.Helper()
	all := uids(is)
	late = min(late, len(all))
	slices.Reverse(all[late:])
	c := newComparison(s)
	for _, u := range all[late/2:] {
		c.add(u, 9)
	}
	for _, u := range all {
		c.add(u, flagID(u%3))
	}
	listed, unknown := c.done()
	was := *listed // may be s
	listed = &was
	listed.flags = make([][]string, 10)
	for _, u := range uids(listed) {
		if r := listed.find(u); r.flags != flagID(u%3) {
			t.Fatalf("message %d was listed with flags %d and has %d", u, u%3, r.flags)
		}
	}
	var edits []edit
	for u := range m {
		if unknown.Contains(u) {
			edits = append(edits, edit{record: m[u]})
		}
	}
	listed, _ = listed.apply(edits)
	if !slices.Equal(uids(listed), uids(is)) {
		t.Fatalf("a listing of %v leads to %v", uids(is), uids(listed))
	}
}

func manyMessages(n int) *Snapshot {
	records := make([]record, n)
	for i := range records {
		records[i] = newRecord(UID(i+1), 8000, 1_700_000_000, 0)
	}
	s := snapshotOf(7, 0, records)
	s.flags = newFlagSets().sets
	return s
}

func TestAMillionMessagesShareAllButOneChunk(t *testing.T) {
	t.Parallel()
	s := manyMessages(1_000_000)
	next, names := s.apply([]edit{{record: newRecord(1_000_001, 1, 1, 0)}, {record: record{uid: 500_000}, remove: true}})
	if !names || next.Len() != 1_000_000 {
		t.Fatalf("%d messages", next.Len())
	}
	shared := 0
	for _, c := range next.chunks {
		for _, d := range s.chunks {
			if &c[0] == &d[0] && len(c) == len(d) {
				shared++
			}
		}
	}
	if shared < len(s.chunks)-2 {
		t.Errorf("%d of %d chunks are shared", shared, len(s.chunks))
	}
	looked := 0
	differences(s, next, func(a, b *record) { looked++ })
	if looked > 3*chunkLen {
		t.Errorf("a diff looked at %d messages", looked)
	}
	octets := cap(s.chunks[0])*20 + 24 + 8
	if per := float64(octets) / chunkLen; per > 40 {
		t.Errorf("%.1f octets a message", per)
	}
}

func TestAnotherUIDValidityIsAnotherMailbox(t *testing.T) {
	t.Parallel()
	a := NewSnapshot(1, 0, []Message{{UID: 1}, {UID: 2}}, 1, time.Time{})
	b := NewSnapshot(2, 0, []Message{{UID: 2}, {UID: 3}}, 2, time.Time{})
	added, removed := Diff(a, b)
	if !slices.Equal(added, []UID{2, 3}) || !slices.Equal(removed, []UID{1, 2}) {
		t.Errorf("added %v, removed %v", added, removed)
	}
	if added, removed = Diff(nil, a); len(added) != 2 || removed != nil {
		t.Errorf("added %v, removed %v", added, removed)
	}
}

func TestFlagsAreInternedAndSizesReplaced(t *testing.T) {
	t.Parallel()
	f := newFlagSets()
	seen := []string{`\Seen`}
	if f.id(seen) != f.id([]string{`\Seen`}) || f.id(nil) != 0 || f.id([]string{"a", `\Seen`}) == f.id(seen) {
		t.Error("sets are not told apart by what is in them")
	}
	s := NewSnapshot(1, 9, []Message{{UID: 3, Size: 10, Date: -5, Flags: seen}, {UID: 8, Size: 1 << 39}}, 1, time.Time{})
	r := record{uid: 3}
	r.setSize(5 << 32)
	next, names := s.apply([]edit{{record: r, sizeOnly: true}})
	m, _ := next.Find(3)
	if names || m.Size != 5<<32 || m.Date != -5 || !slices.Equal(m.Flags, seen) || next.octets != 5<<32+1<<39 {
		t.Errorf("%+v, %d octets", m, next.octets)
	}
	if was, _ := s.Find(3); was.Size != 10 {
		t.Error("the old snapshot has changed")
	}
	if m, _ := next.Find(8); m.Size != 1<<39 {
		t.Errorf("%+v", m)
	}
}

func BenchmarkOneNewMessageInAMillion(b *testing.B) {
	s := manyMessages(1_000_000)
	for b.Loop() {
		s.apply([]edit{{record: newRecord(1_000_001, 1, 1, 0)}})
	}
}
