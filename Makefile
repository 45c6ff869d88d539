# imapfs: make && make install. What each target is for stands beside it (make help).

PREFIX   ?= /usr/local
DESTDIR  ?=
FUZZTIME ?= 10m
BENCH    ?= .

.DEFAULT_GOAL := imapfs
.PHONY: check-go imapfs demo test bench fuzz lint install uninstall clean help

check-go: # is Go new enough?
	@.ci/check-go

imapfs: check-go # build ./imapfs
	@go build -trimpath -o imapfs ./cmd/imapfs

demo: imapfs # mount sample mail, show what one can do with it, unmount
	@.ci/deps demo
	@./imapfs demo --tour

test: check-go # every test, under six minutes
	@.ci/deps test
	@.ci/test

bench: check-go # the Go benchmarks; BENCH=regexp chooses
	@.ci/deps test
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./... ./testdata

fuzz: check-go # fuzz each parser for FUZZTIME
	@.ci/fuzz $(FUZZTIME)

lint: check-go # gofmt, vet, staticcheck
	@.ci/lint

install: # ./imapfs into PREFIX (and DESTDIR); does not build: root may have no Go
	@test -x imapfs || { echo "nothing is built yet (make)" >&2; exit 1; }
	install -D -m 755 imapfs '$(DESTDIR)$(PREFIX)/bin/imapfs'

uninstall: # what install has put there
	rm -f '$(DESTDIR)$(PREFIX)/bin/imapfs'

clean: # what was built
	rm -rf imapfs .cache

help: # this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*# \(.*\)/make \1 - \2/p' Makefile
