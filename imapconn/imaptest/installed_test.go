package imaptest

import (
	"flag"
	"strings"
	"testing"
)

// installed is asked for by `make test-servers`: it fetches Debian's packages.
var installed = flag.Bool("installed", false, "start Cyrus, Courier and mailutils, too")

func TestInstalledServersSpeak(t *testing.T) {
	if !*installed {
		t.Skip("fetches packages (-installed)")
	}
	for name, start := range map[string]func(TB) *Installed{
		"cyrus":          StartCyrus,
		"courier":        StartCourier,
		"mailutils":      func(tb TB) *Installed { return StartMailutils(tb, "maildir") },
		"mailutils mbox": func(tb TB) *Installed { return StartMailutils(tb, "mbox") },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			got := talk(t, s.Addr, "LOGIN "+s.User+" "+s.Password, "CAPABILITY", `LIST "" "*"`, "EXAMINE INBOX", "LOGOUT")
			wants(t, got, "t0 OK", "IMAP4rev1", "INBOX", "* 0 EXISTS", "t3 OK")
			if s.Version == "" || strings.ContainsAny(s.Version, "\n-") {
				t.Errorf("version %q", s.Version)
			}
		})
	}
}
