"""Data commands through redis-py: values of all types, pipelines, big and binary values."""
import os
import unittest

import redis

from support import Suite, wait_until


class Strings(Suite):
    def test_set_get_and_options(self):
        k = self.key()
        self.assertIsNone(self.r.get(k))
        self.assertTrue(self.r.set(k, "one"))
        self.assertEqual(self.r.get(k), b"one")
        self.assertIsNone(self.r.set(k, "two", nx=True))
        self.assertEqual(self.r.set(k, "three", xx=True, get=True), b"one")
        self.assertEqual(self.r.getset(k, "four"), b"three")
        self.assertEqual(self.r.getdel(k), b"four")
        self.assertEqual(self.r.exists(k), 0)

    def test_numbers(self):
        k = self.key()
        self.assertEqual(self.r.incr(k), 1)
        self.assertEqual(self.r.incrby(k, 41), 42)
        self.assertEqual(self.r.decr(k, 2), 40)
        self.assertAlmostEqual(self.r.incrbyfloat(k, 0.5), 40.5)

    def test_ranges_and_bits(self):
        k = self.key()
        self.r.set(k, "hello")
        self.assertEqual(self.r.append(k, " world"), 11)
        self.assertEqual(self.r.getrange(k, 0, 4), b"hello")
        self.assertEqual(self.r.setrange(k, 6, "there"), 11)
        self.assertEqual(self.r.strlen(k), 11)
        self.assertEqual(self.r.setbit(self.key("bits"), 7, 1), 0)
        self.assertEqual(self.r.bitcount(self.key("bits")), 1)

    def test_many_keys_in_one_command(self):
        pairs = {self.key(str(i)): f"value {i}" for i in range(100)}
        self.assertTrue(self.r.mset(pairs))
        self.assertEqual(self.r.mget(list(pairs) + [self.key("absent")]),
                         [v.encode() for v in pairs.values()] + [None])
        self.assertEqual(self.r.exists(*pairs), 100)
        self.assertEqual(self.r.delete(*pairs), 100)

    def test_every_byte_in_keys_and_values(self):
        every = bytes(range(256))
        k = self.key().encode() + every
        self.assertTrue(self.r.set(k, every * 3 + b"\r\n$5\r\n"))
        self.assertEqual(self.r.get(k), every * 3 + b"\r\n$5\r\n")
        self.assertTrue(self.r.set(self.key("empty"), b""))
        self.assertEqual(self.r.get(self.key("empty")), b"")

    def test_decoded_text(self):
        text = "Größe 鞄 \U0001f6d2"
        decoding = self.other(decode_responses=True)
        decoding.set(self.key(), text)
        self.assertEqual(decoding.get(self.key()), text)

    def test_values_of_5_mib(self):
        value = os.urandom(5 * 1024 * 1024)
        self.assertTrue(self.r.set(self.key(), value))
        self.assertEqual(self.r.get(self.key()), value)
        self.assertEqual(self.r.strlen(self.key()), len(value))
        self.assertEqual(self.r.mget(self.key(), self.key()), [value, value])


