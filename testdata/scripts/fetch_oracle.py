#!/usr/bin/env python3
"""Prints what an IMAP account holds, by Python's imaplib: the judge that is not imapfs.

Environment: IMAP_HOST, IMAP_PORT, IMAP_USER, IMAP_PASSWORD, IMAP_TLS (1: implicit TLS).
One line for each message, fields separated by tabs:

    mailbox (on the wire)  UID  INTERNALDATE (Unix)  flags, sorted, \\Recent too  octets  SHA-256 of BODY[]

EXAMINE and BODY.PEEK[] only: it changes nothing.
"""
import calendar
import hashlib
import imaplib
import os
import re
import sys

imaplib._MAXLINE = 100_000_000
BATCH = 500


def connect():
    make = imaplib.IMAP4_SSL if os.environ.get("IMAP_TLS") == "1" else imaplib.IMAP4
    c = make(os.environ["IMAP_HOST"], int(os.environ["IMAP_PORT"]))
    c.login(os.environ["IMAP_USER"], os.environ["IMAP_PASSWORD"])
    return c


def check(answer):
    status, data = answer
    if status != "OK":
        sys.exit(f"the server says {status} {data}")
    return data


def mailboxes(c):
    for line in check(c.list()):
        if isinstance(line, tuple):
            line = b" ".join(line)
        m = re.match(rb'\((?P<attrs>[^)]*)\) (?:"[^"]*"|NIL) (?P<name>.*)$', line)
        if b"\\noselect" not in m["attrs"].lower():
            name = m["name"].decode()
            yield name[1:-1].replace('\\"', '"').replace("\\\\", "\\") if name.startswith('"') else name


def messages(c, name):
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    check(c.select(quoted, readonly=True))
    uids = check(c.uid("SEARCH", None, "ALL"))[0].split()
    for i in range(0, len(uids), BATCH):
        batch = b",".join(uids[i:i + BATCH]).decode()
        for item in check(c.uid("FETCH", batch, "(UID FLAGS INTERNALDATE BODY.PEEK[])")):
            if not isinstance(item, tuple):
                continue
            head, text = item
            uid = int(re.search(rb"UID (\d+)", head)[1])
            flags = re.search(rb"FLAGS \(([^)]*)\)", head)[1].decode().split()
            date = calendar.timegm(utc(re.search(rb'INTERNALDATE "([^"]+)"', head)[0]))
            yield uid, date, " ".join(sorted(flags)), len(text), hashlib.sha256(text).hexdigest()


def utc(item):
    import time
    return time.gmtime(time.mktime(imaplib.Internaldate2tuple(item)))


def main():
    c = connect()
    for name in sorted(mailboxes(c)):
        for fields in messages(c, name):
            print(name, *fields, sep="\t")
    c.logout()


main()
