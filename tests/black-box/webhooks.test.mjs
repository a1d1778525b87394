// Other people's libraries verify what Tidings sends: every delivery is taken for genuine, and with one byte changed for
// a forgery.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { NodeReceiver, PythonReceiver } from './receiver.mjs';
import { Server } from './server.mjs';

const patience = { timeout: 180_000 };

/** `data` as producers may write it: bytes that a parser and a printer would not leave as they are. */
const oddData = [
  '{}',
  '{ }',
  '{"a":1,"b":[true,null,{"c":-0.0}]}',
  '{\n  "indented" : {\t"by" : "hand" } ,\r\n  "n" : [ 1 , 2 ] }',
  '{"big":123456789012345678901234567890,"precise":0.1000000000000000055511151231257827,"far":1e400,"zero":-0,"e":1E+2}',
  '{"text":"Grüße “an alle” – 東京, Ελλάδα, עברית, 🎉👩‍👩‍👧‍👦"}',
  '{"escaped":"\\u00fc\\u2028\\/\\b\\f\\n\\r\\t\\"\\\\","raw":"\u2028\u2029\u00a0\ufeff"}',
  '{"half":"\\ud83d","nul":"\\u0000","del":"\u007f"}',
  '{"decomposed":"e\u0301","composed":"\u00e9","zwj":"\u200d"}',
  '{"__proto__":{"x":1},"constructor":2,"":3,"a.b":4}',
  '{"html":"<script>alert(1)</script>&amp;","percent":"%00%zz","sql":"\'; drop table x; --"}',
  `{"long":"${'ü'.repeat(60_000)}"}`,
  `{"deep":${'['.repeat(40)}${']'.repeat(40)}}`,
];

let server;
before(async () => {
  server = await Server.start({ TIDINGS_ALLOW_HTTP: 'true', TIDINGS_ALLOW_CIDRS: '127.0.0.1/32' });
});
after(() => server?.close());

/** Emits an event for each `data`, as its bytes stand; gives its bytes by event id. */
async function emit(tenant, prefix, all) {
  const sent = new Map();
  for (const [index, data] of all.entries()) {
    const id = `${prefix}-${index}`;
    const head = `"id":"${id}","type":"sales.lead.status_changed","tenant":"${tenant}"`;
    const rest = '"source":{"type":"service","id":"säles 🎉"},"entity":{"type":"lead","id":"lead/42"}';
    await server.emit(`{${head},${rest},"data":${data}}`);
    sent.set(id, data);
  }
  return sent;
}

/** Plain events, enough of them that several are under way at once. */
function plainData(count) {
  return Array.from({ length: count }, (_, n) => JSON.stringify({ n, note: 'ordinary' }));
}

/** The bytes of `data` are in the body as they were sent. */
function assertCarries(delivery, data, { format, mode }) {
  const body = delivery.body.toString();
  assert.ok(mode === 'binary' ? body === data : body.includes(`"data":${data}`), `${delivery.id}: ${body.slice(0, 300)}`);
  const type = delivery.headers['content-type'];
  if (format === 'native' || mode === 'binary') assert.equal(type, 'application/json');
  else assert.match(type, /^application\/cloudevents\+json/);
}

const shapes = [
  { format: 'native' },
  { format: 'cloudevents', mode: 'structured' },
  { format: 'cloudevents', mode: 'binary' },
];

