package imapconn

import (
	"errors"
	"reflect"
	"testing"
)

func TestNamespacesReadEveryForm(t *testing.T) {
	for name, test := range map[string]struct {
		sent string
		want Namespaces
	}{
		"Dovecot": {`* NAMESPACE (("" "/")) NIL NIL`, Namespaces{Personal: []Namespace{{"", '/'}}}},
		"Courier": {`* NAMESPACE (("INBOX." ".")) NIL (("#shared." ".")("shared." "."))`,
			Namespaces{Personal: []Namespace{{"INBOX.", '.'}}, Shared: []Namespace{{"#shared.", '.'}, {"shared.", '.'}}}},
		"Cyrus": {`* NAMESPACE (("" "/")) (("Other Users/" "/")) (("Shared Folders/" "/"))`,
			Namespaces{[]Namespace{{"", '/'}}, []Namespace{{"Other Users/", '/'}}, []Namespace{{"Shared Folders/", '/'}}}},
		"extensions":   {`* NAMESPACE (("" "/" "X-PARAM" ("FLAG1" "FLAG2") "Y" (("z")))("#mh/" "/")) NIL NIL`, Namespaces{Personal: []Namespace{{"", '/'}, {"#mh/", '/'}}}},
		"no delimiter": {`* NAMESPACE (("" NIL)) NIL NIL`, Namespaces{Personal: []Namespace{{"", 0}}}},
		"literal":      {"* NAMESPACE (({3}\r\na/) \"/\")) NIL NIL", Namespaces{Personal: []Namespace{{"a/)", '/'}}}},
		"none":         {`* NAMESPACE NIL NIL NIL`, Namespaces{}},
		"empty lists":  {`* NAMESPACE () NIL ()`, Namespaces{}},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, play(t, func(p *peer) {
				p.login("IMAP4rev1 NAMESPACE")
				p.answer("NAMESPACE", test.sent)
			}))
			got, err := c.Namespaces(t.Context())
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestNamespacesWithoutAnAnswerAreNotOffered(t *testing.T) {
	for caps, script := range map[string]func(*peer){
		"IMAP4rev1":           func(p *peer) { p.login("IMAP4rev1"); p.drain() },
		"IMAP4rev1 NAMESPACE": func(p *peer) { p.login("IMAP4rev1 NAMESPACE"); p.answer("NAMESPACE") },
	} {
		c := dial(t, play(t, script))
		if _, err := c.Namespaces(t.Context()); !errors.Is(err, ErrNotOffered) {
			t.Errorf("%s: %v", caps, err)
		}
	}
}
