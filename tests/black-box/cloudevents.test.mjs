// The CloudEvents SDK as producer and as reader.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CloudEvent, HTTP } from 'cloudevents';
import { Server } from './server.mjs';

let server;
before(async () => (server = await Server.start()));
after(() => server?.close());

/** An event as the SDK makes it. */
function made(id, over = {}) {
  return new CloudEvent({
    id,
    type: 'sales.lead.status_changed',
    source: '/service/sales',
    subject: 'lead/lead_42',
    time: '2026-03-15T10:00:00.250Z',
    datacontenttype: 'application/json',
    tenant: 'acme',
    data: { from: 'new', to: 'qualified', amount: 12.5, note: 'Grüße “an alle” 🎉', tags: [] },
    ...over,
  });
}

async function send({ headers, body }) {
  const answer = await server.request('/v1/events', { method: 'POST', headers, body });
  const text = await answer.text();
  return { status: answer.status, body: JSON.parse(text), text };
}

/** What must come back of an event that was sent. */
function assertSame(read, sent) {
  for (const name of ['id', 'type', 'source', 'subject', 'specversion', 'tenant', 'project', 'actor', 'traceparent']) {
    assert.equal(read[name], sent[name], `${sent.id}: ${name}`);
  }
  assert.equal(Date.parse(read.time), Date.parse(sent.time), `${sent.id}: time`);
  assert.deepEqual(read.data, sent.data, `${sent.id}: data`);
}

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const sent = [
  made('structured-1'),
  made('binary-1', { actor: 'user_7', project: 'emea', correlationid: 'req_9', traceparent }),
  made('batch-1', { subject: 'lead/with/slashes' }),
  made('batch-2', { subject: undefined, source: '/integration/crm', type: 'crm.contact.merged' }),
  made('batch-3', { causationid: 'batch-1', time: '2026-03-15T11:00:00+01:00' }),
];

test('events_that_the_sdk_sends_structured_are_taken', async () => {
  const answer = await send(HTTP.structured(sent[0]));
  assert.equal(answer.status, 201, answer.text);
  assert.deepEqual(answer.body.results, [{ id: 'structured-1', tenant: 'acme', sequence: 1, duplicate: false }]);
});

test('events_that_the_sdk_sends_binary_are_taken', async () => {
  const answer = await send(HTTP.binary(sent[1]));
  assert.equal(answer.status, 201, answer.text);
  assert.equal(answer.body.results[0].sequence, 2);
});

test('a_batch_of_the_sdks_events_is_taken_as_a_whole', async () => {
  const message = {
    headers: { 'content-type': 'application/cloudevents-batch+json' },
    body: JSON.stringify(sent.slice(2)),
  };
  const answer = await send(message);
  assert.equal(answer.status, 201, answer.text);
  assert.deepEqual(answer.body.results.map((result) => result.sequence), [3, 4, 5]);
});

test('the_same_event_in_another_mode_is_a_duplicate', async () => {
  const answer = await send(HTTP.structured(sent[1]));
  assert.equal(answer.status, 201, answer.text);
  assert.deepEqual(answer.body.results, [{ id: 'binary-1', tenant: 'acme', sequence: 2, duplicate: true }]);
});

test('a_feed_page_of_structured_events_is_read_by_the_sdk', async () => {
  const { text } = await server.feedText('acme', 'from=start&format=cloudevents');
  const page = JSON.parse(text);
  assert.equal(page.events.length, sent.length);
  assert.equal(page.up_to_date, true);
  page.events.forEach((event, index) => {
    const headers = { 'content-type': 'application/cloudevents+json' };
    const read = HTTP.toEvent({ headers, body: JSON.stringify(event) });
    assert.ok(read.validate());
    assertSame(read, sent[index]);
    assert.equal(Number(read.sequence), index + 1);
    assert.ok(Date.parse(read.recordedtime) > 0);
  });
  assert.equal(page.events[1].correlationid, 'req_9');
  assert.equal(page.events[4].causationid, 'batch-1');
});

test('a_feed_asked_for_as_a_batch_is_read_by_the_sdk_and_goes_on_from_its_cursor', async () => {
  const accept = { accept: 'application/cloudevents-batch+json' };
  const first = await server.feedText('acme', 'from=start&limit=3', accept);
  const read = HTTP.toEvent({ headers: { 'content-type': first.headers['content-type'] }, body: first.text });
  assert.deepEqual(read.map((event) => event.id), sent.slice(0, 3).map((event) => event.id));
  read.forEach((event, index) => assertSame(event, sent[index]));
  const cursor = encodeURIComponent(first.headers['tidings-cursor']);
  const rest = await server.feedText('acme', `cursor=${cursor}`, accept);
  assert.deepEqual(JSON.parse(rest.text).map((event) => event.id), sent.slice(3).map((event) => event.id));
});

test('an_event_without_a_tenant_is_refused_with_its_place', async () => {
  const { tenant: _, ...homeless } = JSON.parse(made('homeless').toString());
  const answer = await send(HTTP.structured(new CloudEvent(homeless)));
  assert.equal(answer.status, 422, answer.text);
  assert.equal(answer.body.code, 'event_invalid');
  assert.ok(answer.body.errors.some((error) => error.path === '/tenant'), answer.text);
});
