// What `tidings catalog generate` writes, in the hands of each language's own tools: it compiles, and every example
// that a catalog holds comes out of the generated types as it went in.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Parser } from '@asyncapi/parser';
import { binary } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = resolve(here, '../..');
const harness = join(here, 'generated');
const targets = ['rust', 'typescript', 'python', 'go', 'protobuf', 'asyncapi'];
const patience = { timeout: 600_000 };

let folder;
/** Every catalog: its name, the folder of its output, and events made of its examples. */
const catalogs = [];

/** Runs a program to its end; what it wrote is the answer. */
async function run(command, args, { cwd = root, input = '', env = {} } = {}) {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env } });
  const out = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) child[stream].setEncoding('utf8').on('data', (text) => (out[stream] += text));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const code = await new Promise((done, failed) => child.on('error', failed).on('close', done));
  assert.equal(code, 0, `${command} ${args.join(' ')}\n${out.stderr}${out.stdout}`);
  return out.stdout;
}

function has(program, ...args) {
  return spawnSync(program, args).status === 0;
}

/** Generates into a folder a target below `out`. */
async function generate(catalog, wanted, out, ...more) {
  const chosen = wanted.flatMap((target) => ['--target', target]);
  const named = ['--package', 'acme-events', '--title', 'Acme', '--server-url', 'https://events.acme.example/base'];
  await run(binary, ['catalog', 'generate', catalog, ...chosen, '--out', out, ...named, ...more]);
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidings-generated-'));
  const starters = join(root, 'examples/catalogs');
  const names = (await readdir(starters, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const sources = names.map((entry) => join(starters, entry.name));
  sources.push(join(root, 'crates/catalog/tests/generate/catalog'));
  for (const source of sources) {
    const name = basename(source);
    const out = Object.fromEntries(targets.map((target) => [target, join(folder, name, target)]));
    await generate(source, targets, join(folder, name));
    const document = JSON.parse(await readFile(join(out.asyncapi, 'asyncapi.json'), 'utf8'));
    const cases = Object.entries(document.components.messages).flatMap(([message, { examples = [] }]) =>
      examples.map(({ payload }) => ({ message, event: { ...payload, added_later: { a: [null] } } })),
    );
    assert.ok(cases.length > 0, `${name} has no examples`);
    catalogs.push({ name, out, cases });
  }
});

after(() => rm(folder, { recursive: true, force: true }));

/** Events that are not what they say: one without a member that must be there, one of a type that nobody knows. */
function strangers({ name, cases }) {
  if (name !== 'catalog') return [];
  const of = (type, version, data) => ({ ...cases[0].event, type, version, data });
  return [
    of('test.payment.settled', '2', { method: 'card', payment_id: 1 }),
    of('test.payment.settled', '2', { method: 'cash', payment_id: 1 }),
    of('test.payment.settled', '1', { payment_id: 1 }),
    of('nobody.knows', '1', { a: [1, null] }),
    of('test.payment.settled', '3', { a: 1.5 }),
  ];
}

/** Sends a catalog's events through a program and looks at what comes out. */
async function comesOut(catalog, command, args, options) {
  const events = [...catalog.cases.map(({ event }) => event), ...strangers(catalog)];
  const outcomes = JSON.parse(await run(command, args, { ...options, input: JSON.stringify(events) }));
  assert.equal(outcomes.length, events.length);
  for (const [index, event] of events.slice(0, catalog.cases.length).entries()) {
    const { event: out, known, created, error } = outcomes[index];
    assert.equal(error, undefined, `${event.type}@${event.version}: ${error}`);
    assert.deepEqual(out, event);
    assert.ok(known, `${event.type}@${event.version} is known`);
    if (created) {
      assert.deepEqual(created.data, event.data);
      assert.equal(created.type, event.type);
      assert.equal(created.version, event.version);
      assert.deepEqual(created.source, event.source);
      // Where the data holds the entity's id, the constructor takes it from there.
      if (created.entity) assert.deepEqual(created.entity, event.entity);
    }
  }
  const [broken, other, retyped, unknown, later] = outcomes.slice(catalog.cases.length);
  if (broken) {
    for (const refused of [broken, other, retyped]) assert.ok(refused.error, JSON.stringify(refused));
    for (const kept of [unknown, later]) assert.deepEqual([kept.known, kept.event.data], [false, kept === unknown ? { a: [1, null] } : { a: 1.5 }]);
  }
}

test('generated_typescript_compiles_strictly_and_loses_nothing', patience, async () => {
  const tsc = join(here, 'node_modules/typescript/bin/tsc');
  for (const catalog of catalogs) {
    const at = catalog.out.typescript;
    if (catalog.name === 'catalog') await copyFile(join(harness, 'use.ts.txt'), join(at, 'src/use.ts'));
    await run(process.execPath, [tsc, '--project', at]);
    await comesOut(catalog, process.execPath, [join(harness, 'roundtrip.mjs'), join(at, 'dist/index.js')]);
  }
});

test('generated_python_loses_nothing', patience, async (t) => {
  const mypy = has('mypy', '--version');
  if (!mypy) t.diagnostic('mypy is not here: the types were not checked');
  for (const catalog of catalogs) {
    const env = { PYTHONPATH: catalog.out.python, PYTHONDONTWRITEBYTECODE: '1' };
    if (mypy) await run('mypy', ['--strict', join(catalog.out.python, 'acme_events')], { cwd: catalog.out.python });
    await comesOut(catalog, 'python3', [join(harness, 'roundtrip.py'), 'acme_events'], { env });
  }
});

test('generated_go_is_formatted_and_loses_nothing', patience, async (t) => {
  if (!has('go', 'version')) return t.skip('go is not here');
  const program = await readFile(join(harness, 'roundtrip.go'), 'utf8');
  for (const catalog of catalogs) {
    const at = catalog.out.go;
    const env = { GOFLAGS: '-mod=mod', GOPROXY: 'off', GOTOOLCHAIN: 'local' };
    assert.equal(await run('gofmt', ['-l', '.'], { cwd: at }), '', 'not formatted');
    await run('go', ['vet', './...'], { cwd: at, env });
    await mkdir(join(at, 'roundtrip'));
    const main = program.replace('"MODULE"', 'events "acme-events"').replaceAll('PACKAGE', 'events');
    await writeFile(join(at, 'roundtrip/main.go'), main);
    await comesOut(catalog, 'go', ['run', './roundtrip'], { cwd: at, env });
  }
});

test('generated_rust_compiles_without_a_warning_and_loses_nothing', patience, async () => {
  const program = (await readFile(join(harness, 'roundtrip.rs'), 'utf8')).replaceAll('CRATE', 'acme_events');
  const members = [];
  for (const { name, out } of catalogs) {
    const manifest = join(out.rust, 'Cargo.toml');
    // The crates stand beside each other here, each under a name of its own.
    const text = (await readFile(manifest, 'utf8')).replace('name = "acme-events"', `name = "events-${name}"`);
    await writeFile(manifest, `${text}\n[lib]\nname = "acme_events"\n`);
    await mkdir(join(out.rust, 'src/bin'));
    await writeFile(join(out.rust, `src/bin/through-${name}.rs`), program);
    members.push(`"${name}/rust"`);
  }
  await writeFile(join(folder, 'Cargo.toml'), `[workspace]\nresolver = "2"\nmembers = [${members.join(', ')}]\n`);
  await copyFile(join(root, 'Cargo.lock'), join(folder, 'Cargo.lock'));
  const env = { CARGO_TARGET_DIR: join(root, 'target/generated'), RUSTFLAGS: '-D warnings', CARGO_INCREMENTAL: '0' };
  await run('cargo', ['build', '--quiet', '--offline', '--bins'], { cwd: folder, env });
  for (const catalog of catalogs) {
    await comesOut(catalog, join(root, `target/generated/debug/through-${catalog.name}`), []);
  }
});

/** Without what proto3 cannot tell from a missing member, and with moments in one form. */
function asMessagesKnow(value, path = '') {
  if (Array.isArray(value)) return value.map((item) => asMessagesKnow(item, `${path}/`));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value)
    .map(([name, inner]) => [name, asMessagesKnow(inner, `${path}/${name}`)])
    .filter(([, inner]) => inner !== null && !(typeof inner === 'object' && Object.keys(inner).length === 0));
  return Object.fromEntries(members);
}

