// Reads events, a JSON array on stdin; writes what the generated package makes of each, a JSON array on stdout.

import { readFileSync } from 'node:fs';

const { eventTypes, parse, ParseError } = await import(process.argv[2]);

function through(event) {
  let parsed;
  try {
    parsed = parse(JSON.stringify(event));
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return { error: error.message };
  }
  const known = parsed.kind !== 'unknown';
  const created = known ? eventTypes[parsed.kind].create(event.tenant, parsed.event.data, { id: 'e1' }) : null;
  if (known && !eventTypes[parsed.kind].is(event)) throw new Error(`${parsed.kind} is not what it was parsed as`);
  return { event: parsed.event, known, created };
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(through)));
