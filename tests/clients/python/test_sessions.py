"""State of connections through redis-py: transactions, blocking, pub/sub, scripts, streams."""
import threading
import time
import unittest

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from support import HOST, PORT, Suite, client, next_message


class Handshake(Suite):
    def test_names_and_ids(self):
        one = self.other(client_name="basket")
        self.assertEqual(one.client_getname(), "basket")
        self.assertTrue(one.client_setname("till"))
        self.assertEqual(one.client_getname(), "till")
        info = one.client_info()
        self.assertEqual((info["name"], info["db"]), ("till", 0))
        self.assertEqual(int(info["id"]), one.client_id())
        self.assertNotEqual(one.client_id(), self.other().client_id())
        self.assertIn("till", [row["name"] for row in self.r.client_list()])

    def test_other_databases(self):
        in_5 = self.other(db=5)
        self.addCleanup(in_5.delete, self.key())
        in_5.set(self.key(), "five")
        self.assertIsNone(self.r.get(self.key()))
        self.assertEqual(in_5.get(self.key()), b"five")
        one = self.other()
        one.set(self.key("zero"), 0)
        self.assertEqual(one.execute_command("SELECT", 5), True)
        self.assertEqual(one.get(self.key()), b"five")
        self.assertIsNone(one.get(self.key("zero")))
        with self.assertRaisesRegex(redis.ResponseError, "DB index is out of range"):
            one.execute_command("SELECT", 99)
        self.assertEqual(one.get(self.key()), b"five")
        with self.assertRaises(redis.ResponseError):
            self.other(db=99)

    def test_info_ping_echo(self):
        info = self.r.info()
        self.assertIn("redis_version", info)
        self.assertEqual(info["role"], "master")
        self.assertTrue(self.r.ping())
        self.assertEqual(self.r.echo("bag"), b"bag")
        self.assertGreater(self.r.time()[0], 1_600_000_000)
        self.assertEqual(self.r.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])

    def test_health_checks(self):
        one = self.other(health_check_interval=1)
        one.set(self.key(), 1)
        time.sleep(1.1)  # the client pings before its next command
        self.assertEqual(one.get(self.key()), b"1")


class Reconnects(Suite):
    def test_after_client_kill(self):
        one = self.other(retry_on_error=[redis.ConnectionError],
                         retry=Retry(ConstantBackoff(0.01), 5))
        one.set(self.key(), "v")
        first = one.client_id()
        self.assertEqual(self.r.client_kill_filter(_id=first), 1)
        self.assertEqual(one.get(self.key()), b"v")
        self.assertNotEqual(one.client_id(), first)
        with self.assertRaisesRegex(redis.ResponseError, "No such client"):
            self.r.client_kill("1.2.3.4:5")

    def test_after_quit(self):
        one = self.other(retry_on_error=[redis.ConnectionError],
                         retry=Retry(ConstantBackoff(0.01), 5))
        self.assertTrue(one.execute_command("QUIT"))
        one.set(self.key(), "v")
        self.assertEqual(one.get(self.key()), b"v")


class Transactions(Suite):
    def test_exec_and_discard(self):
        with self.r.pipeline() as t:
            replies = t.set(self.key(), 1).incr(self.key()).get(self.key()).execute()
        self.assertEqual(replies, [True, 2, b"2"])
        one = self.other()
        one.execute_command("MULTI")
        self.assertEqual(one.execute_command("GET", self.key()), b"QUEUED")
        self.assertEqual(one.execute_command("DISCARD"), b"OK")
        self.assertEqual(one.get(self.key()), b"2")

    def test_errors_inside(self):
        self.r.set(self.key(), "text")
        with self.r.pipeline() as t:
            replies = t.incr(self.key()).get(self.key()).execute(raise_on_error=False)
        self.assertIsInstance(replies[0], redis.ResponseError)
        self.assertEqual(replies[1], b"text")
        with self.r.pipeline() as t, self.assertRaises(redis.ResponseError):
            t.set(self.key(), 2).execute_command("NOSUCH").execute()
        self.assertEqual(self.r.get(self.key()), b"text")

    def test_watch_sees_a_change_by_another(self):
        self.r.set(self.key(), 1)
        with self.r.pipeline() as t:
            t.watch(self.key())
            self.assertEqual(t.get(self.key()), b"1")
            self.r.set(self.key(), 100)
            t.multi()
            t.set(self.key(), 2)
            with self.assertRaises(redis.WatchError):
                t.execute()
        self.assertEqual(self.r.get(self.key()), b"100")

    def test_watch_without_conflict(self):
        self.r.set(self.key(), 1)
        with self.r.pipeline() as t:
            t.watch(self.key())
            t.multi()
            t.set(self.key(), 2)
            self.assertEqual(t.execute(), [True])
            t.watch(self.key())
            self.r.set(self.key(), 7)
            t.unwatch()
            t.multi()
            t.get(self.key())
            self.assertEqual(t.execute(), [b"7"])

    def test_counting_with_watch_from_many_threads(self):
        self.r.set(self.key(), 0)

        def count():
            for _ in range(20):
                self.r.transaction(
                    lambda t: (t.get(self.key()), t.multi(), t.incr(self.key())), self.key())

        waits = [self.in_thread(count) for _ in range(8)]
        for wait in waits:
            wait(30)
        self.assertEqual(self.r.get(self.key()), b"160")

    def test_1000_commands_in_one_transaction(self):
        with self.r.pipeline() as t:
            for i in range(1000):
                t.rpush(self.key(), i)
            self.assertEqual(t.execute(), list(range(1, 1001)))


