package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"imapfs/cache"
)

const spoolSuffix = ".spool"

// spoolDir is where the texts lie that the server does not have yet: a directory for each
// account beside the logs.
func spoolDir(o *options) (string, error) {
	if o.State != "" {
		return o.State, nil
	}
	dir, err := stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, spoolName(o)), nil
}

// spoolName is the name of an account's spool. What is reached at another port than usual
// may be another account, by a tunnel: no text may reach the wrong one.
func spoolName(o *options) string {
	account := o.name()
	if p := o.Account.Port; p != 143 && p != 993 {
		account += ":" + strconv.Itoa(p)
	}
	return strings.TrimSuffix(logName(account), ".log") + spoolSuffix
}

// orphaned is what lies in the spools of this user and no daemon has: a report for each
// account.
func orphaned() ([]pendingReport, error) {
	dir, err := stateDir()
	if err != nil {
		return nil, nil // no daemon of this environment has left anything
	}
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w (see its rights)", err)
	}
	var all []pendingReport
	for _, e := range names {
		path := filepath.Join(dir, e.Name())
		account, isSpool := strings.CutSuffix(e.Name(), spoolSuffix)
		if !isSpool || !e.IsDir() {
			continue
		}
		texts, err := cache.Orphans(path)
		if err != nil {
			return nil, err
		}
		if plain, err := unescape(account); err == nil {
			account = plain
		}
		if len(texts) > 0 {
			all = append(all, pendingReport{Account: account, Spool: path, Pending: texts})
		}
	}
	return all, nil
}
