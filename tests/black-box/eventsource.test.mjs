// The EventSource client follows a feed while the server goes down and comes back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSource } from 'eventsource';
import { Server } from './server.mjs';

const total = 600;

/** Emits events 1 to `total`, one after the other, each until it is taken. */
async function write(server, progress) {
  let retries = 0;
  for (let n = 1; n <= total; n += 1) {
    const event = {
      id: `e${n}`,
      type: 'shop.order.placed',
      tenant: 'acme',
      source: { type: 'service', id: 'shop' },
      data: { n },
    };
    for (;;) {
      try {
        await server.emit(event);
        break;
      } catch {
        retries += 1;
        await sleep(20);
      }
    }
    progress(n);
  }
  return retries;
}

test('a_reader_that_resumes_after_restarts_sees_no_gap_and_no_repeat', { timeout: 180_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.close());

  const seen = [];
  const ids = new Set();
  let opened = 0;
  let failed;
  let complete;
  const done = new Promise((resolve, reject) => ([complete, failed] = [resolve, reject]));
  const source = new EventSource(`${server.url}/v1/tenants/acme/feed?from=start`, {
    fetch: (input, init) =>
      fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${server.key}` } }),
  });
  t.after(() => source.close());
  source.addEventListener('open', () => (opened += 1));
  source.addEventListener('error', (error) => {
    // A closed source does not come back by itself: the server gave an answer that ends the stream for good.
    if (source.readyState === EventSource.CLOSED) failed(new Error(`the stream was refused: ${error.message}`));
  });
  source.addEventListener('event', (message) => {
    const event = JSON.parse(message.data);
    seen.push(event.sequence);
    ids.add(event.id);
    assert.ok(message.lastEventId, 'every event carries a cursor');
    if (seen.length >= total) complete();
  });

  // The writer tells how far it is, so that each restart happens in the middle of its work.
  const waiting = [];
  const reached = (n) => new Promise((resolve) => waiting.push({ n, resolve }));
  const milestones = [reached(total / 4), reached(total / 2)];
  const writing = write(server, (n) => waiting.filter((w) => w.n === n).forEach((w) => w.resolve()));

  await milestones[0];
  await server.stop('SIGTERM');
  await server.run();
  await milestones[1];
  await server.stop('SIGKILL');
  await server.run();
  const retries = await writing;
  await done;

  // What would come twice comes at once; a further event shows that nothing else was on its way.
  await server.emit({ id: 'last', type: 'shop.order.placed', tenant: 'acme', source: { type: 'service', id: 'shop' }, data: {} });
  while (!ids.has('last')) await sleep(10);

  assert.deepEqual(seen, Array.from({ length: total + 1 }, (_, index) => index + 1));
  assert.equal(ids.size, total + 1);
  assert.ok(opened >= 3, `the stream was opened ${opened} times`);
  t.diagnostic(`${total} events over 2 restarts: ${opened} streams, ${retries} retried writes, no gap, no repeat`);
});

test('a_stream_without_a_key_is_refused', async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  const source = new EventSource(`${server.url}/v1/tenants/acme/feed?from=start`);
  t.after(() => source.close());
  const code = await new Promise((resolve) => source.addEventListener('error', (error) => resolve(error.code)));
  assert.equal(code, 401);
  assert.equal(source.readyState, EventSource.CLOSED);
});
