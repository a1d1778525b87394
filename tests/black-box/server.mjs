// A real `tidings serve` of a test's own: a data directory that goes away, a free port, an admin key.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(fileURLToPath(import.meta.url), '../../..');

/** The binary under test. */
export const binary = process.env.TIDINGS_BIN ?? join(root, 'target/debug/tidings');

const key = 'black-box-admin-key-0123456789abcdef';
// Longer than a start takes on a busy machine.
const patienceMs = 60_000;

// Below the ports that the system gives to outgoing connections, so that nobody takes the server's while it is down.
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const free = await new Promise((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** The environment without what would configure a Tidings. */
function withoutSettings(environment) {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('TIDINGS_')));
}

/** A server over one log, across its restarts. */
export class Server {
  #child;
  #output = '';
  #settings = {};

  /** Starts a server over a fresh log, with these settings in its environment. */
  static async start(settings = {}) {
    const server = new Server();
    server.#settings = settings;
    server.directory = await mkdtemp(join(tmpdir(), 'tidings-black-box-'));
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    server.key = key;
    await server.run();
    return server;
  }

  /** Starts it again over the same log, on the same port. */
  async run() {
    this.#child = spawn(binary, ['serve', '--data-dir', this.directory, '--listen', `127.0.0.1:${this.port}`], {
      env: { ...withoutSettings(process.env), TIDINGS_ADMIN_KEY: key, ...this.#settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.#output = (this.#output + text).slice(-20_000)));
    }
    const deadline = Date.now() + patienceMs;
    while (!(await this.#ready())) {
      if (this.#child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`tidings did not start:\n${this.#output}`);
      }
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  async #ready() {
    try {
      return (await fetch(`${this.url}/readyz`)).ok;
    } catch {
      return false;
    }
  }

  /** Ends the process and waits for its end. */
  async stop(signal = 'SIGTERM') {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exit;
  }

  /** Ends it and forgets its log. */
  async close() {
    await this.stop('SIGKILL');
    await rm(this.directory, { recursive: true, force: true });
  }

  /** A request with the admin key. */
  request(path, { headers, ...init } = {}) {
    return fetch(this.url + path, { ...init, headers: { authorization: `Bearer ${key}`, ...headers } });
  }

  /** Sends JSON and reads JSON; throws unless the answer has the status. Text is sent as it is. */
  async post(path, body, status = 200) {
    const answer = await this.request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    if (answer.status !== status) throw new Error(`${answer.status} ${text}`);
    return JSON.parse(text);
  }

  /** Emits native events, as values or as their text; throws unless they are taken. */
  async emit(events) {
    return (await this.post('/v1/events', events, 201)).results;
  }

  /** The text of one feed page. */
  async feedText(tenant, query = '', headers = {}) {
    const answer = await this.request(`/v1/tenants/${encodeURIComponent(tenant)}/feed?${query}`, { headers });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.status} ${text}`);
    return { text, headers: Object.fromEntries(answer.headers) };
  }
}
