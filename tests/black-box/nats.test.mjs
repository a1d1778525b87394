// The consumer that the guide to NATS shows, as it stands there, sees every event in order and notices what it missed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { Server } from './server.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
const patience = { timeout: 120_000 };

/** The NATS server that the tests run with. */
function program() {
  const named = process.env.TIDINGS_TEST_NATS;
  const found = [named, '/usr/sbin/nats-server', join(root, '.tools/bin/nats-server')].find((path) => path && existsSync(path));
  assert.ok(found, 'nats-server is not installed');
  return found;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function startNats(t) {
  const directory = await mkdtemp(join(tmpdir(), 'tidings-nats-'));
  const port = await freePort();
  const child = spawn(program(), ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', directory], { stdio: 'ignore' });
  t.after(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    await rm(directory, { recursive: true, force: true });
  });
  return `nats://127.0.0.1:${port}`;
}

/** Runs the guide's consumer; gives its lines one by one. */
function consume(t, file, url) {
  const child = spawn(process.execPath, [file], { env: { ...process.env, NATS_URL: url }, stdio: ['ignore', 'pipe', 'inherit'] });
  const end = async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  t.after(end);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { next: async () => (await lines.next()).value, end };
}

async function emit(server, from, to) {
  for (let number = from; number <= to; number += 1) {
    const body = { id: `e${number}`, type: 'sales.lead.created', tenant: 'acme', source: { type: 'service', id: 'crm' }, data: { number } };
    const answer = await fetch(`${server.url}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    assert.equal(answer.status, 201, await answer.text());
  }
}

test('the_guides_consumer_sees_every_event_in_order_and_notices_what_it_missed', patience, async (t) => {
  const url = await startNats(t);
  const server = await Server.start({ TIDINGS_NATS_URL: url });
  t.after(() => server.stop());
  await emit(server, 1, 5);
  const nats = await connect({ servers: url, waitOnFirstConnect: true });
  t.after(() => nats.close());
  const manager = await jetstreamManager(nats);
  const published = async () => {
    let count = 0;
    for await (const { state } of manager.streams.list('tidings.events.*.acme.>')) count += state.messages;
    return count;
  };
  while ((await published()) < 5) await pause(20);

  const guide = await readFile(join(root, 'docs/guides/nats.md'), 'utf8');
  const blocks = [...guide.matchAll(/^```js\n(.*?)^```/gms)];
  assert.equal(blocks.length, 1);
  const dir = await mkdtemp(join(here, '.guide-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'consumer.mjs');
  await writeFile(file, blocks[0][1]);

  const first = consume(t, file, url);
  await emit(server, 6, 8);
  for (let number = 1; number <= 8; number += 1) {
    assert.equal(await first.next(), `${number} sales.lead.created e${number}`);
  }
  await first.end();
  await emit(server, 9, 9);
  // It forgot how far it was: its durable consumer goes on all the same, and it sees that something is missing.
  const second = consume(t, file, url);
  const told = [await second.next(), await second.next()].join('\n');
  assert.match(told, /^missed 1 to \d: read them from the feed\n\d sales\.lead\.created e\d$/);
});
