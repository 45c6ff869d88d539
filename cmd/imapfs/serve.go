package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"imapfs/cache"
	"imapfs/fs"
)

// endLimit is how long the last users of a mount that was told to end may
// still be answered.
const endLimit = 3 * time.Second

// serve mounts the account, calls ready, and returns when ctx has ended or
// somebody has unmounted. Nothing is mounted then.
func serve(ctx context.Context, account *cache.Account, o *options, log *slog.Logger, ready func() error) error {
	server, err := fs.Mount(account, fs.Options{
		MountPoint: o.MountPoint,
		AllowOther: o.AllowOther,
		UID:        o.UID,
		GID:        o.GID,
		Umask:      os.FileMode(o.Umask),
		Suffix:     o.Suffix,
		FSName:     "imapfs#" + o.name(),
		Timeout:    o.Timeout,
		Logger:     log,
	})
	if err != nil {
		return fmt.Errorf("%w (see whether other FUSE programs can mount there)", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }() // ends when nothing is mounted, or with the process

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
	log.Info("unmounted", "account", o.name(), "at", o.MountPoint)
	return errors.Join(readyErr, err)
}
