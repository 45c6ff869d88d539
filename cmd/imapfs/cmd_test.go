package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb":             "a b",
		"\x1b[31mred\x1b[0m": "[31mred [0m",
		"\u009b31m":          "31m",
		"x\xffy":             "x?y",
		"für Überweisung":    "für Überweisung",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}

// The name of a log cannot lead out of its directory, whatever the user is called.
func TestLogNameStaysInItsDirectory(t *testing.T) {
	for _, account := range []string{"alice@host", "../../etc/passwd@host", "..@", ".hidden@host", "a/b@c", "ä@host", strings.Repeat("x", 999)} {
		name := logName(account)
		if filepath.Base(name) != name || strings.HasPrefix(name, ".") || len(name) > 255 {
			t.Errorf("logName(%.30q) = %q", account, name)
		}
	}
	if got := logName("alice@example.org@host"); got != "alice@example.org@host.log" {
		t.Errorf("a usual name is changed: %q", got)
	}
}

func TestUserAllowOther(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "#user_allow_other\n": false, "mount_max = 5\nuser_allow_other\n": true, " user_allow_other": true,
	} {
		name := filepath.Join(t.TempDir(), "fuse.conf")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := userAllowOther(name); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if userAllowOther("/nowhere/fuse.conf") {
		t.Error("a file that is not there allows it")
	}
}

func TestCompleteFillsIn(t *testing.T) {
	for _, tt := range []struct {
		url, user string
		tls       tlsMode
		want      accountURL
		wantTLS   tlsMode
	}{
		{"imaps://a@h/", "", "", accountURL{TLS: true, User: "a", Host: "h", Port: 993}, tlsImplicit},
		{"imap://a@h/", "", "", accountURL{User: "a", Host: "h", Port: 143}, tlsStart},
		{"imap://h/", "a", tlsNone, accountURL{User: "a", Host: "h", Port: 143}, tlsNone},
		{"imap://a@h/x", "a", tlsImplicit, accountURL{User: "a", Host: "h", Port: 993, Mailbox: "x"}, tlsImplicit},
		{"imaps://a@h:99/", "", tlsImplicit, accountURL{TLS: true, User: "a", Host: "h", Port: 99}, tlsImplicit},
	} {
		o := newOptions()
		o.User, o.TLS = tt.user, tt.tls
		if err := o.complete(tt.url, "mnt"); err != nil || o.Account != tt.want || o.TLS != tt.wantTLS {
			t.Errorf("%s: %+v %s, %v", tt.url, o.Account, o.TLS, err)
		}
		if !filepath.IsAbs(o.MountPoint) {
			t.Errorf("the mount point is %s", o.MountPoint)
		}
	}
}