class Collections(Suite):
    def test_hashes(self):
        k = self.key()
        self.assertEqual(self.r.hset(k, mapping={"a": 1, "b": "two"}), 2)
        self.assertEqual(self.r.hgetall(k), {b"a": b"1", b"b": b"two"})
        self.assertEqual(self.r.hmget(k, "a", "z"), [b"1", None])
        self.assertEqual(self.r.hincrby(k, "a", 4), 5)
        self.assertEqual((self.r.hlen(k), self.r.hexists(k, "b")), (2, True))
        self.assertEqual(self.r.hdel(k, "a", "b"), 2)
        self.assertEqual(self.r.hgetall(k), {})

    def test_lists(self):
        k = self.key()
        self.assertEqual(self.r.rpush(k, *range(10)), 10)
        self.assertEqual(self.r.lrange(k, 0, -1), [str(i).encode() for i in range(10)])
        self.assertEqual((self.r.lindex(k, 3), self.r.llen(k)), (b"3", 10))
        self.assertEqual(self.r.lpop(k, 2), [b"0", b"1"])
        self.assertEqual(self.r.lmove(k, self.key("to"), "RIGHT", "LEFT"), b"9")
        self.assertTrue(self.r.ltrim(k, 0, 1))
        self.assertEqual(self.r.lrange(k, 0, -1), [b"2", b"3"])

    def test_sets(self):
        a, b = self.key("a"), self.key("b")
        self.assertEqual(self.r.sadd(a, 1, 2, 3), 3)
        self.assertEqual(self.r.sadd(b, 3, 4), 2)
        self.assertEqual(self.r.smembers(a), {b"1", b"2", b"3"})
        self.assertEqual(self.r.sinter(a, b), {b"3"})
        self.assertEqual(self.r.sunionstore(self.key("c"), a, b), 4)
        self.assertTrue(self.r.sismember(a, 2))
        self.assertEqual(self.r.smismember(a, [2, 9]), [1, 0])
        self.assertEqual((self.r.srem(a, 1), self.r.scard(a)), (1, 2))

    def test_sorted_sets(self):
        k = self.key()
        self.assertEqual(self.r.zadd(k, {"a": 1, "b": 2.5, "c": 3}), 3)
        self.assertEqual(self.r.zrange(k, 0, -1, withscores=True),
                         [(b"a", 1.0), (b"b", 2.5), (b"c", 3.0)])
        self.assertEqual(self.r.zscore(k, "b"), 2.5)
        self.assertIsNone(self.r.zscore(k, "z"))
        self.assertEqual(self.r.zincrby(k, 10, "a"), 11.0)
        self.assertEqual(self.r.zrangebyscore(k, 2, 4), [b"b", b"c"])
        self.assertEqual(self.r.zrevrank(k, "a"), 0)
        self.assertEqual(self.r.zpopmin(k), [(b"b", 2.5)])

    def test_geo_and_hyperloglog(self):
        k = self.key()
        self.assertEqual(self.r.geoadd(k, [13.36, 38.11, "Palermo", 15.08, 37.5, "Catania"]), 2)
        self.assertEqual(self.r.geosearch(k, longitude=15, latitude=37, radius=100, unit="km"),
                         [b"Catania"])
        self.assertEqual(self.r.pfadd(self.key("hll"), 1, 2, 3), 1)
        self.assertEqual(self.r.pfcount(self.key("hll")), 3)

    def test_sort_and_dump(self):
        k = self.key()
        self.r.rpush(k, 3, 1, 2)
        self.assertEqual(self.r.sort(k), [b"1", b"2", b"3"])
        self.assertEqual(self.r.sort(k, desc=True, store=self.key("sorted")), 3)
        self.assertEqual(self.r.lrange(self.key("sorted"), 0, -1), [b"3", b"2", b"1"])
        self.r.restore(self.key("copy"), 0, self.r.dump(k))
        self.assertEqual(self.r.lrange(self.key("copy"), 0, -1), [b"3", b"1", b"2"])


class Keys(Suite):
    def test_expiry(self):
        k = self.key()
        self.r.set(k, "v", ex=100)
        self.assertTrue(90 <= self.r.ttl(k) <= 100)
        self.assertTrue(self.r.persist(k))
        self.assertEqual(self.r.ttl(k), -1)
        self.assertTrue(self.r.pexpire(k, 50_000))
        self.assertTrue(40_000 <= self.r.pttl(k) <= 50_000)
        self.assertTrue(self.r.expire(k, -1))
        self.assertIsNone(self.r.get(k))
        self.assertEqual(self.r.ttl(k), -2)

    def test_a_key_is_gone_when_its_time_is_over(self):
        k = self.key()
        self.r.set(k, "v", px=60)
        wait_until(lambda: self.r.get(k) is None, "the key expires", 5)
        self.assertEqual(self.r.exists(k), 0)

    def test_rename_type_copy(self):
        k, to = self.key(), self.key("to")
        self.r.set(k, "v")
        self.assertTrue(self.r.rename(k, to))
        self.assertEqual((self.r.get(k), self.r.get(to)), (None, b"v"))
        self.assertEqual(self.r.type(to), b"string")
        self.assertEqual(self.r.object("encoding", to), b"embstr")
        self.assertTrue(self.r.copy(to, k))
        self.assertEqual((self.r.touch(k, to), self.r.unlink(k, to)), (2, 2))

    def test_scan_finds_every_key_once(self):
        names = {self.key(str(i)).encode() for i in range(2000)}
        pipeline = self.r.pipeline(transaction=False)
        for name in names:
            pipeline.set(name, 1)
        pipeline.execute()
        found = list(self.r.scan_iter(match=self.prefix + "*", count=100))
        self.assertEqual(set(found), names)
        self.r.hset(self.key("h"), mapping={f"f{i}": i for i in range(1000)})
        self.assertEqual(len(dict(self.r.hscan_iter(self.key("h"), count=50))), 1000)
        self.r.sadd(self.key("s"), *range(1000))
        self.assertEqual(len(set(self.r.sscan_iter(self.key("s"), count=50))), 1000)
        self.r.zadd(self.key("z"), {f"m{i}": i for i in range(1000)})
        self.assertEqual(len(dict(self.r.zscan_iter(self.key("z"), count=50))), 1000)


