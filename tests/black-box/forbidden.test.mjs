// What a tenant cannot make the server do with an endpoint: reach the server's own network, follow a redirect, or hold
// it up.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { Server } from './server.mjs';

const patience = { timeout: 120_000 };

async function listening(server) {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server.address().port;
}

/** The attempts at an endpoint, once there are so many. */
async function attempts(server, tenant, id, count) {
  for (;;) {
    const answer = await server.request(`/v1/tenants/${tenant}/endpoints/${id}/attempts`);
    assert.equal(answer.status, 200);
    const { data } = await answer.json();
    if (data.length >= count) return data;
    await new Promise((done) => setTimeout(done, 20));
  }
}

function event(tenant, id) {
  return { id, type: 'sales.lead.created', tenant, source: { type: 'service', id: 'sales' }, data: {} };
}

test('an_endpoint_in_the_servers_own_network_is_refused_or_never_reached', patience, async (t) => {
  let connections = 0;
  const inside = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  const port = await listening(inside);
  t.after(() => inside.close());
  const server = await Server.start({ TIDINGS_ALLOW_HTTP: 'true' });
  t.after(() => server.close());
  const path = '/v1/tenants/acme/endpoints';
  const hosts = ['127.0.0.1', '127.1', '2130706433', '0x7f.1', '0177.0.0.1', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]'];
  for (const url of [...hosts.map((host) => `http://${host}:${port}/`), 'http://169.254.169.254/', 'http://10.0.0.1/']) {
    const problem = await server.post(path, { url }, 422);
    assert.deepEqual(problem.errors.map(({ path, code }) => [path, code]), [['/url', 'url_forbidden']], url);
  }
  for (const url of ['file:///etc/passwd', 'ftp://example.com/', 'http://example.com:22/', 'http://example.com:5432/']) {
    const problem = await server.post(path, { url }, 422);
    assert.equal(problem.errors[0].path, '/url', url);
  }
  // A name tells where it leads only when it is connected to.
  const { id } = await server.post(path, { url: `http://localhost:${port}/` }, 201);
  const { failure } = await server.post(`${path}/${id}/test`, {});
  assert.equal(failure, 'forbidden');
  await server.emit(event('acme', 'e1'));
  const [attempt] = await attempts(server, 'acme', id, 1);
  assert.equal(attempt.failure, 'forbidden');
  assert.equal(connections, 0);
});

test('redirects_are_not_followed_and_endless_answers_are_cut_off', patience, async (t) => {
  let asked = 0;
  const inside = createHttpServer((_, response) => {
    asked += 1;
    response.end();
  });
  const insidePort = await listening(inside);
  t.after(() => inside.close());
  // Answers by path: with a redirect, with a body that never ends, a byte at a time, with what is not HTTP.
  const hostile = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (request) => {
      const path = request.toString().split(' ')[1];
      const say = (text) => socket.writable && socket.write(text);
      if (path === '/redirect') {
        socket.end(`HTTP/1.1 307 Elsewhere\r\nlocation: http://127.0.0.1:${insidePort}/\r\ncontent-length: 0\r\n\r\n`);
      } else if (path === '/endless') {
        say('HTTP/1.1 200 OK\r\n\r\n');
        const more = () => socket.writable && socket.write('x'.repeat(65_536), more);
        more();
      } else if (path === '/drip') {
        say('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n');
        const drip = setInterval(() => say('x'), 10);
        socket.on('close', () => clearInterval(drip));
      } else {
        socket.end('SSH-2.0-OpenSSH_9.2\r\n');
      }
    });
  });
  const port = await listening(hostile);
  t.after(() => hostile.close());
  const server = await Server.start({ TIDINGS_ALLOW_HTTP: 'true', TIDINGS_ALLOW_CIDRS: '127.0.0.1/32' });
  t.after(() => server.close());
  const outcomes = {};
  for (const kind of ['redirect', 'endless', 'drip', 'garbage']) {
    const settings = { url: `http://127.0.0.1:${port}/${kind}`, timeout_ms: 500, retry_schedule_s: [0] };
    const { id } = await server.post(`/v1/tenants/${kind}/endpoints`, settings, 201);
    await server.emit(event(kind, 'e1'));
    const [{ status, failure }] = await attempts(server, kind, id, 1);
    outcomes[kind] = status ?? failure;
  }
  assert.deepEqual(outcomes, { redirect: 307, endless: 200, drip: 'timeout', garbage: 'protocol' });
  assert.equal(asked, 0, 'nobody followed the redirect');
});
