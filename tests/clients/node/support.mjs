// What the Node suites share: where the server is, and keys of their own for each run.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

export const host = process.env.PANNIER_HOST ?? '127.0.0.1';
export const port = Number(process.env.PANNIER_PORT ?? 6379);

export function prefixFor(suite) {
  return `${process.env.PANNIER_KEYS ?? ''}${suite}:${randomBytes(4).toString('hex')}:`;
}

export async function waitUntil(condition, what, milliseconds = 10_000) {
  const deadline = Date.now() + milliseconds;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `${what}: not within ${milliseconds} ms`);
    await pause(10);
  }
}

// How many clients wait in a blocking command, by the word of the server itself.
export function blockedClients(info) {
  return Number(/blocked_clients:(\d+)/.exec(info)[1]);
}

// A list that messages are pushed to and that can be waited for.
export function inbox() {
  const messages = [];
  return {
    messages,
    push: (...message) => messages.push(message.length === 1 ? message[0] : message),
    holds: (count) => waitUntil(() => messages.length >= count, `${count} messages`),
  };
}
