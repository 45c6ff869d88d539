package fs

import (
	"testing"
	"time"

	"imapfs/cache"
)

// TestWhoeverTheKernelAnswersIsSeenToLook has the kernel know all that is asked for: no
// name is looked up, and no directory opened.
func TestWhoeverTheKernelAnswersIsSeenToLook(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, Options{lookEvery: 50 * time.Millisecond})
	d.add("Here/Below", 1, "text")
	sh := d.shellIn(t, d.path("Here"))
	for what, look := range map[string]func(){
		"a name that is not there": func() { d.must("! test -e $MNT/Absent") },
		"a mailbox":                func() { d.must("test -d $MNT/Here") },
		"a message":                func() { d.must("test -e $MNT/Here/Below/1") },
		"the mount":                func() { d.must("stat $MNT") },
		"from within":              func() { sh.do("test -e Below/1") },
		"not there from within":    func() { sh.do("test -e Absent") },
	} {
		look()
		looks := func() int64 { return d.do(order{Op: "looks"}) }
		before := looks()
		eventuallyLong(t, func() string { return what }, func(string) bool { look(); return looks() > before })
	}
}

// TestTheKernelKeepsAllButTheLooks is what the kernel may keep, and for how long.
func TestTheKernelKeepsAllButTheLooks(t *testing.T) {
	s, a, _ := newTestServer(t, Options{})
	a.mailbox("INBOX").add(1, []byte("text"), -1)
	dir, file := walk(t, s, "INBOX"), walk(t, s, "INBOX", "1")
	if dir.EntryValid != forever || file.EntryValid != forever || file.Attr.Valid != forever {
		t.Errorf("%+v, %+v", dir, file)
	}
	if dir.Attr.Valid != cache.LookInterval {
		t.Errorf("the attributes of a directory are kept for %v", dir.Attr.Valid)
	}
}
