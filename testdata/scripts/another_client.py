#!/usr/bin/env python3
"""Another client of an account, by Python's imaplib: it delivers, flags, expunges, moves,
makes, renames and deletes what the tests then look for.

Environment: IMAP_HOST, IMAP_PORT, IMAP_USER, IMAP_PASSWORD.
Standard input: one request a line, a JSON list: a name and its arguments. Mailbox names
are as on the wire, texts in base64. Standard output: for each "OK", followed by what was asked
for where there is something, or what the server said.
Each request has a session of its own, as when a person comes now and then.
"""
import base64
import imaplib
import json
import os
import re
import sys

imaplib._MAXLINE = 100_000_000


class Refused(Exception):
    pass


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def check(answer):
    status, data = answer
    if status != "OK":
        raise Refused(f"{status} {data}")
    return data


def append(c, mailbox, flags, date, text):
    when = imaplib.Time2Internaldate(date)
    check(c.append(quoted(mailbox), f"({flags})" if flags else None, when, base64.b64decode(text)))


def deliver(c, mailbox, text):
    """append, answered with UIDVALIDITY and UID (RFC 4315)."""
    check(c.append(quoted(mailbox), None, None, base64.b64decode(text)))
    given = c.response("APPENDUID")[1][0]
    return given.decode()


def flags(c, mailbox):
    """The flags of all messages: a JSON object by UID."""
    check(c.select(quoted(mailbox), readonly=True))
    all = {}
    for line in check(c.uid("FETCH", "1:*", "(FLAGS)")):
        found = re.search(rb"UID (\d+)", line or b"")
        if found:
            names = re.search(rb"FLAGS \(([^)]*)\)", line).group(1).decode().split()
            all[found.group(1).decode()] = " ".join(sorted(f for f in names if f != r"\Recent"))
    return json.dumps(all)


def subjects(c, mailbox):
    """The subjects of all messages: a JSON object by UID."""
    check(c.select(quoted(mailbox), readonly=True))
    all = {}
    for part in check(c.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")):
        found = re.search(rb"UID (\d+)", part[0]) if isinstance(part, tuple) else None
        if found:
            all[found.group(1).decode()] = part[1].decode().partition(":")[2].strip()
    return json.dumps(all)


def create(c, mailbox):
    check(c.create(quoted(mailbox)))


def delete(c, mailbox):
    check(c.delete(quoted(mailbox)))


def rename(c, mailbox, to):
    check(c.rename(quoted(mailbox), quoted(to)))


def store(c, mailbox, uid, item, flags):
    check(c.select(quoted(mailbox)))
    check(c.uid("STORE", str(uid), item, f"({flags})"))


def expunge(c, mailbox, uid):
    check(c.select(quoted(mailbox)))
    check(c.uid("STORE", str(uid), "+FLAGS", r"(\Deleted)"))
    check(c.expunge())


def move(c, mailbox, uid, to):
    check(c.select(quoted(mailbox)))
    check(c.uid("COPY", str(uid), quoted(to)))
    check(c.uid("STORE", str(uid), "+FLAGS", r"(\Deleted)"))
    check(c.expunge())


def select(c, mailbox):
    check(c.select(quoted(mailbox)))


REQUESTS = {f.__name__: f for f in (append, deliver, flags, subjects, create, delete, rename, store, expunge, move, select)}


def main():
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        c = imaplib.IMAP4(os.environ["IMAP_HOST"], int(os.environ["IMAP_PORT"]))
        c.login(os.environ["IMAP_USER"], os.environ["IMAP_PASSWORD"])
        try:
            told = REQUESTS[name](c, *arguments)
            print("OK" if told is None else f"OK {told}", flush=True)
        except (Refused, imaplib.IMAP4.error) as e:
            print(" ".join(str(e).split()), flush=True)
        try:
            c.logout()
        except (imaplib.IMAP4.error, OSError):
            pass


main()
