package main

import (
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for in, want := range map[string]accountURL{
		"imaps://alice@mail.example.org":             {TLS: true, User: "alice", Host: "mail.example.org"},
		"imaps://alice@mail.example.org/":            {TLS: true, User: "alice", Host: "mail.example.org"},
		"IMAPS://alice@Mail.Example.ORG:9993/":       {TLS: true, User: "alice", Host: "mail.example.org", Port: 9993},
		"imap://alice@localhost:143/INBOX":           {User: "alice", Host: "localhost", Port: 143, Mailbox: "INBOX"},
		"imaps://alice%40example.org@imap.host/":     {TLS: true, User: "alice@example.org", Host: "imap.host"},
		"imaps://alice@example.org@imap.host/":       {TLS: true, User: "alice@example.org", Host: "imap.host"},
		"imaps://imap.host/":                         {TLS: true, Host: "imap.host"},
		"imaps://imap.host:/":                        {TLS: true, Host: "imap.host"},
		"imaps://a%3Ab@host/":                        {TLS: true, User: "a:b", Host: "host"},
		"imaps://a@[2001:DB8::1]/":                   {TLS: true, User: "a", Host: "2001:db8::1"},
		"imaps://a@[::1]:1993/x":                     {TLS: true, User: "a", Host: "::1", Port: 1993, Mailbox: "x"},
		"imap://a@[fe80::1%25eth0]/":                 {User: "a", Host: "fe80::1%eth0"},
		"imaps://a@host/Archive/2023/":               {TLS: true, User: "a", Host: "host", Mailbox: "Archive/2023"},
		"imaps://a@host/Entw%C3%BCrfe":               {TLS: true, User: "a", Host: "host", Mailbox: "Entwürfe"},
		"imaps://a@host/Entwürfe":                    {TLS: true, User: "a", Host: "host", Mailbox: "Entwürfe"},
		"imaps://a@host/lists/x@y:z":                 {TLS: true, User: "a", Host: "host", Mailbox: "lists/x@y:z"},
		"imaps://a@host/50%25":                       {TLS: true, User: "a", Host: "host", Mailbox: "50%"},
		"imaps://a@host/%5BGmail%5D/All%20Mail":      {TLS: true, User: "a", Host: "host", Mailbox: "[Gmail]/All Mail"},
		"imaps://DOMAIN%5Calice@exchange.corp/INBOX": {TLS: true, User: `DOMAIN\alice`, Host: "exchange.corp", Mailbox: "INBOX"},
	} {
		got, err := parseURL(in)
		if err != nil {
			t.Errorf("parseURL(%q): %v", in, err)
		} else if got != want {
			t.Errorf("parseURL(%q)\n got %+v\nwant %+v", in, got, want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "neither imaps:// nor imap://",
		"alice@host":              "neither imaps:// nor imap://",
		"https://host/":           "neither imaps:// nor imap://",
		"imaps:///":               "names no host",
		"imaps://alice@/":         "names no host",
		"imaps://@host/":          "nothing before the @",
		"imaps://a@ho st/":        "no host name has",
		"imaps://a@bücher.de/":    "outside ASCII",
		"imaps://a@host:0/":       "no port",
		"imaps://a@host:65536/":   "no port",
		"imaps://a@host:+993/":    "no port",
		"imaps://a@::1/":          "more than one colon",
		"imaps://a@[::1/":         "has no ]",
		"imaps://a@[1.2.3.4]/":    "no IPv6 address",
		"imaps://a@[host]/":       "no IPv6 address",
		"imaps://a@[::1]993/":     "only a port",
		"imaps://a@host?x":        "? and #",
		"imaps://a@host/%zz":      "two hex digits",
		"imaps://a@host/%2":       "two hex digits",
		"imaps://a@host/%0D%0A":   "control character",
		"imaps://a%00@host/":      "control character",
		"imaps://a@host/%FF":      "not UTF-8",
		"imaps://a@host/x//y":     "empty level",
		"imaps://a;AUTH=*@host/":  "login mechanism",
		"imaps://a@host/" + big(): "too long",
	} {
		_, err := parseURL(in)
		if err == nil {
			t.Errorf("parseURL(%q) is accepted", in)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("parseURL(%q): %v; want %q in it", in, err, want)
		} else if !strings.HasSuffix(err.Error(), ")") {
			t.Errorf("parseURL(%q): %v: says not what to do", in, err)
		}
	}
}

func big() string { return strings.Repeat("x", maxURL) }

// A password in a URL is refused wherever it stands, and the refusal does not repeat it.
func TestParseURLKeepsPasswordToItself(t *testing.T) {
	for _, in := range []string{
		"imaps://alice:hunter2@host/",
		"imaps://alice:hunter2@example.org@host/",
		"imaps://alice:hunter2%@host/",
		"imaps://alice:@hunter2:x@host/",
		"imaps://alice:hunter2/x@host/",
		"imaps://alice:hunter2#@host/",
		"imaps://alice:hunter2?@host/",
		"imaps://alice:hunter2",
		"imaps://ali%ce:hunter2@host/",
		"hunter2://alice@host/",
		"alice:hunter2@host",
	} {
		_, err := parseURL(in)
		if err == nil {
			t.Errorf("parseURL(%q) is accepted", in)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("parseURL(%q) repeats the password: %v", in, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{
		"imaps://alice@mail.example.org/", "imap://a%40b@[::1%25lo]:143/Entw%C3%BCrfe/x",
		"imaps://alice:secret@host/", "imaps://a@b@c:993/[Gmail]/All%20Mail", "imap://", "imaps://h:%31/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseURL(s)
		if err != nil {
			return
		}
		if u.Host == "" || u.Port < 0 || u.Port > 65535 {
			t.Fatalf("parseURL(%q) = %+v", s, u)
		}
		if strings.ContainsAny(u.User+u.Host+u.Mailbox, "\x00\r\n") {
			t.Fatalf("parseURL(%q) lets a control character through: %+v", s, u)
		}
		if again, err := parseURL(u.String()); len(u.String()) <= maxURL && (err != nil || again != u) {
			t.Fatalf("parseURL(%q) = %+v, written as %q, is read as %+v, %v", s, u, u.String(), again, err)
		}
	})
}
