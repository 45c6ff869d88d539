package cache

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn"
	"imapfs/imapconn/imaptest"
)

// paths gives the selectable mailboxes of a tree, their levels joined with >.
func paths(t *Tree) (all []string) {
	for m := range t.all {
		if m.Selectable() {
			all = append(all, strings.Join(m.Path(), ">"))
		}
	}
	slices.Sort(all)
	return all
}

func TestForeignMailboxesAreShownWhenAskedFor(t *testing.T) {
	t.Parallel()
	for server, c := range map[string]struct {
		namespaces string
		lists      map[string]string // by pattern
		own, all   string
	}{
		"Dovecot, alone": {`(("" "/")) NIL NIL`, map[string]string{"*": `"/" INBOX|"/" a`}, "INBOX a", "INBOX a"},
		"Cyrus": {`(("" "/")) (("Other Users/" "/")) (("Shared Folders/" "/"))`, map[string]string{
			"*": `"/" INBOX|"/" a|"/" "Other Users"|"/" "Other Users/bob"|"/" "Other Users/bob/x"|"/" "Shared Folders/news"|"/" "Other Usersofmine"`,
		}, "INBOX Other Usersofmine a", "INBOX Other Users Other Users>bob Other Users>bob>x Other Usersofmine Shared Folders>news a"},
		"Courier": {`(("INBOX." ".")) NIL (("#shared." ".")("shared." "."))`, map[string]string{
			"*": `"." INBOX|"." INBOX.a`, "#shared.*": `"." #shared.bob.x`, "shared.*": "",
		}, "INBOX INBOX>a", "#shared>bob>x INBOX INBOX>a"},
		"shared without a prefix": {`(("INBOX/" "/")) NIL (("" "/"))`, map[string]string{
			"*": `"/" INBOX|"/" INBOX/a|"/" news`,
		}, "INBOX INBOX>a", "INBOX INBOX>a news"},
		"own in two places": {`(("" "/")("#mh/" "/")) (("~" "/")) NIL`, map[string]string{
			"*": `"/" INBOX`, "#mh/*": `"/" #mh/old`, "~*": `"/" ~bob/x`,
		}, "#mh>old INBOX", "#mh>old INBOX ~bob>x"},
		"a wildcard in a prefix": {`(("" "/")) NIL (("%/*/" "/"))`, map[string]string{"*": `"/" INBOX`}, "INBOX", "INBOX"},
		"refused":                {"", map[string]string{"*": `"/" INBOX|"/" "Other Users/bob"`}, "INBOX Other Users>bob", "INBOX Other Users>bob"},
	} {
		for want, shared := range map[string]bool{c.own: false, c.all: true} {
			s := imaptest.NewScripted(t)
			s.Capabilities("IMAP4rev1 NAMESPACE")
			s.On("NAMESPACE", func(call *imaptest.Call) {
				if c.namespaces == "" {
					call.Done("NO not for you")
					return
				}
				call.Send("* NAMESPACE " + c.namespaces)
				call.Done("OK done")
			})
			s.On("LIST", func(call *imaptest.Call) {
				_, pattern, _ := strings.Cut(call.Args, " ")
				for l := range strings.SplitSeq(c.lists[strings.Trim(pattern, `"`)], "|") {
					if l != "" {
						call.Send("* LIST () " + l)
					}
				}
				call.Done("OK done")
			})
			a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) { c.Shared, c.Poll = shared, time.Millisecond })
			if got := strings.Join(paths(a.Tree()), " "); got != want {
				t.Errorf("%s, shared %v: %s, want %s", server, shared, got, want)
			}
			time.Sleep(2 * time.Millisecond)
			if _, err := a.LoadTree(within(t, short)); err != nil {
				t.Error(err)
			}
			if n := len(s.Commands("NAMESPACE")); n != 1 {
				t.Errorf("%s: NAMESPACE was asked for %d times", server, n)
			}
		}
	}
}

func TestAListingOfSharedMailboxesIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.Capabilities("IMAP4rev1 NAMESPACE")
	s.On("NAMESPACE", func(c *imaptest.Call) { c.Send(`* NAMESPACE (("" "/")) NIL (("news." "."))`); c.Done("OK done") })
	s.On("LIST", func(c *imaptest.Call) {
		if strings.Contains(c.Args, "news.") {
			c.Done("NO not now")
			return
		}
		c.Send(`* LIST () "/" INBOX`)
		c.Done("OK done")
	})
	_, err := tryOpen(t, s.Addr, s.User, s.Password, func(c *Config, _ *imapconn.Dialer) { c.Shared, c.Timeout = true, time.Second })
	if err == nil {
		t.Error("half of the mailboxes are taken for all of them")
	}
}

const publicNamespace = `
namespace public {
  type = public
  separator = /
  prefix = Public/
  location = maildir:%h/public
  subscriptions = no
  list = %LIST%
}
`

func TestDovecotsPublicMailboxes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a Dovecot")
	}
	for _, list := range []string{"yes", "no"} {
		d := imaptest.StartDovecot(t, imaptest.DovecotOptions{ExtraConf: strings.ReplaceAll(publicNamespace, "%LIST%", list)})
		d.Deliver(t, "INBOX", text(1, 100))
		d.Doveadm("mailbox", "create", "-u", d.User, "Public/News", "Own")
		own := open(t, d.Addr, d.User, d.Password)
		all := open(t, d.Addr, d.User, d.Password, func(c *Config, _ *imapconn.Dialer) { c.Shared = true })
		if got := strings.Join(paths(own.Tree()), " "); got != "INBOX Own Trash" {
			t.Errorf("list=%s: own %s", list, got)
		}
		if got := strings.Join(paths(all.Tree()), " "); got != "INBOX Own Public>News Trash" {
			t.Errorf("list=%s: shared %s", list, got)
		}
	}
}

func TestManyMailboxesAreSaidAndNotAskedForAllTheTime(t *testing.T) {
	t.Parallel()
	s := imaptest.NewScripted(t)
	s.On("LIST", func(c *imaptest.Call) {
		var b strings.Builder
		for i := range manyMailboxes + 1 {
			b.WriteString("* LIST () \"/\" \"")
			b.WriteString(strings.Repeat("x", 1+i%7))
			b.WriteString("/")
			b.WriteString(string(rune('a'+i%26)) + time.Unix(int64(i), 0).UTC().Format("150405"))
			b.WriteString("\"\r\n")
		}
		c.Send(strings.TrimSuffix(b.String(), "\r\n"))
		c.Done("OK done")
	})
	var said strings.Builder
	a := openScripted(t, s, func(c *Config, _ *imapconn.Dialer) {
		c.Poll, c.Logger = time.Millisecond, slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	before := len(s.Commands("LIST"))
	for range 5 {
		time.Sleep(3 * time.Millisecond)
		if _, err := a.LoadTree(within(t, short)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Commands("LIST")); n != before {
		t.Errorf("LIST of %d mailboxes was asked for %d times more", manyMailboxes+1, n-before)
	}
	if n := strings.Count(said.String(), "very many mailboxes"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
}
