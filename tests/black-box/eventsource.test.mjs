// The EventSource client follows a feed while the server goes down and comes back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSource } from 'eventsource';
import { Server } from './server.mjs';

/** Emits events 1, 2, 3, … one after the other, each until it is taken, until it is told to stop. */
async function write(server, signal) {
  let retries = 0;
  for (let n = 1; ; n += 1) {
    for (;;) {
      try {
        await server.emit({
          id: `e${n}`,
          type: 'shop.order.placed',
          tenant: 'acme',
          source: { type: 'service', id: 'shop' },
          data: { n },
        });
        break;
      } catch {
        retries += 1;
        await sleep(20);
      }
    }
    if (signal.aborted) return { total: n, retries };
    await sleep(2);
  }
}

/** A reader that notes what it sees and lets others wait until it has seen enough. */
class Reader {
  seen = [];
  ids = [];
  opened = 0;
  #waiting = [];

  constructor(server) {
    this.source = new EventSource(`${server.url}/v1/tenants/acme/feed?from=start`, {
      fetch: (input, init) =>
        fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${server.key}` } }),
    });
    this.source.addEventListener('open', () => (this.opened += 1));
    this.source.addEventListener('event', (message) => {
      const event = JSON.parse(message.data);
      assert.ok(message.lastEventId, 'every event carries a cursor');
      this.seen.push(event.sequence);
      this.ids.push(event.id);
      this.#waiting = this.#waiting.filter((wake) => !wake());
    });
    this.source.addEventListener('error', (error) => {
      // A closed source does not come back by itself: the server gave an answer that ends the stream for good.
      if (this.source.readyState === EventSource.CLOSED) this.failed = new Error(`refused: ${error.message}`);
      this.#waiting = this.#waiting.filter((wake) => !wake());
    });
  }

  /** Resolves once so many streams were opened and so many events seen. */
  until({ opened, seen }) {
    return new Promise((resolve, reject) => {
      const wake = () => {
        if (this.failed) reject(this.failed);
        else if (this.opened >= opened && this.seen.length >= seen) resolve();
        else return false;
        return true;
      };
      if (!wake()) this.#waiting.push(wake);
    });
  }
}

test('a_reader_that_resumes_after_restarts_sees_no_gap_and_no_repeat', { timeout: 180_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  const reader = new Reader(server);
  t.after(() => reader.source.close());
  const stop = new AbortController();
  t.after(() => stop.abort());
  const writing = write(server, stop.signal);

  const signals = ['SIGTERM', 'SIGKILL', 'SIGTERM'];
  for (const [index, signal] of signals.entries()) {
    await reader.until({ opened: index + 1, seen: reader.seen.length + 100 });
    await server.stop(signal);
    await server.run();
  }
  await reader.until({ opened: signals.length + 1, seen: reader.seen.length + 100 });
  stop.abort();
  const { total, retries } = await writing;
  await reader.until({ opened: 1, seen: total });

  // What would come twice comes at once; one more event shows that nothing else was on its way.
  const last = { id: 'last', type: 'shop.order.placed', tenant: 'acme', source: { type: 'service', id: 'shop' }, data: {} };
  await server.emit(last);
  await reader.until({ opened: 1, seen: total + 1 });

  const numbers = Array.from({ length: total }, (_, index) => index + 1);
  assert.deepEqual(reader.seen, [...numbers, total + 1]);
  assert.deepEqual(reader.ids, [...numbers.map((n) => `e${n}`), 'last']);
  t.diagnostic(`${total} events over ${signals.length} restarts: ${reader.opened} streams, ${retries} writes sent again`);
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
