package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"imapfs/cache"
	"imapfs/imapconn"
)

// gcPercent is how much garbage there may be, in hundredths of what lives, which is mostly
// the text cache: what makes garbage beside a full cache may take half of that again, and
// with Go's usual 100 as much again. A grep makes none to speak of. $GOGC stands over it.
const gcPercent = 50

func newMount() *cobra.Command {
	o := newOptions()
	c := &cobra.Command{
		Use:   "mount [flags] URL|ACCOUNT MOUNTPOINT",
		Short: "mounts an account at a directory",
		Long: `Mounts an IMAP account at an empty directory, and returns when it is mounted. What
programs write, move and remove there is written, moved and removed on the server;
with --read-only they can only look. imapfs pending lists what the server does not have.

An account is one of ~/.config/imapfs/config.toml, where each flag can be said, too:

  [account.work]
  url = "imaps://alice@mail.example.org/"
  password-command = "pass mail"

A URL is imaps://user@host/ (TLS, port 993) or imap://user@host/ (STARTTLS,
port 143), with a port after the host and a mailbox after the / where wanted. An @
in the user may stand as it is.

The password comes from --password-command, --password-file, $IMAPFS_PASSWORD, or
is asked for; Gmail and Outlook want --token-command, or Gmail an app password.`,
		Example: `  imapfs mount imaps://alice@mail.example.org/ ~/mail
  imapfs mount --password-command 'pass mail' imaps://alice@example.org@mail.host/ ~/mail
  imapfs mount --token-command 'oama access alice@gmail.com' imaps://alice@gmail.com@imap.gmail.com/ ~/mail`,
		Args:              exactly(2),
		ValidArgsFunction: completeAccounts,
	}
	var mountOptions []string
	o.register(c.Flags())
	registerMountOptions(c.Flags(), &mountOptions)
	c.RunE = func(c *cobra.Command, args []string) error {
		url, err := settle(c.Flags(), mountOptions, args[0])
		if err != nil {
			return err
		}
		if err := o.complete(url, args[1]); err != nil {
			return err
		}
		return mount(c.Context(), o)
	}
	return c
}

// mount does everything in the order that leaves nothing behind when it
// fails: what the machine must have, then the secret, then the login, and only
// then the mount.
func mount(ctx context.Context, o *options) error {
	var err error
	if o.MountPoint, err = checkMountPoint(o.MountPoint); err != nil {
		return err
	}
	if err := checkFUSE(o.AllowOther); err != nil {
		return err
	}
	if err := o.setTLS(new(imapconn.Dialer)); err != nil {
		return err
	}
	password, err := obtain(o)
	if err != nil {
		return err
	}
	if o.Foreground {
		return foreground(ctx, o, password)
	}
	if err := background(o, password); err != nil {
		return err
	}
	if term.IsTerminal(int(os.Stdout.Fd())) {
		fmt.Printf("%s is mounted at %s (imapfs unmount %[2]s ends it)\n", oneLine(o.name()), oneLine(o.MountPoint))
	}
	return nil
}

func foreground(ctx context.Context, o *options, password string) error {
	out := os.Stderr
	if o.LogFile != "" {
		f, err := openLog(o)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	secrets := newSecrets(o, password)
	logger := newLogger(out, o.level(), secrets)
	err := mountAndServe(ctx, o, secrets, logger, func() error {
		// A unit of Type=notify is up from here on; without $NOTIFY_SOCKET nothing is said.
		_, err := systemd.SdNotify(false, systemd.SdNotifyReady)
		if err != nil {
			logger.Warn("cannot tell systemd that it is mounted", "err", err)
		}
		return nil
	})
	systemd.SdNotify(false, systemd.SdNotifyStopping)
	if err != nil {
		return errors.New(secrets.blank(err.Error()))
	}
	return nil
}

// mountAndServe is mountUntil for who is told by a signal to end.
func mountAndServe(ctx context.Context, o *options, s *secrets, log *slog.Logger, ready func() error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	return mountUntil(ctx, o, s, log, ready)
}

// mountUntil logs in, mounts, calls ready, and serves until ctx or an unmount ends it. It
// leaves nothing mounted.
func mountUntil(ctx context.Context, o *options, s *secrets, log *slog.Logger, ready func() error) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	metrics, err := listenMetrics(o)
	if err != nil {
		return err
	}
	defer metrics.close()
	dialer, wait, err := newDialer(o, s, log)
	if err != nil {
		return err
	}
	defer wait()
	if o.Trace != "" {
		trace, err := openTrace(o.Trace)
		if err != nil {
			return err
		}
		defer trace.Close()
		dialer.Trace = blanked{trace, s}
	}
	ledger, err := openLedger(o, dialer.Traffic, log)
	if err != nil {
		return err
	}
	state := ""
	if !o.ReadOnly {
		if state, err = spoolDir(o); err != nil {
			return err
		}
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// The dialer's own deadlines are about silence. This one is about a
	// server that talks and does not come to the point.
	openCtx, cancel := context.WithTimeout(ctx, commandLimit+2*o.Timeout)
	defer cancel()
	account, err := cache.Open(openCtx, cache.Config{
		Dial:        dialer.Dial,
		Connections: o.Connections,
		CacheBytes:  int64(o.CacheSize),
		Timeout:     o.Timeout,
		Poll:        o.Poll,
		Ledger:      ledger,
		Exclude:     o.Exclude,
		Shared:      o.Shared,
		Root:        o.Account.Mailbox,
		OnDelete:    o.OnDelete.rule(),
		HoldDrafts:  true, // until fs lists them
		AnyText:     o.AnyText,
		State:       state,
		Logger:      log,
	})
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted before anything was mounted (start it again)")
	case err != nil && !strings.HasSuffix(err.Error(), ")"):
		return fmt.Errorf("%w (--trace FILE shows what was said)", err)
	case err != nil:
		return err
	}
	stopWatching := watchNetwork(ctx, account, log)
	err = serve(ctx, account, o, s, log, metrics, hangups, ready)
	stopWatching()
	return errors.Join(err, account.Close())
}

// watchNetwork has the account told when the network of this machine changes,
// until the function that it returns is called.
func watchNetwork(ctx context.Context, account *cache.Account, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		if err := imapconn.WatchNetwork(ctx, account.NetworkChanged); err != nil && ctx.Err() == nil {
			log.Info("a change of the network will be noticed late", "err", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// newDialer is what reaches the account. wait returns when nothing is left of the
// connections, which have to be closed.
func newDialer(o *options, s *secrets, log *slog.Logger) (d *imapconn.Dialer, wait func(), err error) {
	d = &imapconn.Dialer{
		Host:        o.Account.Host,
		Port:        o.Account.Port,
		TLS:         map[tlsMode]imapconn.TLSMode{tlsImplicit: imapconn.TLSImplicit, tlsStart: imapconn.TLSStartTLS, tlsNone: imapconn.TLSNone}[o.TLS],
		Mechanism:   string(o.Auth),
		Credentials: s.credentials,
		Logger:      log,
		Timeout:     o.Timeout,
		Traffic:     new(imapconn.Traffic),
		Compression: o.Compress.rule(),
	}
	if o.BWLimit > 0 {
		d.Bandwidth = imapconn.NewBandwidth(int64(o.BWLimit))
	}
	if err := o.setTLS(d); err != nil {
		return nil, nil, err
	}
	t := &tunnel{command: o.Tunnel, dir: o.Dir, log: log}
	if o.Tunnel != "" {
		d.DialContext = t.dial
	}
	return d, t.wait, nil
}
