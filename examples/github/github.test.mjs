// The whole example against a real server, and its parts alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binary, Server } from '../../tests/black-box/server.mjs';
import { compact, elements, members } from './exact.mjs';
import { line } from './map.mjs';
import { examples, replay, table, verdict } from './replay.mjs';

test('slices_are_cut_exactly_where_parsing_would_lose_something', () => {
  const text = ' { "a" : 12345678901234567890.10 , "b\\u0022" : "x\\/ \\" , }" , "c" : [ 1 , { "d" : [ ] } , "e" ] , "f" : { } } ';
  const parts = members(text);
  assert.deepEqual([...parts.keys()], ['a', 'b"', 'c', 'f']);
  assert.equal(parts.get('a'), '12345678901234567890.10');
  assert.equal(parts.get('b"'), '"x\\/ \\" , }"');
  assert.deepEqual(elements(parts.get('c')), ['1', '{ "d" : [ ] }', '"e"']);
  assert.equal(compact(text), '{"a":12345678901234567890.10,"b\\u0022":"x\\/ \\" , }","c":[1,{"d":[]},"e"],"f":{}}');
  assert.deepEqual(elements('[]'), []);
  assert.equal(members('{}').size, 0);
});

test('every_example_is_mapped_to_an_event_of_our_grammar', async () => {
  const all = await examples();
  assert.equal(all.length, 329);
  assert.equal(new Set(all.map(({ kind }) => kind)).size, 58);
  assert.equal(new Set(all.map(({ event }) => event.id)).size, all.length);
  const segment = '[a-z][a-z0-9]*(_[a-z0-9]+)*';
  for (const { event, payload } of all) {
    assert.match(event.type, new RegExp(`^github\\.${segment}\\.${segment}$`));
    assert.doesNotMatch(event.id, /[^!-~]|\./);
    assert.doesNotMatch(event.entity.id, /undefined|null|^$/);
    assert.equal(members(line(event, payload)).get('data'), payload);
  }
});

test('every_payload_comes_back_byte_for_byte', { timeout: 120_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  const target = { url: server.url, key: server.key, binary };

  const first = await replay(target);
  console.log(`${table(first)}\n\n${verdict(first)}`);
  assert.deepEqual(first.filter((result) => !result.same).map((result) => result.event.id), []);

  // Within a tenant the feed has the order in which the events were sent, from 1 and without gaps.
  const next = new Map();
  for (const { event, read } of first) {
    const sequence = (next.get(event.tenant) ?? 0) + 1;
    assert.equal(read.sequence, sequence, event.id);
    next.set(event.tenant, sequence);
  }

  // Sent again, everything is a duplicate: the same sequences, nothing new.
  const second = await replay(target);
  assert.deepEqual(second.map(({ read }) => read), first.map(({ read }) => read));
});