test('generated_messages_compile_and_carry_every_example', patience, async () => {
  for (const { out, cases } of catalogs) {
    const at = out.protobuf;
    const files = (await readdir(join(at, 'acme_events'))).map((name) => `acme_events/${name}`);
    const descriptors = join(at, 'all.desc');
    await mkdir(join(at, 'python'));
    const wanted = ['-I.', '--include_imports', `--descriptor_set_out=${descriptors}`, '--python_out=python', ...files];
    await run('protoc', wanted, { cwd: at });
    const events = cases.map(({ message, event }) => {
      const { added_later, ...known } = event;
      return { message, event: known };
    });
    const env = { PYTHONPATH: join(root, '.tools/python') };
    const args = [join(harness, 'protobuf_roundtrip.py'), descriptors, join(at, 'tidings.proto.lock.json')];
    const outcomes = JSON.parse(await run('python3', args, { env, input: JSON.stringify(events) }));
    for (const [index, { event }] of events.entries()) {
      for (const moment of ['timestamp', 'recorded_at']) {
        assert.equal(Date.parse(outcomes[index][moment]), Date.parse(event[moment]));
        outcomes[index][moment] = event[moment];
      }
      assert.deepEqual(asMessagesKnow(outcomes[index]), asMessagesKnow(event), event.type);
    }
  }
});

test('generating_anew_changes_nothing', patience, async () => {
  // In a folder of its own: the other tests write beside what was generated.
  const again = join(folder, 'again');
  const nasty = join(root, 'crates/catalog/tests/generate/catalog');
  await generate(nasty, targets, again);
  await generate(nasty, targets, again, '--check');
});

test('the_asyncapi_document_is_valid', patience, async () => {
  const parser = new Parser();
  for (const { name, out, cases } of catalogs) {
    const text = await readFile(join(out.asyncapi, 'asyncapi.json'), 'utf8');
    const { document, diagnostics } = await parser.parse(text);
    const errors = diagnostics.filter(({ severity }) => severity === 0);
    assert.deepEqual(errors.map(({ message, path }) => `${path.join('/')}: ${message}`), [], name);
    const messages = document.allMessages().all();
    assert.ok(messages.length >= new Set(cases.map(({ message }) => message)).size);
    assert.ok(document.operations().all().some((operation) => operation.isSend()));
  }
});
