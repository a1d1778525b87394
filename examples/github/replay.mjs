// GitHub's example webhooks through Tidings and back: each payload becomes an event, `tidings emit` sends them, and
// what the tenants' feeds then say is compared with what was sent, byte for byte.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { compact, elements, members } from './exact.mjs';
import { envelope, line } from './map.mjs';

/** Every example payload: its kind, its event, its exact text. */
export async function examples() {
  const file = createRequire(import.meta.url).resolve('@octokit/webhooks-examples');
  const found = [];
  for (const entry of elements(await readFile(file, 'utf8'))) {
    const kind = members(entry);
    const name = JSON.parse(kind.get('name'));
    elements(kind.get('examples')).forEach((example, index) => {
      const payload = compact(example);
      found.push({ kind: name, event: envelope(name, index + 1, payload), payload });
    });
  }
  return found;
}

/** Sends the events, one a line, through `tidings emit`. */
async function emit(sent, { url, key, binary }) {
  const { TIDINGS_BIN: _, ...environment } = process.env;
  const child = spawn(binary, ['emit', '--json', '-'], {
    env: { ...environment, TIDINGS_URL: url, TIDINGS_KEY: key },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  child.stdin.end(sent.map(({ event, payload }) => `${line(event, payload)}\n`).join(''));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`tidings emit ended with ${code}: ${output}`);
  return output;
}

/** All that a tenant's feed says: the text of `data` and the sequence, by event id. */
async function readFeed(tenant, { url, key }) {
  const found = new Map();
  let query = 'from=start';
  for (;;) {
    const answer = await fetch(`${url}/v1/tenants/${encodeURIComponent(tenant)}/feed?${query}&limit=100`, {
      headers: { authorization: `Bearer ${key}` },
    });
    // Bytes that are not UTF-8 must not be mended silently.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await answer.arrayBuffer());
    if (!answer.ok) throw new Error(`the feed of ${tenant} answered ${answer.status}: ${text}`);
    const page = members(text);
    for (const event of elements(page.get('events'))) {
      const parts = members(event);
      found.set(JSON.parse(parts.get('id')), {
        data: parts.get('data'),
        type: JSON.parse(parts.get('type')),
        sequence: Number(parts.get('sequence')),
      });
    }
    if (JSON.parse(page.get('up_to_date'))) return found;
    query = `cursor=${encodeURIComponent(JSON.parse(page.get('cursor')))}`;
  }
}

/** Sends everything, reads everything back, and tells for each payload whether it is the same. */
export async function replay(server) {
  const sent = await examples();
  await emit(sent, server);
  const feeds = new Map();
  for (const { event } of sent) {
    if (!feeds.has(event.tenant)) feeds.set(event.tenant, await readFeed(event.tenant, server));
  }
  return sent.map(({ kind, event, payload }) => {
    const read = feeds.get(event.tenant).get(event.id);
    return { kind, event, payload, read, same: read?.data === payload && read?.type === event.type };
  });
}

/** The results as a table, a row a kind. */
export function table(results) {
  const kinds = new Map();
  for (const { kind, event, payload, same } of results) {
    const row = kinds.get(kind) ?? { payloads: 0, bytes: 0, same: 0, types: new Set() };
    row.payloads += 1;
    row.bytes += Buffer.byteLength(payload);
    row.same += same ? 1 : 0;
    row.types.add(event.type);
    kinds.set(kind, row);
  }
  const rows = [...kinds].map(([kind, row]) => [
    kind,
    String(row.payloads),
    String(row.types.size),
    String(row.bytes),
    row.same === row.payloads ? 'same' : `${row.payloads - row.same} DIFFERENT`,
  ]);
  const head = ['kind', 'payloads', 'types', 'bytes', 'data read back'];
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column].length)));
  const print = (row) =>
    row.map((cell, at) => (at > 0 && at < 4 ? cell.padStart(widths[at]) : cell.padEnd(widths[at]))).join('  ').trimEnd();
  return [print(head), print(widths.map((width) => '-'.repeat(width))), ...rows.map(print)].join('\n');
}

/** One line for all. */
export function verdict(results) {
  const same = results.filter((result) => result.same).length;
  const kinds = new Set(results.map((result) => result.kind)).size;
  const tenants = new Set(results.map((result) => result.event.tenant)).size;
  return `${same} of ${results.length} payloads of ${kinds} kinds came back byte for byte, from ${tenants} tenants' feeds`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const results = await replay({
    url: process.env.TIDINGS_URL ?? 'http://127.0.0.1:7411',
    key: process.env.TIDINGS_KEY,
    binary: process.env.TIDINGS_BIN ?? 'tidings',
  });
  console.log(`${table(results)}\n\n${verdict(results)}`);
  process.exitCode = results.every((result) => result.same) ? 0 : 1;
}
