// GitHub's own JSON Schemas as definitions of a catalog: one for each of our event types that its webhooks become.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { corrected } from './corrections.mjs';
import { kindsOf } from './map.mjs';
import { examples } from './replay.mjs';

const load = async () =>
  JSON.parse(await readFile(createRequire(import.meta.url).resolve('@octokit/webhooks-schemas'), 'utf8')).definitions;

const REFERENCE = '#/definitions/';

/** The names of the definitions that a schema leans on, directly or not. */
function reach(schema, all, found = new Set()) {
  if (Array.isArray(schema)) schema.forEach((part) => reach(part, all, found));
  else if (schema && typeof schema === 'object') {
    if (typeof schema.$ref === 'string' && schema.$ref.startsWith(REFERENCE)) {
      const name = schema.$ref.slice(REFERENCE.length);
      if (!found.has(name)) reach(all[name], all, found.add(name));
    }
    Object.values(schema).forEach((part) => reach(part, all, found));
  }
  return found;
}

/** Our schema for webhooks that are described by any of these definitions. */
function schemaOf(names, all) {
  const wanted = names.map((name) => ({ $ref: REFERENCE + name }));
  const root = wanted.length === 1 ? wanted[0] : { anyOf: wanted };
  const definitions = Object.fromEntries([...reach(root, all)].sort().map((name) => [name, all[name]]));
  return { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', allOf: [root], definitions };
}

/**
 * Every definition: what `types/<name>/v1.json` of a catalog's folder holds. Of `examples` the first of each type goes
 * into its definition. `verbatim` leaves GitHub's schemas as they are.
 */
export async function definitions({ examples = [], verbatim = false } = {}) {
  const all = verbatim ? await load() : corrected(await load());
  const byType = new Map();
  for (const name of Object.keys(all)) {
    const [kind, action] = name.split('$');
    if (action === undefined) continue;
    for (const type of kindsOf(kind, action === 'event' ? undefined : action)) {
      byType.set(type, [...(byType.get(type) ?? []), name]);
    }
  }
  return [...byType].sort(([a], [b]) => (a < b ? -1 : 1)).map(([type, names]) => {
    const titles = names.map((name) => all[name].description ?? all[name].title ?? name);
    const example = examples.find(({ event }) => event.type === type);
    return {
      name: type,
      version: '1',
      owner: 'github',
      description: `GitHub's ${titles.join(', ')}.`,
      lifecycle: 'stable',
      ordering: 'entity',
      name_exception: "the entities and actions are GitHub's own words, which readers know",
      schema: schemaOf(names, all),
      examples: example ? [{ name: 'from GitHub', data: JSON.parse(example.payload) }] : [],
    };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? 'catalog';
  const all = await definitions({ examples: await examples() });
  for (const definition of all) {
    const path = join(folder, 'types', definition.name);
    await mkdir(path, { recursive: true });
    await writeFile(join(path, 'v1.json'), `${JSON.stringify(definition, null, 1)}\n`);
  }
  console.log(`${all.length} definitions in ${folder}/types`);
}
