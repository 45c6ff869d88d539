package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imapfs/imapconn/imaptest"
)

// token makes a JSON Web Token (RFC 7519) that Dovecot checks by itself.
func token(key, user string, expires time.Time) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		enc.EncodeToString(fmt.Appendf(nil, `{"sub":%q,"iat":%d,"exp":%d}`, user, time.Now().Unix()-60, expires.Unix()))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}

// TestATokenLogsIn is the account that Gmail and Outlook give people: no password,
// an OAuth token from a command, asked for anew at each connect.
func TestATokenLogsIn(t *testing.T) {
	t.Parallel()
	needServers(t)
	for _, mechanism := range []string{"oauthbearer", "xoauth2"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			const key = "the key of the identity provider"
			dir, err := os.MkdirTemp("", "imapfs-oauth-") // not TempDir: Dovecot's user reads it
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			keys := filepath.Join(dir, "default", "HS256")
			conf := filepath.Join(dir, "oauth2.conf")
			for _, err := range []error{
				os.Chmod(dir, 0o755),
				os.MkdirAll(keys, 0o755),
				os.WriteFile(filepath.Join(keys, "default"), []byte(base64.StdEncoding.EncodeToString([]byte(key))), 0o644),
				os.WriteFile(conf, fmt.Appendf(nil, "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix=%s/\nusername_attribute = sub\n", dir), 0o644),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			s := imaptest.StartDovecot(t, imaptest.DovecotOptions{ExtraConf: fmt.Sprintf(`
auth_mechanisms = %[1]s
passdb {
  driver = oauth2
  mechanisms = %[1]s
  args = %[2]s
}
`, mechanism, conf)})
			s.Deliver(t, "INBOX", letter("one", 1_000), letter("two", 1_000))

			// The command counts itself and gives the token that is there now.
			asked, now := filepath.Join(dir, "asked"), filepath.Join(dir, "token")
			good := token(key, s.User, time.Now().Add(time.Hour))
			put := func(token string) {
				if err := os.WriteFile(now, []byte(token+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			command := fmt.Sprintf("echo >>%s; cat %s", asked, now)

			put(token(key, s.User, time.Now().Add(-time.Hour)))
			home := "XDG_STATE_HOME=" + t.TempDir()
			mnt := t.TempDir()
			r := run(t, "env", home, "imapfs", "mount", "--ca-file", s.CertFile, "--token-command", command, "imaps://"+s.User+"@"+s.TLSAddr+"/", mnt)
			if r.status != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "login as") || isMounted(t, mnt) {
				t.Errorf("a token that ran out: status %d, %s", r.status, r.stderr)
			}

			put(good)
			p := imaptest.NewProxy(t, s.Addr)
			trace := filepath.Join(t.TempDir(), "trace")
			d := mountURL(t, "imap://"+s.User+"@"+p.Addr+"/", "", "--tls", "none", "--token-command", command, "--trace", trace)
			must(t, "cat", d.path("INBOX", "1"))
			before, _ := os.ReadFile(asked)
			p.Cut()
			must(t, "cat", d.path("INBOX", "2"))
			if after, _ := os.ReadFile(asked); len(after) <= len(before) {
				t.Error("the command was not asked again at the next connect")
			}
			d.stop(t)
			for _, name := range append([]string{trace}, logs(t, d)...) {
				text, err := os.ReadFile(name)
				if err != nil {
					t.Error(err)
				}
				if holds(string(text), good) {
					t.Errorf("%s holds the token", name)
				}
			}
			if holds(d.errs.String(), good) {
				t.Error("stderr holds the token")
			}
		})
	}
}

// holds reports whether text has the secret in it, as it is or in base64, where it
// may begin at any of three places of a group.
func holds(text, secret string) bool {
	for skip := range 3 {
		whole := secret[skip : len(secret)-(len(secret)-skip)%3] // what follows does not change its groups
		if strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(whole))) {
			return true
		}
	}
	return strings.Contains(text, secret)
}

// logs are the files that a daemon has written below its state directory.
func logs(t testing.TB, d *daemon) (names []string) {
	t.Helper()
	err := filepath.Walk(d.home, func(name string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