class Blocking(Suite):
    def test_a_push_wakes_a_pop(self):
        one = self.other()
        result = self.in_thread(lambda: one.blpop([self.key("a"), self.key("b")], 10))
        self.wait_until_blocked()
        self.r.rpush(self.key("b"), "job")
        self.assertEqual(result(), (self.key("b").encode(), b"job"))
        self.assertTrue(one.set(self.key(), "and on it goes"))

    def test_nothing_comes(self):
        begin = time.monotonic()
        self.assertIsNone(self.r.blpop(self.key(), 0.2))
        self.assertIsNone(self.r.brpoplpush(self.key(), self.key("to"), 1))
        self.assertIsNone(self.r.bzpopmin(self.key(), 0.1))
        self.assertTrue(1.2 <= time.monotonic() - begin < 6)
        self.assertTrue(self.r.ping())

    def test_what_is_there_comes_at_once(self):
        self.r.rpush(self.key(), 1, 2)
        self.assertEqual(self.r.brpop(self.key(), 5), (self.key().encode(), b"2"))
        self.assertEqual(self.r.blmove(self.key(), self.key("to"), 5), b"1")
        self.r.zadd(self.key("z"), {"m": 1})
        self.assertEqual(self.r.bzpopmax(self.key("z"), 5), (self.key("z").encode(), b"m", 1.0))

    def test_a_client_that_left_takes_nothing(self):
        one = client(single_connection_client=True)
        one.connection.send_command("BLPOP", self.key(), 0)
        self.wait_until_blocked()
        one.connection.disconnect()
        self.wait_until_blocked(0)
        self.r.rpush(self.key(), "job")
        self.assertEqual(self.r.lpop(self.key()), b"job")

    def test_unblock(self):
        one = self.other()
        one_id = one.client_id()
        result = self.in_thread(lambda: one.blpop(self.key(), 10))
        self.wait_until_blocked()
        self.assertTrue(self.r.client_unblock(one_id))
        self.assertIsNone(result())

    def test_wait_for_replicas(self):
        self.r.set(self.key(), "v")
        self.assertGreaterEqual(self.r.wait(1, 2000), 1)
        self.assertTrue(self.r.ping())


class PubSub(Suite):
    def subscriber(self):
        one = client()
        self.addCleanup(one.close)
        pubsub = one.pubsub()
        self.addCleanup(pubsub.close)
        return pubsub

    def test_channels_and_patterns(self):
        pubsub = self.subscriber()
        pubsub.subscribe(self.key("a"), self.key("b"))
        pubsub.psubscribe(self.prefix + "p?")
        counts = [pubsub.get_message(timeout=5)["data"] for _ in range(3)]
        self.assertEqual(counts, [1, 2, 3])
        self.assertEqual(self.r.publish(self.key("a"), b"\x00\r\n"), 1)
        message = next_message(pubsub)
        self.assertEqual((message["channel"], message["data"]),
                         (self.key("a").encode(), b"\x00\r\n"))
        self.assertEqual(self.r.publish(self.key("p1"), "by pattern"), 1)
        message = next_message(pubsub)
        self.assertEqual((message["type"], message["pattern"]),
                         ("pmessage", (self.prefix + "p?").encode()))
        self.assertEqual(self.r.publish(self.key("nobody"), "x"), 0)
        self.assertEqual(self.r.pubsub_numsub(self.key("a")), [(self.key("a").encode(), 1)])

    def test_unsubscribed_is_unsubscribed(self):
        pubsub = self.subscriber()
        pubsub.subscribe(self.key("a"), self.key("b"))
        pubsub.unsubscribe(self.key("a"))
        self.assertEqual([pubsub.get_message(timeout=5)["type"] for _ in range(3)],
                         ["subscribe", "subscribe", "unsubscribe"])
        self.assertEqual(self.r.publish(self.key("a"), 1), 0)
        self.assertEqual(self.r.publish(self.key("b"), 2), 1)
        self.assertEqual(next_message(pubsub)["data"], b"2")
        pubsub.unsubscribe()
        self.assertEqual(pubsub.get_message(timeout=5)["type"], "unsubscribe")
        # The same connection takes ordinary commands again.
        pubsub.connection.send_command("SET", self.key(), "v")
        self.assertEqual(pubsub.connection.read_response(), b"OK")
        pubsub.connection.send_command("GET", self.key())
        self.assertEqual(pubsub.connection.read_response(), b"v")

    def test_many_messages_stay_in_order(self):
        pubsub = self.subscriber()
        pubsub.subscribe(self.key())
        self.assertEqual(pubsub.get_message(timeout=5)["type"], "subscribe")
        pipeline = self.r.pipeline(transaction=False)
        for i in range(5000):
            pipeline.publish(self.key(), i)
        self.assertEqual(pipeline.execute(), [1] * 5000)
        self.assertEqual([int(next_message(pubsub)["data"]) for _ in range(5000)],
                         list(range(5000)))


