package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"imapfs/cache"
	"imapfs/fs"
)

// endLimit is how long the last users of a mount that was told to end may
// still be answered.
const endLimit = 3 * time.Second

// serve mounts the account, calls ready, and returns when ctx has ended or
// somebody has unmounted. Nothing is mounted then. A hangup has it look at everything
// anew.
func serve(ctx context.Context, account *cache.Account, o *options, s *secrets, log *slog.Logger, metrics *metricsServer, hangups <-chan os.Signal, ready func() error) error {
	server, err := fs.Mount(account, fs.Options{
		MountPoint: o.MountPoint,
		AllowOther: o.AllowOther,
		UID:        o.UID,
		GID:        o.GID,
		Umask:      os.FileMode(o.Umask),
		Suffix:     o.Suffix,
		FSName:     "imapfs#" + o.name(),
		Timeout:    o.Timeout,
		Writable:   !o.ReadOnly,
		Logger:     log,
	})
	if err != nil {
		return fmt.Errorf("%w (see whether other FUSE programs can mount there)", err)
	}
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	anew := func(ctx context.Context) error { return refresh(ctx, account, server) }
	group.Go(func() { refreshOnHangup(ctx, hangups, log, anew) })
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }() // ends when nothing is mounted, or with the process

	status := func() report { return newReport(o, account, server, metrics, s) }
	metrics.serve(status, log)
	group.Go(func() {
		<-ctx.Done()
		metrics.close()
	})
	control, controlErr := newControl(subject{
		mountPoint: o.MountPoint,
		device:     server.Device(),
		status:     status,
		refresh:    anew,
		mail:       &mail{account, server, o, s},
		mounted:    server.Mounted,
	}, log)
	if controlErr != nil {
		log.Warn("no control socket: imapfs status and refresh will not find this mount (set $XDG_RUNTIME_DIR to a directory of your own)", "err", controlErr)
	} else {
		group.Go(func() {
			<-ctx.Done()
			control.close()
		})
	}

	readyErr := ready()
	if readyErr != nil {
		readyErr = errors.New("whoever started this did not wait for it (start it again)")
		cancel()
	} else {
		log.Info("mounted", "account", o.name(), "at", o.MountPoint, "version", version())
	}
	select {
	case err = <-served:
	case <-ctx.Done():
		// Serve unmounts, but ends only with the last open file.
		select {
		case err = <-served:
		case <-time.After(endLimit):
			log.Info("still in use: programs that have files of it open get errors from now on", "at", o.MountPoint)
		}
	}
	flushAtEnd(account, o, log)
	log.Info("unmounted", "account", o.name(), "at", o.MountPoint)
	return errors.Join(readyErr, err)
}
