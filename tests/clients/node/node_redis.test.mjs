// node-redis v5 against the server, everything in RESP2 and in RESP3.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it as test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, defineScript, ErrorReply, RESP_TYPES, WatchError } from 'redis';
import { blockedClients, host, inbox, port, prefixFor, waitUntil } from './support.mjs';

const it = (name, body) => test(name, { timeout: 30_000 }, body);

for (const RESP of [2, 3]) {
  describe(`node-redis, RESP${RESP}`, () => {
    const prefix = prefixFor(`node-redis-${RESP}`);
    const key = (name = 'k') => `${prefix}${name}`;
    const opened = [];
    let r;

    async function connect(options = {}) {
      const { socket, ...others } = options;
      const client = createClient({ RESP, unstableResp3: true, socket: { host, port, ...socket }, ...others });
      client.on('error', () => {}); // what matters reaches the test as a rejected command
      opened.push(client);
      return client.connect();
    }

    const whenBlocked = (count = 1) => waitUntil(
      async () => blockedClients(await r.info('clients')) === count, `${count} clients block`);

    before(async () => {
      r = await connect();
    });

    after(async () => {
      for await (const keys of r.scanIterator({ MATCH: `${prefix}*`, COUNT: 1000 })) {
        if (keys.length) await r.unlink(keys);
      }
      for (const client of opened) if (client.isOpen) client.destroy();
    });

    it('shakes hands', async () => {
      const one = await connect({ name: 'basket', database: 3 });
      assert.equal(await one.clientGetName(), 'basket');
      await one.clientSetName('till');
      const info = await one.clientInfo();
      assert.equal(info.name, 'till');
      assert.equal(info.db, 3);
      assert.equal(info.id, await one.clientId());
      assert.equal(info.resp, RESP);
      const hello = await one.hello(RESP);
      assert.equal(hello.server, 'redis');
      assert.equal(hello.proto, RESP);
      assert.equal(hello.id, info.id);
      assert.equal(hello.role, 'master');
      assert.match(await r.info(), /redis_version:/);
      assert.equal(await r.ping(), 'PONG');
      assert.equal(await r.echo('bag'), 'bag');
    });

    it('keeps databases apart', async () => {
      const one = await connect({ database: 5 });
      await one.set(key('db'), 'five');
      assert.equal(await r.get(key('db')), null);
      await one.select(0);
      assert.equal(await one.get(key('db')), null);
      await one.select(5);
      assert.equal(await one.get(key('db')), 'five');
      await assert.rejects(one.select(99), /DB index is out of range/);
      assert.equal(await one.del(key('db')), 1);
    });

    it('strings', async () => {
      assert.equal(await r.set(key(), 'one'), 'OK');
      assert.equal(await r.set(key(), 'two', { NX: true }), null);
      assert.equal(await r.set(key(), 'two', { GET: true, EX: 100 }), 'one');
      assert.ok((await r.ttl(key())) > 90);
      assert.equal(await r.getDel(key()), 'two');
      assert.equal(await r.get(key()), null);
      assert.equal(await r.incrBy(key('n'), 5), 5);
      assert.equal(await r.incrByFloat(key('n'), 0.5), '5.5');
      await r.mSet({ [key('a')]: '1', [key('b')]: '2' });
      assert.deepEqual(await r.mGet([key('a'), key('none'), key('b')]), ['1', null, '2']);
      assert.equal(await r.exists([key('a'), key('b'), key('none')]), 2);
    });

    it('hashes', async () => {
      assert.equal(await r.hSet(key('h'), { a: '1', b: 'two' }), 2);
      assert.deepEqual({ ...(await r.hGetAll(key('h'))) }, { a: '1', b: 'two' });
      assert.deepEqual(await r.hmGet(key('h'), ['b', 'z']), ['two', null]);
      assert.equal(await r.hExists(key('h'), 'a'), 1);
      assert.deepEqual({ ...(await r.hGetAll(key('none'))) }, {});
    });

    it('lists, sets and sorted sets', async () => {
      assert.equal(await r.rPush(key('l'), ['1', '2', '3']), 3);
      assert.deepEqual(await r.lRange(key('l'), 0, -1), ['1', '2', '3']);
      assert.equal(await r.lPop(key('l')), '1');
      await r.sAdd(key('s'), ['x', 'y']);
      assert.deepEqual((await r.sMembers(key('s'))).sort(), ['x', 'y']);
      assert.equal(await r.sIsMember(key('s'), 'x'), 1);
      await r.zAdd(key('z'), [{ score: 1.5, value: 'a' }, { score: 2, value: 'b' }]);
      assert.deepEqual(await r.zRangeWithScores(key('z'), 0, -1),
        [{ value: 'a', score: 1.5 }, { value: 'b', score: 2 }]);
      assert.equal(await r.zScore(key('z'), 'a'), 1.5);
      assert.equal(await r.zScore(key('z'), 'none'), null);
      assert.equal(await r.zIncrBy(key('z'), 1, 'a'), 2.5);
    });

    it('binary values and values of 5 MiB', async () => {
      const buffers = r.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      await r.set(key('bin'), every);
      assert.deepEqual(await buffers.get(key('bin')), every);
      const large = randomBytes(5 * 1024 * 1024);
      await r.set(key('large'), large);
      assert.equal(Buffer.compare(await buffers.get(key('large')), large), 0);
    });

    it('10,000 commands at once', async () => {
      const writes = [];
      const reads = [];
      for (let i = 0; i < 5000; i++) {
        writes.push(r.set(key(`p${i}`), `p${i}:${'x'.repeat(i % 300)}`));
        reads.push(r.get(key(`p${i}`)));
      }
      assert.ok((await Promise.all(writes)).every((reply) => reply === 'OK'));
      (await Promise.all(reads)).forEach((value, i) => {
        assert.equal(value, `p${i}:${'x'.repeat(i % 300)}`);
      });
    });

    it('MULTI, EXEC and DISCARD', async () => {
      assert.deepEqual(await r.multi().set(key('t'), '1').incr(key('t')).get(key('t')).exec(),
        ['OK', 2, '2']);
      const one = await connect();
      await one.sendCommand(['MULTI']);
      assert.equal(await one.sendCommand(['SET', key('t'), '9']), 'QUEUED');
      assert.equal(await one.sendCommand(['DISCARD']), 'OK');
      assert.equal(await one.get(key('t')), '2');
      await one.sendCommand(['MULTI']);
      await assert.rejects(one.sendCommand(['NOSUCH']), /unknown command 'NOSUCH'/);
      await assert.rejects(one.sendCommand(['EXEC']), /EXECABORT/);
      const replies = await r.multi().hSet(key('t'), 'a', 'b').get(key('t')).exec()
        .catch((error) => error.replies);
      assert.match(replies[0].message, /^WRONGTYPE/);
      assert.equal(replies[1], '2');
    });

    it('WATCH sees a change by another client', async () => {
      const one = await connect();
      await one.set(key('w'), '1');
      await one.watch(key('w'));
      await r.set(key('w'), '2');
      await assert.rejects(one.multi().set(key('w'), '3').exec(), WatchError);
      assert.equal(await r.get(key('w')), '2');
      await one.watch(key('w'));
      assert.deepEqual(await one.multi().set(key('w'), '4').exec(), ['OK']);
      await one.watch(key('w'));
      await one.unwatch();
      await r.set(key('w'), '5');
      assert.deepEqual(await one.multi().get(key('w')).exec(), ['5']);
    });

    it('pub/sub, then commands again', async () => {
      const one = await connect();
      const box = inbox();
      await one.subscribe([key('c1'), key('c2')], box.push);
      await one.pSubscribe(`${prefix}p?`, box.push);
      if (RESP === 3) {
        assert.equal(await one.set(key(), 'while subscribed'), 'OK');
        assert.equal(await one.get(key()), 'while subscribed');
      }
      assert.equal(await r.publish(key('c1'), 'a'), 1);
      assert.equal(await r.publish(key('p1'), 'b'), 1);
      await box.holds(2);
      assert.deepEqual(box.messages, [['a', key('c1')], ['b', key('p1')]]);
      await one.unsubscribe(key('c1'));
      assert.equal(await r.publish(key('c1'), 'lost'), 0);
      // While it has subscriptions of the other kind, this library never ends an UNSUBSCRIBE
      // without names.
      await one.unsubscribe(key('c2'));
      await one.pUnsubscribe();
      assert.equal(await r.publish(key('c2'), 'lost'), 0);
      // In RESP2 it may still hand out buffers here, as it does while subscribed.
      assert.equal(String(await one.set(key(), 'after')), 'OK');
      assert.equal(String(await one.get(key())), 'after');
      assert.equal(box.messages.length, 2);
    });

    it('thousands of messages stay in order', async () => {
      const one = await connect();
      const box = inbox();
      await one.subscribe(key('many'), (message) => box.push(Number(message)));
      await Promise.all(Array.from({ length: 5000 }, (_, i) => r.publish(key('many'), `${i}`)));
      await box.holds(5000);
      assert.deepEqual(box.messages, Array.from({ length: 5000 }, (_, i) => i));
    });

    it('blocking pops', async () => {
      const one = await connect();
      const popped = one.blPop([key('q1'), key('q2')], 10);
      await whenBlocked();
      await r.rPush(key('q2'), 'job');
      assert.deepEqual({ ...(await popped) }, { key: key('q2'), element: 'job' });
      assert.equal(await one.blPop(key('q1'), 0.1), null);
      assert.equal(await one.bzPopMin(key('qz'), 0.1), null);
      assert.equal(await one.get(key('q1')), null);
    });

    it('scripts', async () => {
      const source = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
      const call = { keys: [key('lua')], arguments: ['5'] };
      assert.equal(await r.eval(source, call), 5);
      const sha = await r.scriptLoad(source);
      assert.equal(await r.evalSha(sha, call), 10);
      assert.deepEqual(await r.scriptExists([sha, 'f'.repeat(40)]), [1, 0]);
      await assert.rejects(r.evalSha('f'.repeat(40), call), /NOSCRIPT/);
      // A script that the server does not know yet: EVALSHA, NOSCRIPT, EVAL.
      const fresh = await connect({
        scripts: {
          addTo: defineScript({
            SCRIPT: `${source} -- ${prefix}`,
            NUMBER_OF_KEYS: 1,
            parseCommand: (parser, name, by) => {
              parser.pushKey(name);
              parser.push(by);
            },
            transformReply: undefined,
          }),
        },
      });
      assert.equal(await fresh.addTo(key('lua'), '1'), 11);
      assert.equal(await fresh.addTo(key('lua'), '1'), 12);
    });

    it('streams', async () => {
      const one = await connect();
      const waiting = one.xRead({ key: key('x'), id: '$' }, { BLOCK: 10_000 });
      await whenBlocked();
      const id = await r.xAdd(key('x'), '*', { a: 'b' });
      const [stream] = RESP === 2 ? await waiting : Object.values(await waiting);
      const entries = RESP === 2 ? stream.messages : stream;
      if (RESP === 2) {
        assert.deepEqual({ ...entries[0].message }, { a: 'b' });
        assert.equal(entries[0].id, id);
      } else {
        assert.ok(JSON.stringify(entries).includes(id));
      }
      assert.equal(await one.xRead({ key: key('x'), id: '$' }, { BLOCK: 50 }), null);
      await r.xGroupCreate(key('x'), 'g', '0');
      assert.ok(JSON.stringify(
        await one.xReadGroup('g', 'c', { key: key('x'), id: '>' }, { COUNT: 5 })).includes(id));
      assert.equal((await r.xPending(key('x'), 'g')).pending, 1);
      assert.equal(await r.xAck(key('x'), 'g', id), 1);
      assert.equal(await r.xLen(key('x')), 1);
    });

    it('SCAN finds every key', async () => {
      const names = new Set(Array.from({ length: 2000 }, (_, i) => key(`scan:${i}`)));
      await Promise.all([...names].map((name) => r.set(name, '1')));
      const found = new Set();
      for await (const keys of r.scanIterator({ MATCH: key('scan:*'), COUNT: 100 })) {
        keys.forEach((name) => found.add(name));
      }
      assert.deepEqual(found, names);
    });

    it('expiry', async () => {
      await r.set(key('e'), 'v', { PX: 60 });
      await waitUntil(async () => (await r.get(key('e'))) === null, 'the key expires');
      assert.equal(await r.ttl(key('e')), -2);
      await r.set(key('e'), 'v');
      assert.equal(await r.expire(key('e'), 100), 1);
      assert.equal(await r.persist(key('e')), 1);
      assert.equal(await r.ttl(key('e')), -1);
    });

    it('errors', async () => {
      await r.rPush(key('wrong'), '1');
      await assert.rejects(r.get(key('wrong')), ErrorReply);
      const message = (command) => r.sendCommand(command).then(
        () => assert.fail('no error'), (error) => error.message);
      assert.match(await message(['GET', key('wrong')]), /^WRONGTYPE Operation against/);
      assert.equal(await message(['NOSUCH', 'a']),
        "ERR unknown command 'NOSUCH', with args beginning with: 'a' ");
      assert.equal(await message(['GET']), "ERR wrong number of arguments for 'get' command");
      assert.equal(await r.ping(), 'PONG');
    });

    it('comes back after CLIENT KILL', async () => {
      const one = await connect({ socket: { reconnectStrategy: 10 }, database: 2, name: 'again' });
      await one.set(key('back'), 'v');
      const first = await one.clientId();
      assert.equal(await r.clientKill({ filter: 'ID', id: first }), 1);
      await waitUntil(() => one.clientId().then((id) => id !== first, () => false), 'a new id');
      assert.equal(await one.get(key('back')), 'v');
      assert.equal(await one.clientGetName(), 'again');
      assert.equal(await one.del(key('back')), 1);
    });

    it('closes in good order and opens again', async () => {
      const one = await connect();
      const last = one.set(key('close'), 'v');
      await one.close();
      assert.equal(await last, 'OK');
      await one.connect();
      assert.equal(await one.get(key('close')), 'v');
    });

    it('200 connections keep their replies', async () => {
      const clients = await Promise.all(Array.from({ length: 200 }, () => connect()));
      await Promise.all(clients.map(async (client, n) => {
        for (let turn = 0; turn < 5; turn++) {
          const names = Array.from({ length: 10 }, (_, i) => key(`${n}:${turn}:${i}`));
          const writes = names.map((name, i) => client.set(name, `${name}=${'v'.repeat(i * 30)}`));
          const values = await Promise.all(names.map((name) => client.get(name)));
          await Promise.all(writes);
          values.forEach((value, i) => {
            assert.equal(value, `${names[i]}=${'v'.repeat(i * 30)}`);
          });
        }
      }));
      await Promise.all(clients.map((client) => client.close()));
    });

    it('an idle connection stays usable with its pings', async () => {
      const one = await connect({ pingInterval: 20 });
      await pause(200); // ten pings
      assert.equal(await one.set(key('idle'), 'v'), 'OK');
    });
  });
}
