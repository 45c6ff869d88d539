package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// accountURL is what a URL says about an account. Nothing in it is secret:
// parseURL refuses a URL that holds a password.
type accountURL struct {
	TLS     bool   // imaps://: TLS from the first octet
	User    string // decoded; empty: not said
	Host    string // lower case, an IPv6 address without its brackets
	Port    int    // 0: not said
	Mailbox string // decoded, levels joined with "/"; empty: the whole account
}

// What is said to whoever puts a password into a URL. Arguments are shown to
// every user of the machine by ps, and kept in the shell's history.
var errPasswordInURL = errors.New("a password does not belong in the URL, where others can see it " +
	"(use --password-command, --password-file, $IMAPFS_PASSWORD or the prompt)")

// maxURL bounds a URL, in octets.
const maxURL = 8 << 10

// parseURL reads imaps://user@host[:port]/[mailbox] and imap://…, RFC 5092
// without its parameters. A user that holds an @ may be written plainly: the
// last @ before the host counts. Its errors never quote what stands before
// the host or in place of the port, for that may be a password gone astray.
func parseURL(s string) (accountURL, error) {
	var u accountURL
	if len(s) > maxURL {
		return u, errors.New("the URL is too long (write imaps://user@host/)")
	}
	scheme, rest, ok := strings.Cut(s, "://")
	switch strings.ToLower(scheme) {
	case "imaps":
		u.TLS = true
	case "imap":
	default:
		ok = false
	}
	if !ok {
		return u, errors.New("the URL begins with neither imaps:// nor imap:// (write imaps://user@host/)")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if strings.HasPrefix(path, "?") || strings.HasPrefix(path, "#") {
		return u, errors.New("? and # have no place after the host (write %3F and %23)")
	}

	hostport := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		hostport = authority[i+1:]
		user, err := parseUser(authority[:i])
		if err != nil {
			return u, err
		}
		u.User = user
	}
	var err error
	if u.Host, u.Port, err = parseHostPort(hostport); err != nil {
		return u, err
	}
	u.Mailbox, err = parseMailbox(path)
	return u, err
}

func parseUser(s string) (string, error) {
	if strings.ContainsRune(s, ':') {
		return "", errPasswordInURL
	}
	if strings.Contains(strings.ToUpper(s), ";AUTH=") {
		return "", errors.New("the URL names a login mechanism (leave ;AUTH= out: imapfs chooses)")
	}
	user, err := unescape(s)
	if err != nil {
		return "", fmt.Errorf("the user in the URL: %w", err)
	}
	if user == "" {
		return "", errors.New("there is nothing before the @ in the URL (write imaps://user@host/)")
	}
	return user, nil
}

func parseHostPort(s string) (host string, port int, err error) {
	host, digits := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", 0, errors.New("the host begins with [ and has no ] (write [2001:db8::1])")
		}
		host, digits = s[1:end], s[end+1:]
		if host, err = unescape(host); err != nil {
			return "", 0, fmt.Errorf("the host in the URL: %w", err)
		}
		address, zone, zoned := strings.Cut(host, "%")
		if ip := net.ParseIP(address); ip == nil || !strings.ContainsRune(address, ':') || zoned && zone == "" {
			return "", 0, errors.New("what stands in [ ] is no IPv6 address (write [2001:db8::1])")
		}
		if digits != "" && digits[0] != ':' {
			return "", 0, errors.New("only a port may follow the ] of the host (write [2001:db8::1]:993)")
		}
		digits = strings.TrimPrefix(digits, ":")
	} else {
		if strings.Count(s, ":") > 1 {
			return "", 0, errors.New("the host has more than one colon (write an IPv6 address as [2001:db8::1])")
		}
		host, digits, _ = strings.Cut(s, ":")
		if err := checkHostName(host); err != nil {
			return "", 0, err
		}
	}
	if digits != "" {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 || digits[0] == '+' {
			return "", 0, errors.New("what follows the colon of the host is no port from 1 to 65535 " +
				"(write imaps://user@host:993/, and never a password)")
		}
		port = int(n)
	}
	return strings.ToLower(host), port, nil
}

func checkHostName(host string) error {
	if host == "" {
		return errors.New("the URL names no host (write imaps://user@host/)")
	}
	for i := range len(host) {
		c := host[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		case c >= utf8.RuneSelf:
			return errors.New("the host holds a letter outside ASCII (write it in its xn-- form)")
		default:
			return errors.New("the host holds a character that no host name has (write imaps://user@host/)")
		}
	}
	return nil
}

// parseMailbox decodes the path: "/" parts levels, one at either end is
// nothing, and %2F is taken as a parting too, as no mailbox can be named that
// differs from another only by it.
func parseMailbox(path string) (string, error) {
	name, err := unescape(path)
	if err != nil {
		return "", fmt.Errorf("the mailbox in the URL: %w", err)
	}
	name = strings.Trim(name, "/")
	if strings.Contains(name, "//") {
		return "", errors.New("the mailbox in the URL has an empty level (write imaps://user@host/Archive/2026)")
	}
	return name, nil
}

// unescape decodes %XX, once. The result is UTF-8 without control characters:
// neither a user nor a mailbox that one can type has others.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("a % is not followed by two hex digits (write %25 for a %)")
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil || s[i+1] == '+' {
			return "", errors.New("a % is not followed by two hex digits (write %25 for a %)")
		}
		b.WriteByte(byte(n))
		i += 2
	}
	out := b.String()
	if !utf8.ValidString(out) {
		return "", errors.New("it is not UTF-8 (write each octet of its UTF-8 form as %XX)")
	}
	if strings.ContainsFunc(out, unicode.IsControl) {
		return "", errors.New("it holds a control character (leave it out)")
	}
	return out, nil
}

// String is the URL again, as parseURL reads it, for messages and ps.
func (u accountURL) String() string {
	var b strings.Builder
	b.WriteString("imap")
	if u.TLS {
		b.WriteByte('s')
	}
	b.WriteString("://")
	if u.User != "" {
		b.WriteString(escape(u.User, ""))
		b.WriteByte('@')
	}
	if strings.ContainsRune(u.Host, ':') {
		b.WriteString("[" + escape(u.Host, ":") + "]")
	} else {
		b.WriteString(u.Host)
	}
	if u.Port != 0 {
		fmt.Fprintf(&b, ":%d", u.Port)
	}
	b.WriteByte('/')
	b.WriteString(escape(u.Mailbox, "/@:"))
	return b.String()
}

// escape writes every octet as %XX that is neither unreserved (RFC 3986
// section 2.3) nor in also.
func escape(s, also string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte("-._~"+also, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