class Scripts(Suite):
    SOURCE = "return redis.call('INCRBY', KEYS[1], ARGV[1])"

    def test_eval_and_evalsha(self):
        self.assertEqual(self.r.eval(self.SOURCE, 1, self.key(), 5), 5)
        sha = self.r.script_load(self.SOURCE)
        self.assertEqual(self.r.script_exists(sha, "f" * 40), [True, False])
        self.assertEqual(self.r.evalsha(sha, 1, self.key(), 2), 7)
        self.assertEqual(self.r.get(self.key()), b"7")
        with self.assertRaises(redis.exceptions.NoScriptError):
            self.r.evalsha("f" * 40, 0)

    def test_registered_scripts_load_themselves(self):
        source = self.SOURCE + " -- " + self.prefix
        script = self.r.register_script(source)
        self.assertEqual(script(keys=[self.key()], args=[1]), 1)
        with self.r.pipeline() as t:
            script(keys=[self.key()], args=[1], client=t)
            t.get(self.key())
            self.assertEqual(t.execute(), [2, b"2"])

    def test_replies_of_scripts(self):
        self.assertEqual(self.r.eval("return {1, 'two', {3, false}, redis.status_reply('S')}", 0),
                         [1, b"two", [3, None], b"S"])
        with self.assertRaisesRegex(redis.ResponseError, "^MINE no$"):
            self.r.eval("return redis.error_reply('MINE no')", 0)


class Streams(Suite):
    def test_add_and_range(self):
        ids = [self.r.xadd(self.key(), {"n": i}) for i in range(10)]
        self.assertEqual([entry for entry, _ in self.r.xrange(self.key())], ids)
        self.assertEqual(self.r.xlen(self.key()), 10)
        self.assertEqual(self.r.xread({self.key(): ids[7]}),
                         [[self.key().encode(), [(ids[8], {b"n": b"8"}), (ids[9], {b"n": b"9"})]]])
        self.assertEqual(self.r.xtrim(self.key(), maxlen=3, approximate=False), 7)

    def test_an_entry_wakes_a_reader(self):
        one = self.other()
        result = self.in_thread(lambda: one.xread({self.key(): "$"}, block=10_000))
        self.wait_until_blocked()
        entry = self.r.xadd(self.key(), {"a": "b"})
        self.assertEqual(result(), [[self.key().encode(), [(entry, {b"a": b"b"})]]])
        self.assertEqual(one.xread({self.key(): "$"}, block=100), [])

    def test_consumer_groups(self):
        k = self.key()
        self.assertTrue(self.r.xgroup_create(k, "g", mkstream=True))
        with self.assertRaisesRegex(redis.ResponseError, "BUSYGROUP"):
            self.r.xgroup_create(k, "g")
        one = self.other()
        result = self.in_thread(
            lambda: one.xreadgroup("g", "c1", {k: ">"}, count=1, block=10_000))
        self.wait_until_blocked()
        entry = self.r.xadd(k, {"n": 1})
        self.assertEqual(result()[0][1], [(entry, {b"n": b"1"})])
        self.assertEqual(self.r.xpending(k, "g")["pending"], 1)
        self.assertEqual(self.r.xclaim(k, "g", "c2", 0, [entry]), [(entry, {b"n": b"1"})])
        self.assertEqual(self.r.xack(k, "g", entry), 1)
        self.assertEqual(self.r.xinfo_groups(k)[0]["pending"], 0)


class Concurrency(Suite):
    def test_200_connections_keep_their_replies(self):
        # Each value holds its key: a reply that went to another request shows at once.
        failures = []
        barrier = threading.Barrier(200)

        def work(number):
            try:
                one = redis.Connection(host=HOST, port=PORT, socket_timeout=30)
                one.connect()
                barrier.wait(30)
                for turn in range(5):
                    keys = [self.key(f"{number}:{turn}:{i}") for i in range(10)]
                    one.send_packed_command(one.pack_commands(
                        [("SET", k, f"{k}={'v' * (i * 30)}") for i, k in enumerate(keys)]
                        + [("GET", k) for k in keys]))
                    replies = [one.read_response() for _ in range(20)]
                    wanted = [b"OK"] * 10 + [f"{k}={'v' * (i * 30)}".encode()
                                             for i, k in enumerate(keys)]
                    if replies != wanted:
                        failures.append((number, replies))
                one.disconnect()
            except Exception as error:  # told below
                failures.append((number, repr(error)))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertFalse(failures, failures[:3])

    def test_a_write_is_seen_by_the_next_read_of_anybody(self):
        readers = [self.other() for _ in range(10)]
        for i in range(200):
            self.r.set(self.key(), i)
            for reader in readers:
                self.assertEqual(reader.get(self.key()), str(i).encode())


if __name__ == "__main__":
    unittest.main()