class Pipelines(Suite):
    def test_10000_commands(self):
        pipeline = self.r.pipeline(transaction=False)
        for i in range(5000):
            pipeline.set(self.key(str(i)), f"{i}:" + "x" * (i % 300))
        for i in range(5000):
            pipeline.get(self.key(str(i)))
        replies = pipeline.execute()
        self.assertEqual(replies[:5000], [True] * 5000)
        for i, value in enumerate(replies[5000:]):
            self.assertEqual(value, f"{i}:{'x' * (i % 300)}".encode())

    def test_each_read_sees_the_write_before_it(self):
        pipeline = self.r.pipeline(transaction=False)
        for i in range(1000):
            pipeline.set(self.key(), i).get(self.key()).incr(self.key("n")).get(self.key("n"))
        replies = pipeline.execute()
        for i in range(1000):
            self.assertEqual(replies[4 * i:4 * i + 4],
                             [True, str(i).encode(), i + 1, str(i + 1).encode()])

    def test_an_error_keeps_its_place(self):
        self.r.set(self.key(), "text")
        pipeline = self.r.pipeline(transaction=False)
        pipeline.get(self.key()).incr(self.key()).lpush(self.key(), 1).get(self.key())
        replies = pipeline.execute(raise_on_error=False)
        self.assertEqual((replies[0], replies[3]), (b"text", b"text"))
        self.assertIsInstance(replies[1], redis.ResponseError)
        self.assertTrue(str(replies[2]).startswith("WRONGTYPE"), replies[2])

    def test_large_values_among_small_ones(self):
        big = os.urandom(300 * 1024)
        pipeline = self.r.pipeline(transaction=False)
        for i in range(30):
            pipeline.set(self.key(f"big{i}"), big).set(self.key(f"small{i}"), i)
            pipeline.get(self.key(f"small{i}")).get(self.key(f"big{i}"))
        replies = pipeline.execute()
        for i in range(30):
            self.assertEqual(replies[4 * i + 2], str(i).encode())
            self.assertEqual(replies[4 * i + 3], big)


class Errors(Suite):
    def assert_error(self, text, *command):
        with self.assertRaises(redis.ResponseError) as caught:
            self.r.execute_command(*command)
        self.assertEqual(str(caught.exception), text)

    def test_texts(self):
        self.r.rpush(self.key(), 1)
        self.assert_error("WRONGTYPE Operation against a key holding the wrong kind of value",
                          "GET", self.key())
        self.assert_error("unknown command 'NOSUCH', with args beginning with: 'a' 'b' ",
                          "NOSUCH", "a", "b")
        self.assert_error("wrong number of arguments for 'get' command", "GET")
        self.assert_error("wrong number of arguments for 'client|setname' command",
                          "CLIENT", "SETNAME")
        self.assert_error("syntax error", "SET", self.key("x"), "v", "NONSENSE")
        self.assert_error("value is not an integer or out of range",
                          "EXPIRE", self.key(), "soon")
        self.assertTrue(self.r.ping())

    def test_a_command_on_the_wrong_type_harms_no_other(self):
        self.r.set(self.key("fine"), "v")
        self.r.rpush(self.key(), 1)
        for _ in range(50):
            with self.assertRaises(redis.ResponseError):
                self.r.get(self.key())
            self.assertEqual(self.r.get(self.key("fine")), b"v")


if __name__ == "__main__":
    unittest.main()
