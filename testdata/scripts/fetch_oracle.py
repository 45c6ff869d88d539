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
import time

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
        if not line:
            continue  # what stood behind a literal
        name = None
        if isinstance(line, tuple):
            line, name = line[0].rsplit(b"{", 1)[0], line[1].decode()
        m = re.match(rb'\((?P<attrs>[^)]*)\) (?:"[^"]*"|NIL) (?P<name>.*)$', line)
        if b"\\noselect" in m["attrs"].lower():
            continue
        if name is None:
            name = m["name"].decode()
            if name.startswith('"'):
                name = name[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        yield name


def messages(c, name):
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    check(c.select(quoted, readonly=True))
    uids = check(c.uid("SEARCH", None, "ALL"))[0].split()
    # RFC 2060 brought BODY.PEEK[]; before, there was this.
    text_item = "RFC822.PEEK" if c.PROTOCOL_VERSION == "IMAP4" else "BODY.PEEK[]"
    for i in range(0, len(uids), BATCH):
        batch = b",".join(uids[i:i + BATCH]).decode()
        items = check(c.uid("FETCH", batch, f"(UID FLAGS INTERNALDATE {text_item})"))
        for i, item in enumerate(items):
            if not isinstance(item, tuple):
                continue
            head, text = item
            if i + 1 < len(items) and isinstance(items[i + 1], bytes):
                head += items[i + 1]  # what stood behind the text
            uid = int(re.search(rb"UID (\d+)", head)[1])
            flags = re.search(rb"FLAGS \(([^)]*)\)", head)[1].decode().split()
            date = unix(re.search(rb'INTERNALDATE "([^"]+)"', head))
            yield uid, date, " ".join(sorted(flags)), len(text), hashlib.sha256(text).hexdigest()


def unix(item):
    old = re.match(rb" ?(\d+)-(\w+)-(\d\d) (\d+:\d+:\d+)-PDT$", item[1])  # RFC 1730's obsolete form
    if old:
        day, month, year, clock = (f.decode() for f in old.groups())
        return calendar.timegm(time.strptime(f"{day} {month} {year} {clock}", "%d %b %y %H:%M:%S")) + 7 * 3600
    return int(time.mktime(imaplib.Internaldate2tuple(item[0])))


def main():
    c = connect()
    for name in sorted(mailboxes(c)):
        for fields in messages(c, name):
            print(name, *fields, sep="\t")
    c.logout()


main()
