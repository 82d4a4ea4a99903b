#!/usr/bin/env python3
"""Sends the same bytes to a redis-server and to Pannier and compares the bytes that come back.

    compat.py REFERENCE SUBJECT [--only TEXT] [--verbose]      (each HOST:PORT)

The cases are in compat_cases.py. Both servers must be empty and of the same version. What may differ
is masked there, by name; nothing else may.
"""
import argparse
import socket
import sys
import uuid

from compat_cases import CASES, MASKS

TIMEOUT = 5.0
TOKEN = b"end-of-case-" + uuid.uuid4().hex[:8].encode()
# Answered in every state but MULTI and REPLY OFF, which a case must leave before it ends. RESP2
# subscribers get it as an array: the same bytes are the last ones in either form.
SENTINEL_REPLY = b"$%d\r\n%s\r\n" % (len(TOKEN), TOKEN)
SENTINEL = b"*2\r\n$4\r\nPING\r\n" + SENTINEL_REPLY


class Wire:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed by the other side: the read tells

    def read(self, until=None):
        """Everything up to the end of the connection, or to `until`; what ended it is appended."""
        data = b""
        try:
            while until is None or not data.endswith(until):
                piece = self.socket.recv(65536)
                if not piece:
                    return data + b"<closed>"
                data += piece
        except ConnectionResetError:
            return data + b"<closed>"
        except socket.timeout:
            return data + b"<nothing more>"
        return data

    def close(self):
        self.socket.close()


def run_case(case, address):
    """The reply bytes of one case: a list, one entry for each part that was read."""
    wires = {}
    replies = []

    def sync(wire):
        wire.send(SENTINEL)
        replies.append(wire.read(SENTINEL_REPLY))

    try:
        for step in case.steps:
            wire = wires.get(step.on)
            if wire is None:
                wire = wires[step.on] = Wire(address)
            pieces = [step.data] if not step.bytewise else [
                step.data[i:i + 1] for i in range(len(step.data))]
            for piece in pieces:
                wire.send(piece)
            if step.then == "sync":
                sync(wire)
            elif step.then == "close":
                replies.append(wire.read())
            elif step.then:  # read up to these bytes
                replies.append(wire.read(step.then))
    finally:
        for wire in wires.values():
            wire.close()
    return [mask(case, reply) for reply in replies]


def mask(case, reply):
    for name in case.masks:
        pattern, replacement = MASKS[name]
        reply = pattern.sub(replacement, reply)
    return reply.replace(SENTINEL_REPLY, b"<end>")


def differs(case, expected, actual):
    return expected != actual and (case.instead is None or actual[0] != case.instead)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference")
    parser.add_argument("subject")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="print the replies of all cases")
    options = parser.parse_args()

    cases = [case for case in CASES if options.only in case.name]
    failed = 0
    for case in cases:
        expected = run_case(case, options.reference)
        actual = run_case(case, options.subject)
        bad = differs(case, expected, actual)
        # A case whose reference does not behave proves nothing.
        broken = any(b"<nothing more>" in part for part in expected)
        if bad or broken or options.verbose:
            print(f"{'FAILED' if bad or broken else 'ok'}: {case.name}")
            for number, (one, other) in enumerate(zip(expected, actual)):
                print(f"  part {number}, redis:   {one!r:.2000}")
                if one != other:
                    print(f"  part {number}, subject: {other!r:.2000}")
        failed += bad or broken
    print(f"compat: {len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
