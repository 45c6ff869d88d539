package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"

	"imapfs/imapconn"
)

// maxPEM bounds a file of certificates or a key, in octets; all of Mozilla's roots are
// a quarter of a MiB.
const maxPEM = 8 << 20

// setTLS tells a Dialer whom to believe and what to show.
func (o *options) setTLS(d *imapconn.Dialer) error {
	d.TLSConfig = new(tls.Config)
	if o.CAFile != "" {
		roots, err := readRoots(o.CAFile)
		if err != nil {
			return err
		}
		d.TLSConfig.RootCAs = roots
	}
	for _, s := range o.TLSPins {
		pin, err := imapconn.ParsePin(s)
		if err != nil {
			return fmt.Errorf("--tls-pin: %w", err)
		}
		d.Pins = append(d.Pins, pin)
	}
	if o.ClientCert != "" {
		cert, err := readClientCertificate(o.ClientCert, o.ClientKey)
		if err != nil {
			return err
		}
		d.TLSConfig.Certificates = []tls.Certificate{cert}
	}
	return nil
}

// readRoots reads the certificates of --ca-file.
func readRoots(name string) (*x509.CertPool, error) {
	pem, err := readPEM("--ca-file", name)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca-file: %s holds no certificate (it must be PEM: -----BEGIN CERTIFICATE-----)", name)
	}
	return roots, nil
}

// readClientCertificate reads a certificate and its key, from one file where no second
// is named. A key that others can read is refused.
func readClientCertificate(certFile, keyFile string) (tls.Certificate, error) {
	var none tls.Certificate
	flag := "--client-key"
	if keyFile == "" {
		flag, keyFile = "--client-cert", certFile
	}
	cert, err := readPEM("--client-cert", certFile)
	if err != nil {
		return none, err
	}
	key, err := readPEM(flag, keyFile)
	if err != nil {
		return none, err
	}
	if st, err := os.Stat(keyFile); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o007 != 0 {
		return none, fmt.Errorf("%s: everybody can get at %s (chmod 600 %[2]s)", flag, keyFile)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return none, fmt.Errorf("--client-cert: %w (it must be PEM, with the key of that certificate, not encrypted)", err)
	}
	return pair, nil
}

// readPEM reads a file that a flag names.
func readPEM(flag, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (name a file that you can read)", flag, err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(pem) > maxPEM {
		err = errors.New("it is too long")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w (name a file of certificates)", flag, name, err)
	}
	return pem, nil
}
