package imaptest

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// dovecotConf is the whole configuration: nothing of the system's is read, no
// other user is used, and nothing is written outside the directory. fsync is
// off, since a test's mail need not survive the machine.
func dovecotConf(d *Dovecot, plain, secure int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = imaptest-%[2]d
listen = 127.0.0.1
protocols = imap
log_path = %[1]s/log/dovecot.log
shutdown_clients = yes
default_client_limit = 1000
default_process_limit = 200
default_vsz_limit = 0
first_valid_uid = 1
first_valid_gid = 1
disable_plaintext_auth = no
auth_mechanisms = %[5]s
auth_failure_delay = 0
mail_location = maildir:%[1]s/mail/%%u/Maildir
mail_privileged_group =
mail_fsync = never
maildir_very_dirty_syncs = no
mailbox_list_index = yes
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%u %[1]s/users
}
userdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
namespace inbox {
  inbox = yes
  separator = %[3]c
  mailbox Trash {
    special_use = \Trash
    auto = create
  }
}
service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {
    port = %[2]d
  }
  inet_listener imaps {
    port = %[4]s
    ssl = yes
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
protocol imap {
  mail_max_userip_connections = 100
  mail_plugins = zlib imap_zlib notify
`, d.Dir, plain, d.opts.Separator, tlsPort(d, secure), cmp.Or(d.opts.Mechanisms, "plain login"))
	if d.opts.Capabilities != "" {
		fmt.Fprintf(&b, "  imap_capability = %s\n", d.opts.Capabilities)
	}
	b.WriteString("}\n")
	if d.opts.NoTLS {
		b.WriteString("ssl = no\n")
	} else {
		fmt.Fprintf(&b, "ssl = yes\nssl_cert = <%s\nssl_key = <%s/key.pem\n", d.CertFile, d.Dir)
	}
	if d.opts.ClientCA != "" {
		fmt.Fprintf(&b, clientCertificates, d.opts.ClientCA)
	}
	b.WriteString(d.opts.ExtraConf)
	return b.String()
}

// clientCertificates asks clients for one. Who shows one that is believed needs no
// password for EXTERNAL.
const clientCertificates = `ssl_ca = <%s
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
passdb {
  driver = static
  mechanisms = external
  args = nopassword=y
}
`

// tlsPort is 0, which Dovecot takes as none, without TLS.
func tlsPort(d *Dovecot, secure int) string {
	if d.opts.NoTLS {
		return "0"
	}
	return fmt.Sprint(secure)
}

// Certificate makes a certificate for a user, or for a server of that name, which is its own
// authority, and its key, in files of the test's.
func Certificate(tb TB, name string) (certFile, keyFile string) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "imaptest-certificate-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := writeCertificate(certFile, keyFile, name); err != nil {
		tb.Fatal(err)
	}
	return certFile, keyFile
}

// writeCertificate makes a certificate for somebody that is its own authority; it is
// for the server on this machine, too.
func writeCertificate(certFile, keyFile, name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		DNSNames:              []string{"localhost", name},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}
