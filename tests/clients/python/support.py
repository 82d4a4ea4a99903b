"""What the redis-py suites share: where the server is, and keys of their own for each test."""
import os
import threading
import time
import unittest
import uuid

import redis

HOST = os.environ.get("PANNIER_HOST", "127.0.0.1")
PORT = int(os.environ.get("PANNIER_PORT", "6379"))
RUN = f"{os.environ.get('PANNIER_KEYS', '')}redis-py:{uuid.uuid4().hex[:8]}"


def client(**options):
    options.setdefault("socket_timeout", 20)
    options.setdefault("socket_connect_timeout", 5)
    return redis.Redis(host=HOST, port=PORT, **options)


def wait_until(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def next_message(pubsub, seconds=5):
    """The next message of a pubsub that is no confirmation of a (un)subscription."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        message = pubsub.get_message(timeout=0.2)
        if message and message["type"] in ("message", "pmessage"):
            return message
    raise AssertionError(f"no message within {seconds} s")


class Suite(unittest.TestCase):
    def setUp(self):
        self.prefix = f"{RUN}:{self.id().split('.')[-1]}:"
        self.r = client()
        self.addCleanup(self.r.close)

    def tearDown(self):
        keys = list(self.r.scan_iter(match=self.prefix + "*", count=1000))
        for start in range(0, len(keys), 1000):
            self.r.unlink(*keys[start:start + 1000])

    def key(self, name="k"):
        return self.prefix + name

    def other(self, **options):
        """One more client, with a single connection of its own, closed after the test."""
        one = client(single_connection_client=True, **options)
        self.addCleanup(one.close)
        return one

    def blocked(self):
        """How many clients wait in a blocking command, by the word of the server itself."""
        return self.r.info("clients")["blocked_clients"]

    def wait_until_blocked(self, count=1):
        wait_until(lambda: self.blocked() == count, f"{count} clients block")

    def in_thread(self, call):
        """Runs `call` beside the test; the returned function waits for its result."""
        box = {}

        def run():
            try:
                box["result"] = call()
            except Exception as error:  # handed to the test
                box["error"] = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def result(seconds=10):
            thread.join(seconds)
            self.assertFalse(thread.is_alive(), f"no result within {seconds} s")
            if "error" in box:
                raise box["error"]
            return box["result"]

        return result
