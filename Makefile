# imapfs: make && make install. What each target is for stands beside it (make help).

PREFIX   ?= /usr/local
DESTDIR  ?=
FUZZTIME ?= 10m
SOAK     ?= 10m
BENCH    ?=
PROFILE  ?= .

# More mail for the tests, where it lies beside the clone.
IMAPFS_CORPUS ?= $(abspath $(wildcard ../shared/corpus))
export IMAPFS_CORPUS

.DEFAULT_GOAL := imapfs
.PHONY: check-go imapfs deps demo test race test-servers soak bench profile fuzz lint install uninstall deb test-deb clean help

check-go: # is Go new enough?
	@.ci/check-go

imapfs: check-go # build ./imapfs
	@go build -trimpath -buildvcs=auto -o imapfs ./cmd/imapfs

deps: # install from Debian what the tests need
	@.ci/deps test

demo: imapfs # mount sample mail, show what one can do with it, unmount
	@.ci/deps demo
	@./imapfs demo --tour

test: check-go deps # every test, under six minutes
	@.ci/test

race: check-go deps # every test with the race detector, that of the programs too: ten minutes
	@.ci/test race

test-servers: check-go deps # the read suite on every server; writes the table of the README
	@.ci/deps servers
	go test -timeout 30m ./imapconn ./imapconn/imaptest -run Installed -installed
	go test -timeout 30m ./imapconn -run Installed -installed
	go test -timeout 30m ./cmd/imapfs -run '^TestServers$$' -servers all -servers-table '$(abspath README.md)'

soak: check-go deps # a network that fails for SOAK on Dovecot and Courier, while others change mail, and 200 kills on each of two; SOAK=1h
	@.ci/deps servers
	go test -race -timeout 0 -v ./cmd/imapfs -run '^TestChaos$$' -chaos $(SOAK)
	go test -timeout 0 -v ./cmd/imapfs -run '^Test(Kills|LargeTextOnASlowLine)$$' -kills 400 -large 100

bench: imapfs deps # beside the raw stream, mbsync, a local directory, go-fuse: one table; BENCH='-run grep -pairs 3'
	@.ci/deps bench
	@mkdir -p .cache && go build -C cmd/bench -o ../../.cache/bench .
	@.cache/bench -imapfs ./imapfs $(BENCH)

profile: check-go deps # the Go benchmarks, with allocations; PROFILE=regexp chooses
	go test -run '^$$' -bench '$(PROFILE)' -benchmem ./... ./testdata

fuzz: check-go # fuzz each parser and the session for FUZZTIME (10m, 500000x); count, seed
	@.ci/fuzz $(FUZZTIME)

lint: check-go # gofmt, vet, staticcheck
	@.ci/lint

install: # ./imapfs, its manual, completions and systemd unit into PREFIX (and DESTDIR); does not build: root may have no Go
	@test -x imapfs || { echo "nothing is built yet (make)" >&2; exit 1; }
	install -D -m 755 imapfs '$(DESTDIR)$(PREFIX)/bin/imapfs'
	@./imapfs share '$(PREFIX)' '$(DESTDIR)$(PREFIX)'

uninstall: # what install has put there
	rm -f '$(DESTDIR)$(PREFIX)/bin/imapfs' '$(DESTDIR)$(PREFIX)'/share/man/man1/imapfs.1 '$(DESTDIR)$(PREFIX)'/share/man/man1/imapfs-*.1 \
		'$(DESTDIR)$(PREFIX)/share/bash-completion/completions/imapfs' '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_imapfs' \
		'$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/imapfs.fish' '$(DESTDIR)$(PREFIX)/lib/systemd/user/imapfs@.service'

deb: check-go # imapfs_VERSION_ARCH.deb, with dpkg-deb
	@.ci/deb

test-deb: deb # install it in a fresh Debian (debootstrap, as root), mount the demo there, remove it; and by systemd
	@.ci/deb-test

clean: # what was built
	rm -rf imapfs .cache imapfs_*.deb

help: # this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*# \(.*\)/make \1 - \2/p' Makefile
