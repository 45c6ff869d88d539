package imaptest

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
)

func TestALargeServerTellsEachSessionInItsOwnNumbers(t *testing.T) {
	s := NewLarge(t, 1_000_000, 2)
	c := dial(t, s.Addr)
	in := bufio.NewReader(c)
	in.ReadString('\n')
	do := func(line string, want ...string) {
		t.Helper()
		fmt.Fprintf(c, "t %s\r\n", line)
		var got []string
		for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "t ") {
			l, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.TrimRight(l, "\r\n"))
		}
		for i, w := range want {
			if i >= len(got) || !strings.HasPrefix(got[i], w) {
				t.Fatalf("%s: line %d of %q, want %q", line, i, got, w)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %q, want %q", line, got, want)
		}
	}
	do("LOGIN alice wrong", "t NO")
	do("LOGIN alice large-secret", "t OK")
	do(`LIST "" *`, `* LIST (\HasNoChildren) "/" INBOX`, `* LIST (\HasNoChildren) "/" box-0001`, `* LIST (\HasNoChildren) "/" box-0002`, "t OK")
	do("STATUS box-0002 (MESSAGES)", "* STATUS box-0002 (MESSAGES 10 UIDNEXT 11 UIDVALIDITY 3 UNSEEN 1)", "t OK")
	do("EXAMINE INBOX", "* FLAGS", "* 1000000 EXISTS", "* 0 RECENT", "* OK [UIDVALIDITY 1]", "* OK [UIDNEXT 1000001]", "t OK [READ-ONLY]")
	do("UID FETCH 999999:* (UID FLAGS)", `* 999999 FETCH (UID 999999 FLAGS ())`, `* 1000000 FETCH (UID 1000000 FLAGS (\Seen \Flagged))`, "t OK")
	s.Expunge("INBOX", 5, 999_999)
	s.Deliver("INBOX", 1)
	s.SetFlags("INBOX", 4, 6, `\Draft`)
	do("UID FETCH 5:6 (UID)", `* 6 FETCH (UID 6)`, "t OK")
	do("NOOP", "* 999999 EXPUNGE", "* 5 EXPUNGE", "* 999999 EXISTS",
		`* 4 FETCH (UID 4 FLAGS (\Draft))`, `* 5 FETCH (UID 6 FLAGS (\Draft))`, "t OK")
	do("UID FETCH 6,999998:1000002 (UID FLAGS)", `* 5 FETCH (UID 6 FLAGS (\Draft))`, `* 999997 FETCH (UID 999998 FLAGS (\Seen))`,
		`* 999998 FETCH (UID 1000000`, `* 999999 FETCH (UID 1000001`, "t OK")
	text := string(LargeText(6))
	do("UID FETCH 6 (RFC822.SIZE BODY.PEEK[]<3.5>)", fmt.Sprintf("* 5 FETCH (UID 6 RFC822.SIZE %d BODY[]<3> {5}", len(text)), text[3:8], "t OK")
	fmt.Fprint(c, "t IDLE\r\n")
	in.ReadString('\n')
	s.Deliver("INBOX", 2)
	if l, _ := in.ReadString('\n'); l != "* 1000001 EXISTS\r\n" {
		t.Errorf("%q while idle", l)
	}
	fmt.Fprint(c, "DONE\r\n")
	if l, _ := in.ReadString('\n'); l != "t OK done\r\n" {
		t.Errorf("%q after DONE", l)
	}
	if n := s.Counts()["NOOP"]; n != 1 {
		t.Errorf("%d NOOPs are counted", n)
	}
}
