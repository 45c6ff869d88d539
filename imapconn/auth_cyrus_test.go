package imapconn

import (
	"context"
	"crypto/tls"
	"flag"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// installed is asked for by `make test-servers`: it fetches Debian's packages.
var installed = flag.Bool("installed", false, "log in to Cyrus, too")

// TestInstalledCyrusBindsALoginToTLS is the one server here that has SCRAM-SHA-256-PLUS:
// under TLS 1.2, that is. Under 1.3 it offers it and knows no way of binding.
func TestInstalledCyrusBindsALoginToTLS(t *testing.T) {
	if !*installed {
		t.Skip("fetches packages (-installed)")
	}
	s := imaptest.StartCyrusSASL(t)
	for name, test := range map[string]struct {
		version   uint16
		mechanism string
		password  string
		want      string // the commands, or the error
	}{
		"TLS 1.2":                 {tls.VersionTLS12, "", s.Password, "SCRAM-SHA-256-PLUS"},
		"TLS 1.2, SHA-256":        {tls.VersionTLS12, "scram-sha-256", s.Password, "SCRAM-SHA-256"},
		"TLS 1.2, SHA-1":          {tls.VersionTLS12, "scram-sha-1", s.Password, "SCRAM-SHA-1"},
		"TLS 1.2, wrong password": {tls.VersionTLS12, "", "wrong-one", "server says NO authentication failure (check user and password"},
		"TLS 1.3":                 {tls.VersionTLS13, "", s.Password, "SCRAM-SHA-256-PLUS SCRAM-SHA-256"},
		"TLS 1.3, PLUS":           {tls.VersionTLS13, "scram-sha-256-plus", s.Password, "server binds a login to TLS in another way"},
		"TLS 1.3, wrong password": {tls.VersionTLS13, "scram-sha-256", "wrong-one", "server says NO authentication failure (check user and password)"},
	} {
		t.Run(name, func(t *testing.T) {
			host, port, err := net.SplitHostPort(s.Addr)
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			var trace loginTrace
			d := &Dialer{
				Host: host, Port: n, TLS: TLSStartTLS, Timeout: 10 * time.Second, Mechanism: test.mechanism, Trace: &trace,
				TLSConfig: &tls.Config{RootCAs: roots(t, s.CertFile), MaxVersion: test.version},
				Credentials: func(context.Context) (Credentials, error) {
					return Credentials{User: s.User, Password: test.password}, nil
				},
			}
			c, err := d.Dial(t.Context())
			if !strings.HasPrefix(test.want, "SCRAM") {
				oneLine(t, err, test.want)
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, trace.String())
			}
			c.Close()
			var by []string
			for line := range strings.Lines(trace.String()) {
				if _, said, ok := strings.Cut(line, " AUTHENTICATE "); ok {
					by = append(by, strings.Fields(said)[0])
				}
			}
			if got := strings.Join(by, " "); got != test.want {
				t.Errorf("logged in by %s", got)
			}
		})
	}
}
