package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"imapfs/cache"
	"imapfs/imapconn"
)

// options is everything that can be said about a mount, but for secrets. The
// flags fill it, and it goes to the background process as JSON.
type options struct {
	Account    accountURL // user and port filled in
	MountPoint string     // absolute
	State      string     // the spool, where it is not the account's own; of a demo
	Dir        string     // where relative names begin and commands are run

	User            string
	TLS             tlsMode
	CAFile          string
	PasswordCommand string
	PasswordFile    string
	TokenCommand    string
	Keyring         bool
	Auth            mechanism // empty: the best there is
	TLSPins         []string
	ClientCert      string
	ClientKey       string
	Tunnel          string

	Connections int
	CacheSize   octets // 0: package cache's default
	Timeout     time.Duration
	Poll        time.Duration
	BWLimit     octets // a second, each way; 0: none
	DailyLimit  octets // from the server in 24 hours; 0: none
	Compress    compress
	Exclude     []string
	Shared      bool

	Suffix     string
	AllowOther bool
	UID, GID   uint32
	Umask      octal
	ReadOnly   bool
	OnDelete   onDelete
	AnyText    bool

	Metrics    metricsAddr
	LogFile    string
	Verbose    bool
	Trace      string
	Foreground bool
}

// Defaults and limits.
const (
	defaultConnections = 4
	maxConnections     = 15 // Gmail's limit for all programs together; Dovecot's is 10
	defaultTimeout     = 30 * time.Second
	defaultPoll        = 30 * time.Second
	minPoll            = time.Second
	minBWLimit         = 1 << 10  // octets a second
	minDailyLimit      = 10 << 20 // octets
	defaultUmask       = octal(0o077)
	maxSuffix          = 32 // octets; a name has 255
)

func newOptions() *options {
	return &options{
		Connections: defaultConnections, Timeout: defaultTimeout, Poll: defaultPoll,
		Compress: compressOff, OnDelete: onDeleteExpunge, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Umask: defaultUmask,
	}
}

// register makes the flags of a mount, with what o holds as their defaults.
func (o *options) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.User, "user", o.User, "the user to log in as, where the URL does not say")
	f.StringVar(&o.PasswordCommand, "password-command", "", "run `COMMAND` by sh at each login; its first line is the password")
	f.StringVar(&o.PasswordFile, "password-file", "", "the first line of `FILE` is the password")
	f.StringVar(&o.TokenCommand, "token-command", "", "run `COMMAND` by sh at each login; its first line is an OAuth access token")
	f.Var(&o.TLS, "tls", "implicit, starttls or none (imaps:// implicit, imap:// starttls)")
	f.StringVar(&o.CAFile, "ca-file", "", "trust the certificates in `FILE` (PEM) in place of the system's")
	o.registerLogin(f)
	f.IntVar(&o.Connections, "connections", o.Connections, "at most so many connections to the server")
	f.Var(&o.CacheSize, "cache-size", "memory for texts, as 64M or 1G (256M, or an eighth of memory if that is less)")
	f.DurationVar(&o.Timeout, "timeout", o.Timeout, "a server silent for so long is given up")
	f.DurationVar(&o.Poll, "poll", o.Poll, "look for new mail so often where the server does not tell")
	f.Var(&o.BWLimit, "bwlimit", "move at most so many octets a second each way, as 512K or 2M")
	f.Var(&o.DailyLimit, "daily-limit", "fetch at most so much in 24 hours, all mounts of the account together (Gmail allows 2500M)")
	f.Var(&o.Compress, "compress", "ask the server to compress: on, off, or auto, where a slow line is measured to gain by it")
	f.StringArrayVar(&o.Exclude, "exclude", nil, "leave out mailboxes that match `PATTERN` (* and %, ! to keep; the last match counts; repeatable)")
	f.BoolVar(&o.Shared, "shared", false, "show other users' and shared mailboxes, too")
	f.StringVar(&o.Suffix, "suffix", "", "ends the name of each message, as .eml")
	f.BoolVar(&o.ReadOnly, "read-only", o.ReadOnly, "nothing can be changed: the account is only looked at")
	f.Var(&o.OnDelete, "on-delete", "rm removes from the server (expunge) or moves to the trash (trash)")
	f.BoolVar(&o.AnyText, "any-text", false, "take files, too, that do not look like mail")
	f.BoolVar(&o.AllowOther, "allow-other", false, "other users may come in, as far as the modes let them")
	f.Uint32Var(&o.UID, "uid", o.UID, "owner of all files, a number")
	f.Uint32Var(&o.GID, "gid", o.GID, "group of all files, a number")
	f.Lookup("uid").DefValue, f.Lookup("gid").DefValue = "yours", "yours" // not that of who makes the manual
	f.Var(&o.Umask, "umask", "the permissions that nobody gets")
	f.BoolVarP(&o.Foreground, "foreground", "f", false, "stay in the foreground, log to stderr")
	f.Var(&o.Metrics, "metrics", "tell Prometheus at this port of 127.0.0.1, or at HOST:PORT, what imapfs status says")
	f.StringVar(&o.LogFile, "log-file", "", "log to `FILE` ($XDG_STATE_HOME/imapfs/ACCOUNT.log)")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "log more")
	f.StringVar(&o.Trace, "trace", "", "write the protocol to `FILE`, the login blanked, the mail not")
}

