package imapconn

import (
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

func TestStatsSayWhatWentOverTheSocket(t *testing.T) {
	if testing.Short() {
		return
	}
	s, _ := dovecot(t, 20)
	for _, tt := range []struct {
		name, addr, version string
		mode                TLSMode
		compression         *Compression
	}{
		{"implicit", s.TLSAddr, "TLS 1.3", TLSImplicit, nil},
		{"STARTTLS", s.Addr, "TLS 1.3", TLSStartTLS, nil},
		{"plain", s.Addr, "", TLSNone, nil},
		{"implicit, compressed", s.TLSAddr, "TLS 1.3", TLSImplicit, CompressAlways()},
		{"plain, compressed", s.Addr, "", TLSNone, CompressAlways()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proxy := imaptest.NewProxy(t, tt.addr)
			before := time.Now()
			d := toDovecot(t, s, proxy.Addr, tt.mode)
			d.Compression, d.Traffic = tt.compression, new(Traffic)
			c := dial(t, d)
			if _, err := c.Examine(t.Context(), "INBOX", nil); err != nil {
				t.Fatal(err)
			}
			if err := c.FetchText(t.Context(), AllUIDs(), Part{}, func(Text) {}); err != nil {
				t.Fatal(err)
			}
			// The proxy counts behind what it passes on.
			var got Stats
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
				got = c.Stats()
				if there := proxy.Counters(); got.In == there.Down && got.Out == there.Up {
					break
				} else if time.Now().After(deadline) {
					t.Fatalf("%+v, at the proxy %+v", got, there)
				}
			}
			if state := c.TLS(); (state != nil) != (tt.version != "") || state != nil && len(state.PeerCertificates) == 0 {
				t.Errorf("%+v", state)
			}
			if l := c.Login(); l.Mechanism == "" || !l.Offered.Has("AUTH="+l.Mechanism) || l.Offered.Has("UIDPLUS") {
				t.Errorf("logged in by %q of %v", l.Mechanism, l.Offered.Names())
			}
			if got.Commands < 3 || got.Flights < 3 || got.Flights > got.Commands { // LOGIN, EXAMINE, FETCH
				t.Errorf("%d commands, %d flights", got.Commands, got.Flights)
			}
			if d.Traffic.In() != got.In || d.Traffic.Out() != got.Out {
				t.Errorf("the account's count is %d, %d; the connection's %+v", d.Traffic.In(), d.Traffic.Out(), got)
			}
			least := int64(10_000)
			if got.Compressed {
				least = 1_000
			}
			if got.Compressed != (tt.compression != nil) || got.Compressed && got.In > 10_000 {
				t.Errorf("%+v", got)
			}
			if got.Addr != proxy.Addr || got.TLS != tt.version || got.In < least || got.Out < 50 ||
				got.RoundTrip <= 0 || got.Since.Before(before) || got.Since.After(time.Now()) {
				t.Errorf("%+v", got)
			}
			c.Close()
			if over := c.Stats(); over.In < got.In || over.RoundTrip != 0 {
				t.Errorf("closed: %+v", over)
			}
		})
	}
}
