// Receivers of webhooks that believe nothing: each delivery is verified by a library that others wrote, and so is each
// of its forgeries, which differ from it in one byte.

import { spawn } from 'node:child_process';
import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');

/** What is held to be genuine or not, by library: `(key) => (body, headers) => void`, which throws for a forgery. */
export const libraries = {
  standardwebhooks: (key) => {
    const webhook = new StandardWebhook(key);
    return (body, headers) => webhook.verify(body, headers);
  },
  svix: (key) => {
    const webhook = new SvixWebhook(key);
    return (body, headers) => webhook.verify(body, headers);
  },
  // The libraries for JavaScript and Python know no Ed25519; OpenSSL does.
  openssl: (key) => {
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(key.slice('whpk_'.length), 'base64')]);
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    return (body, headers) => {
      const at = Number(headers['webhook-timestamp']);
      if (!(Math.abs(Date.now() / 1000 - at) <= 300)) throw new Error('timestamp');
      const signed = Buffer.concat([Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body]);
      const fits = headers['webhook-signature'].split(' ').some((given) => {
        const [scheme, signature] = given.split(',');
        return scheme === 'v1a' && verifySignature(null, signed, publicKey, Buffer.from(signature, 'base64'));
      });
      if (!fits) throw new Error('signature');
    };
  },
};

/** Another byte of the same kind, so that nothing but the signature can tell. */
function other(byte) {
  const digit = byte >= 0x30 && byte <= 0x39;
  if (digit) return byte === 0x39 ? 0x30 : byte + 1;
  return byte === 0x61 ? 0x62 : 0x61;
}

function altered(bytes, index) {
  const copy = Buffer.from(bytes);
  copy[index] = other(copy[index]);
  return copy;
}

/** Copies of a delivery with one byte changed: in its body at several places, its id, its timestamp, each signature. */
export function* forgeries(body, headers) {
  // Places that differ from delivery to delivery, and are the same in every run.
  const dice = createHash('sha256').update(headers['webhook-id']).digest();
  const places = new Set([0, body.length - 1, ...[0, 4, 8, 12].map((at) => dice.readUInt32LE(at) % body.length)]);
  for (const place of places) yield [`body byte ${place}`, altered(body, place), headers];
  const change = (name, place) => ({ ...headers, [name]: altered(Buffer.from(headers[name]), place).toString() });
  yield ['id', body, change('webhook-id', dice[16] % headers['webhook-id'].length)];
  yield ['timestamp', body, change('webhook-timestamp', headers['webhook-timestamp'].length - 1)];
  // The same byte of every signature there is. The last characters of base64 hold bits that no decoder looks at.
  const place = 4 + (dice[17] % 38);
  const signatures = headers['webhook-signature'].split(' ').map((one) => altered(Buffer.from(one), place).toString());
  yield ['signature', body, { ...headers, 'webhook-signature': signatures.join(' ') }];
  yield ['scheme', body, { ...headers, 'webhook-signature': headers['webhook-signature'].replaceAll(/\bv1a?,/g, 'v2,') }];
}

function refuses(verify, body, headers) {
  try {
    verify(body, headers);
    return false;
  } catch {
    return true;
  }
}

/** Receives, verifies, tries every forgery, and notes what it saw. */
class Deliveries {
  seen = [];
  problems = [];
  #waiting = [];

  note(delivery, problems) {
    this.seen.push(delivery);
    this.problems.push(...problems);
    this.#waiting = this.#waiting.filter((wake) => !wake());
  }

  /** Resolves once so many different events have come. */
  until(count) {
    return this.#when(() => new Set(this.seen.map(({ id }) => id)).size >= count);
  }

  /** Resolves once so many deliveries have come, repeated ones too. */
  untilAttempts(count) {
    return this.#when(() => this.seen.length >= count);
  }

  #when(holds) {
    return new Promise((done) => {
      const wake = () => holds() && (done(), true);
      if (!wake()) this.#waiting.push(wake);
    });
  }
}

/** A receiver in this process. */
export class NodeReceiver extends Deliveries {
  static async start(library) {
    const receiver = new NodeReceiver();
    receiver.library = library;
    receiver.server = createServer((request, response) => receiver.#take(request, response)).listen(0, '127.0.0.1');
    await once(receiver.server, 'listening');
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}/hook`;
    return receiver;
  }

  /** From now on a delivery has to fit each of these keys. */
  trust(...keys) {
    this.verifiers = keys.map(libraries[this.library]);
  }

  async #take(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const [body, headers] = [Buffer.concat(chunks), request.headers];
    const problems = [];
    for (const verify of this.verifiers) {
      try {
        verify(body, headers);
      } catch (error) {
        problems.push(`${headers['webhook-id']} is not taken for genuine: ${error.message}`);
      }
      for (const [what, forgedBody, forgedHeaders] of forgeries(body, headers)) {
        if (!refuses(verify, forgedBody, forgedHeaders)) problems.push(`${headers['webhook-id']} with another ${what} is taken`);
      }
    }
    response.writeHead(problems.length === 0 ? 204 : 400).end();
    this.note({ id: headers['webhook-id'], headers, body }, problems);
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** A receiver in Python, with the library for Python. */
export class PythonReceiver extends Deliveries {
  static async start() {
    const receiver = new PythonReceiver();
    receiver.child = spawn('python3', ['-u', join(here, 'receiver.py')], {
      env: { ...process.env, PYTHONPATH: process.env.TIDINGS_PYTHON_PACKAGES ?? join(root, '.tools/python') },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: receiver.child.stdout });
    const started = once(lines, 'line');
    const ended = once(receiver.child, 'exit').then(() => {
      throw new Error('the receiver in Python did not start; `make setup` installs what it needs');
    });
    const [first] = await Promise.race([started, ended]);
    ended.catch(() => {});
    receiver.url = `http://127.0.0.1:${JSON.parse(first).port}/hook`;
    lines.on('line', (line) => receiver.#hear(JSON.parse(line)));
    return receiver;
  }

  #trusted;

  /** From now on a delivery has to fit each of these keys. Resolves when the receiver knows. */
  trust(...keys) {
    this.child.stdin.write(`${JSON.stringify(keys)}\n`);
    return new Promise((done) => (this.#trusted = done));
  }

  #hear(said) {
    if (said.trusted) return this.#trusted();
    this.note({ id: said.id, headers: said.headers, body: Buffer.from(said.body, 'base64') }, said.problems);
  }

  close() {
    this.child.kill('SIGKILL');
  }
}
