// The receivers that the guide shows, as they stand there, hold out against the worst sender there is.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { binary } from './server.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=';
const patience = { timeout: 120_000 };

/** The guide's only block of code in a language. */
async function block(language) {
  const guide = await readFile(join(root, 'docs/guides/webhooks.md'), 'utf8');
  const found = [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))];
  assert.equal(found.length, 1, `blocks of ${language}`);
  return found[0][1];
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until somebody listens. */
async function listening(port, child) {
  for (;;) {
    assert.equal(child.exitCode, null, 'the receiver has ended');
    const socket = connect(port, '127.0.0.1');
    const open = await new Promise((done) => socket.once('connect', () => done(true)).once('error', () => done(false)));
    socket.destroy();
    if (open) return;
    await pause(20);
  }
}

const languages = [
  { language: 'js', file: 'receiver.mjs', command: [process.execPath] },
  { language: 'python', file: 'receiver.py', command: ['python3', '-u'] },
];

for (const { language, file, command } of languages) {
  test(`the_guides_receiver_in_${language}_gets_nothing_wrong`, patience, async (t) => {
    // Beside this file, from where the packages can be found.
    const dir = await mkdtemp(join(here, '.guide-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    await writeFile(join(dir, file), await block(language));
    const port = await freePort();
    const PYTHONPATH = process.env.TIDINGS_PYTHON_PACKAGES ?? join(root, '.tools/python');
    const env = { ...process.env, PYTHONPATH, PORT: String(port), WEBHOOK_SECRET: secret };
    const child = spawn(command[0], [...command.slice(1), join(dir, file)], { env, stdio: ['ignore', 'inherit', 'inherit'] });
    t.after(async () => {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    });
    await listening(port, child);
    const args = ['verify-consumer', `http://127.0.0.1:${port}/webhooks`, '--secret', secret, '--json'];
    const ran = await promisify(execFile)(binary, args).catch((error) => error);
    const report = JSON.parse(ran.stdout);
    const wrong = report.checks.filter(({ status }) => status === 'failed' || status === 'warning');
    assert.deepEqual(wrong, []);
    assert.ok(report.ok);
  });
}