/** A run with one receiver: events, a rotation with overlap, events, its end, events. */
async function run(receiver, tenant, shape) {
  const path = `/v1/tenants/${tenant}/endpoints`;
  const settings = { url: receiver.url, types: ['sales.*'], format: shape.format, retry_schedule_s: [0, 1, 1] };
  if (shape.mode) settings.cloudevents_mode = shape.mode;
  // The receiver learns the secret before the first event is sent.
  const endpoint = await server.post(path, settings, 201);
  await receiver.trust(endpoint.secret);

  const sent = await emit(tenant, 'before', [...oddData, ...plainData(20)]);
  await receiver.until(sent.size);

  // A receiver that still holds the old key accepts, and so does one that holds the new.
  const rotated = await server.post(`${path}/${endpoint.id}/rotate`, { overlap_s: 3600 });
  assert.notEqual(rotated.secret, endpoint.secret);
  await receiver.trust(endpoint.secret, rotated.secret);
  for (const [id, data] of await emit(tenant, 'during', [...oddData, ...plainData(20)])) sent.set(id, data);
  await receiver.until(sent.size);

  // The overlap ends: another rotation, without one.
  const last = await server.post(`${path}/${endpoint.id}/rotate`, { overlap_s: 0 });
  await receiver.trust(last.secret);
  for (const [id, data] of await emit(tenant, 'after', oddData)) sent.set(id, data);
  await receiver.until(sent.size);

  assert.deepEqual(receiver.problems, []);
  for (const delivery of receiver.seen) {
    assertCarries(delivery, sent.get(delivery.id), shape);
    const signatures = delivery.headers['webhook-signature'].split(' ');
    assert.equal(signatures.length, delivery.id.startsWith('during') ? 2 : 1, delivery.id);
    assert.equal(delivery.headers['tidings-attempt'], '1', delivery.id);
  }
  assert.deepEqual(new Set(receiver.seen.map(({ id }) => id)), new Set(sent.keys()));
  return receiver.seen.length;
}

for (const library of ['standardwebhooks', 'svix']) {
  for (const shape of shapes) {
    const name = [shape.format, shape.mode].filter(Boolean).join('_');
    test(`every_${name}_delivery_is_genuine_to_${library}_for_node_and_with_one_byte_changed_a_forgery`, patience, async (t) => {
      const receiver = await NodeReceiver.start(library);
      t.after(() => receiver.close());
      t.diagnostic(`${await run(receiver, `node-${library}-${name}`, shape)} deliveries`);
    });
  }
}

for (const shape of shapes) {
  const name = [shape.format, shape.mode].filter(Boolean).join('_');
  test(`every_${name}_delivery_is_genuine_to_standardwebhooks_for_python_and_with_one_byte_changed_a_forgery`, patience, async (t) => {
    const receiver = await PythonReceiver.start();
    t.after(() => receiver.close());
    t.diagnostic(`${await run(receiver, `python-${name}`, shape)} deliveries`);
  });
}

test('every_delivery_signed_with_ed25519_is_genuine_by_the_public_key_alone', patience, async (t) => {
  const receiver = await NodeReceiver.start('openssl');
  t.after(() => receiver.close());
  const path = '/v1/tenants/asymmetric/endpoints';
  const endpoint = await server.post(path, { url: receiver.url, signature: 'v1a' }, 201);
  assert.match(endpoint.public_key, /^whpk_/);
  receiver.trust(endpoint.public_key);
  const sent = await emit('asymmetric', 'before', oddData);
  await receiver.until(sent.size);
  const rotated = await server.post(`${path}/${endpoint.id}/rotate`, { overlap_s: 3600 });
  receiver.trust(endpoint.public_key, rotated.public_key);
  await emit('asymmetric', 'during', oddData);
  await receiver.until(2 * sent.size);
  assert.deepEqual(receiver.problems, []);
});

test('a_retried_delivery_has_the_same_id_and_a_signature_of_its_own', patience, async (t) => {
  const receiver = await NodeReceiver.start('standardwebhooks');
  t.after(() => receiver.close());
  const path = '/v1/tenants/retried/endpoints';
  const endpoint = await server.post(path, { url: receiver.url, retry_schedule_s: [0, 2, 2] }, 201);
  // The first attempt is refused, as the receiver holds another key; the second one is not.
  receiver.trust('whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD');
  await emit('retried', 'again', ['{"a":1}']);
  await receiver.until(1);
  assert.equal(receiver.problems.length, 1, receiver.problems.join('\n'));
  receiver.problems.length = 0;
  receiver.trust(endpoint.secret);
  await receiver.untilAttempts(2);
  assert.deepEqual(receiver.problems, []);
  const [first, second] = receiver.seen;
  assert.equal(first.id, second.id);
  assert.deepEqual(first.body, second.body);
  assert.deepEqual([first, second].map(({ headers }) => headers['tidings-attempt']), ['1', '2']);
  assert.ok(Number(second.headers['webhook-timestamp']) > Number(first.headers['webhook-timestamp']));
  assert.notEqual(first.headers['webhook-signature'], second.headers['webhook-signature']);
});
