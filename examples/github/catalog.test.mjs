// GitHub's payloads against definitions that are made from GitHub's schemas, on a real server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Server } from '../../tests/black-box/server.mjs';
import { definitions } from './catalog.mjs';
import { line } from './map.mjs';
import { examples } from './replay.mjs';

async function call(server, method, path, body) {
  const answer = await fetch(server.url + path, {
    method,
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}

/** Puts definitions into the server's catalog, some at a time. */
async function publish(server, all) {
  for (let at = 0; at < all.length; at += 50) {
    const { status, body } = await call(server, 'POST', '/v1/catalog/changes', { definitions: all.slice(at, at + 50) });
    assert.equal(status, 200, JSON.stringify(body).slice(0, 2_000));
  }
}

const emit = (server, { event, payload }) => call(server, 'POST', '/v1/events', line(event, payload));

// How a payload can be broken, where that must be seen, and which definitions of GitHub say so.
const always = () => true;
const requires = (name) => (definition) => definition.required?.includes(name);
const refers = (name, to) => (definition) => definition.properties?.[name]?.$ref === `#/definitions/${to}`;
const closed = (definition) => definition.additionalProperties === false;
const MUTATIONS = [
  ['a member is gone', '/data/sender', requires('sender'), (data) => delete data.sender],
  ['a nested member is gone', '/data/repository/owner/login', always, (data) => delete data.repository.owner.login],
  ['an unknown member', '/data/unheard_of', closed, (data) => (data.unheard_of = true)],
  ['a number is a string', '/data/repository/id', always, (data) => (data.repository.id = 'one')],
  ['a string is a list', '/data/sender/login', always, (data) => (data.sender.login = ['me'])],
  ['a word is not one of those allowed', '/data/sender/type', refers('sender', 'user'), (data) => (data.sender.type = 'Robot')],
  ['a URL is none', '/data/repository/html_url', refers('repository', 'repository'), (data) => (data.repository.html_url = 'not a url')],
];

/** The definitions of GitHub that describe a type's payloads. */
function roots({ schema }) {
  const [root] = schema.allOf;
  return (root.anyOf ?? [root]).map(({ $ref }) => schema.definitions[$ref.slice('#/definitions/'.length)]);
}

function* mutants({ event, payload }, definition) {
  for (const [what, path, applies, mutate] of MUTATIONS) {
    const data = JSON.parse(payload);
    const [first, ...inner] = path.split('/').slice(2);
    const there = inner.reduce((value, name) => value?.[name], data[first]) !== undefined;
    if (!(there || applies === closed) || !roots(definition).every(applies)) continue;
    mutate(data);
    const id = `${event.id.slice(0, 200)}-${what.replaceAll(' ', '-')}`;
    yield { what, path, event: { ...event, id }, payload: JSON.stringify(data) };
  }
}

test('all_of_githubs_payloads_are_valid_and_mutated_ones_are_refused_with_the_place_at_fault', { timeout: 300_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  const sent = await examples();
  const all = await definitions({ examples: sent });
  await publish(server, all);
  const byType = new Map(all.map((definition) => [definition.name, definition]));

  const refused = [];
  for (const example of sent) {
    const { status, body } = await emit(server, example);
    if (status !== 201) refused.push(`${example.event.type}: ${JSON.stringify(body.errors)}`);
  }
  assert.deepEqual(refused, []);
  console.log(`${sent.length} of ${sent.length} payloads are valid`);

  const counts = new Map();
  for (const example of sent) {
    for (const { what, path, event, payload } of mutants(example, byType.get(example.event.type))) {
      const { status, body } = await emit(server, { event, payload });
      assert.equal(status, 422, `${event.type}, ${what}: ${JSON.stringify(body)}`);
      assert.equal(body.code, 'event_rejected');
      const paths = body.errors.map((error) => error.path);
      assert.ok(paths.includes(path), `${event.type}, ${what}: ${JSON.stringify(body.errors)}`);
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
  }
  for (const [what, count] of counts) console.log(`${count} refused: ${what}`);
  assert.ok([...counts.values()].reduce((all, count) => all + count, 0) > 1_000);

  // Nothing of what was refused is in the log: each tenant has its own examples and no more.
  for (const tenant of new Set(sent.map(({ event }) => event.tenant))) {
    const { body } = await call(server, 'GET', `/v1/tenants/${encodeURIComponent(tenant)}`);
    assert.equal(body.sequence ?? body.head, sent.filter(({ event }) => event.tenant === tenant).length, tenant);
  }
});

test('githubs_schemas_as_they_are_refuse_the_examples_that_are_older_than_they', { timeout: 300_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.close());
  await publish(server, await definitions({ verbatim: true }));
  const refused = [];
  for (const example of await examples()) {
    if ((await emit(server, example)).status !== 201) refused.push(example.event.type);
  }
  // The same 53 that ajv refuses.
  assert.equal(refused.length, 53, refused.join(' '));
});
