package imapconn

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
	"imapfs/testdata"
)

// The transcripts say what an account makes of them (package cache plays them too).
// Here: every answer is understood, facts and texts are under the UIDs that bear
// them, and no text is any other than the one that the transcript has for it.
func TestTheAnswersInTheTranscriptsAreUnderstood(t *testing.T) {
	for server, file := range testdata.Transcripts() {
		t.Run(server, func(t *testing.T) {
			s := imaptest.NewTranscript(t, file)
			host, port, _ := net.SplitHostPort(s.Addr)
			n, _ := strconv.Atoi(port)
			c := dial(t, &Dialer{Host: host, Port: n, TLS: TLSNone, Timeout: 10 * time.Second,
				Credentials: func(context.Context) (Credentials, error) { return Credentials{User: "alice", Password: "secret"}, nil }})
			if c.Caps().Has("NAMESPACE") {
				if got, err := c.Namespaces(t.Context()); err != nil || len(got.Personal) == 0 {
					t.Errorf("%+v, %v", got, err)
				}
			}
			if boxes, err := c.List(t.Context(), "", "*"); err != nil || len(boxes) < 2 {
				t.Errorf("%+v, %v", boxes, err)
			}
			data, err := c.Examine(t.Context(), "INBOX", nil)
			if err != nil || !data.HasUIDValidity || !data.ReadOnly {
				t.Fatalf("%+v, %v", data, err)
			}
			sized := make(map[UID]bool)
			err = c.FetchMeta(t.Context(), AllUIDs(), MetaAll, func(m Meta) {
				if m.HasSize {
					sized[m.UID] = true
				}
			})
			if err != nil || len(sized) != int(data.Exists) {
				t.Errorf("%v, %v", sized, err)
			}
			read := 0
			for _, line := range s.Expect {
				w := strings.Fields(line)
				if w[0] != "text" || w[1] != "INBOX" {
					continue
				}
				uid, _ := strconv.ParseUint(w[2], 10, 32)
				got, err := texts(t.Context(), c, UIDSet{{First: UID(uid), Last: UID(uid)}}, Part{Chunk: 7})
				if err != nil || len(got) != 1 || got[0].UID != UID(uid) || string(bytes.Join(got[0].Chunks, nil)) != s.Texts[w[3]] {
					t.Errorf("%s: %+v, %v", line, got, err)
				}
				read++
			}
			if read == 0 {
				t.Error("no text was read")
			}
		})
	}
}