// complete checks what was said and fills in what follows from it. Its errors
// are the user's to correct on the command line.
func (o *options) complete(url, mountPoint string) error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("the current directory: %w (go to another)", err)
	}
	o.Dir = dir
	if unix.Access(dir, unix.X_OK) != nil {
		o.Dir = "/" // root calls mount(8) at home, with setuid=alice
	}
	for _, name := range []*string{&o.CAFile, &o.ClientCert, &o.ClientKey, &o.PasswordFile, &o.LogFile, &o.Trace, &mountPoint} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
	o.MountPoint = filepath.Clean(mountPoint)
	if err := o.completeAccount(url); err != nil {
		return usageError{err}
	}
	if err := o.checkLogin(); err != nil {
		return usageError{err}
	}
	switch {
	case o.Connections < 1 || o.Connections > maxConnections:
		return usagef("--connections %d is not from 1 to %d (%d is the default)", o.Connections, maxConnections, defaultConnections)
	case o.Timeout <= 0:
		return usagef("--timeout %v is no time (30s is the default)", o.Timeout)
	case o.Poll < minPoll:
		return usagef("--poll %v is under %v (30s is the default)", o.Poll, minPoll)
	case o.BWLimit != 0 && o.BWLimit < minBWLimit:
		return usagef("--bwlimit %s is under %dK (a bare number is in K)", o.BWLimit.String(), minBWLimit>>10)
	case o.DailyLimit != 0 && o.DailyLimit < minDailyLimit:
		return usagef("--daily-limit %s is under %dM (a bare number is in K)", o.DailyLimit.String(), minDailyLimit>>20)
	case o.Umask == 0:
		return usagef("--umask 000 would let everybody write, if one could (write 022 to let everybody read)")
	case o.Suffix != "" && (o.Suffix[0] != '.' || len(o.Suffix) < 2 || len(o.Suffix) > maxSuffix ||
		strings.Trim(strings.ToLower(o.Suffix[1:]), "abcdefghijklmnopqrstuvwxyz0123456789") != ""):
		return usagef("--suffix %q is not a dot with letters and digits after it (write .eml)", o.Suffix)
	}
	return nil
}

func (o *options) completeAccount(url string) error {
	u, err := parseURL(url)
	if err != nil {
		return err
	}
	switch {
	case u.User == "" && o.User == "":
		return fmt.Errorf("no user is given (write %s or --user)",
			accountURL{TLS: u.TLS, User: "user", Host: u.Host, Port: u.Port, Mailbox: u.Mailbox})
	case u.User != "" && o.User != "" && u.User != o.User:
		return fmt.Errorf("the URL and --user name two users (leave one out)")
	case u.User == "":
		u.User = o.User
	}
	switch {
	case o.TLS == "" && u.TLS:
		o.TLS = tlsImplicit
	case o.TLS == "" && o.Tunnel != "":
		o.TLS = tlsNone
	case o.TLS == "":
		o.TLS = tlsStart
	case u.TLS && o.TLS != tlsImplicit:
		return fmt.Errorf("imaps:// is TLS from the start, --tls says %s (write imap://)", o.TLS)
	}
	if u.Port == 0 {
		u.Port = 143
		if o.TLS == tlsImplicit {
			u.Port = 993
		}
	}
	o.Account = u
	return nil
}

// name is what the account is called in messages and in the mount table.
func (o *options) name() string { return o.Account.User + "@" + o.Account.Host }

// tlsMode is the value of --tls.
type tlsMode string

const (
	tlsImplicit tlsMode = "implicit"
	tlsStart    tlsMode = "starttls"
	tlsNone     tlsMode = "none"
)

func (m *tlsMode) Set(s string) error {
	switch v := tlsMode(s); v {
	case tlsImplicit, tlsStart, tlsNone:
		*m = v
		return nil
	}
	return fmt.Errorf("not a way to use TLS (write implicit, starttls or none)")
}

func (m *tlsMode) String() string { return string(*m) }
func (m *tlsMode) Type() string   { return "MODE" }

// compress is the value of --compress.
type compress string

const (
	compressAuto compress = "auto"
	compressOn   compress = "on"
	compressOff  compress = "off"
)

func (c *compress) Set(s string) error {
	switch v := compress(s); v {
	case compressAuto, compressOn, compressOff:
		*c = v
		return nil
	}
	return fmt.Errorf("not a way to compress (write auto, on or off)")
}

func (c *compress) String() string { return string(*c) }
func (c *compress) Type() string   { return "WHEN" }

// rule is what package imapconn calls it.
func (c compress) rule() *imapconn.Compression {
	switch c {
	case compressOn:
		return imapconn.CompressAlways()
	case compressAuto:
		return imapconn.CompressWhereItPays()
	}
	return nil
}

// octal is the value of --umask.
type octal uint32

func (o *octal) Set(s string) error {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 {
		return fmt.Errorf("not a mask in octal (write 077)")
	}
	*o = octal(n)
	return nil
}

func (o *octal) String() string { return fmt.Sprintf("%03o", uint32(*o)) }
func (o *octal) Type() string   { return "MASK" }

// onDelete is the value of --on-delete.
type onDelete string

const (
	onDeleteExpunge onDelete = "expunge"
	onDeleteTrash   onDelete = "trash"
)

func (d *onDelete) Set(s string) error {
	switch v := onDelete(s); v {
	case onDeleteExpunge, onDeleteTrash:
		*d = v
		return nil
	}
	return fmt.Errorf("not a way to delete (write expunge or trash)")
}

func (d *onDelete) String() string { return string(*d) }
func (d *onDelete) Type() string   { return "HOW" }

// rule is what package cache calls it.
func (d onDelete) rule() cache.OnDelete {
	if d == onDeleteTrash {
		return cache.DeleteTrash
	}
	return cache.DeleteExpunge
}
