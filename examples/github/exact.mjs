// JSON text as text. JSON.parse rounds large numbers and forgets how a string was escaped; these functions cut a
// document into the exact slices it consists of. The text must be valid JSON.

const SPACE = new Set([' ', '\n', '\r', '\t']);

function skipSpace(text, at) {
  while (SPACE.has(text[at])) at += 1;
  return at;
}

function skipString(text, at) {
  for (at += 1; text[at] !== '"'; at += 1) {
    if (text[at] === '\\') at += 1;
    if (at >= text.length) throw new SyntaxError('the string does not end');
  }
  return at + 1;
}

function skipValue(text, at) {
  if (text[at] === '"') return skipString(text, at);
  if (text[at] !== '{' && text[at] !== '[') {
    while (at < text.length && !SPACE.has(text[at]) && !',]}'.includes(text[at])) at += 1;
    return at;
  }
  let depth = 0;
  do {
    const char = text[at];
    if (char === undefined) throw new SyntaxError('the value does not end');
    if (char === '"') {
      at = skipString(text, at);
      continue;
    }
    if (char === '{' || char === '[') depth += 1;
    if (char === '}' || char === ']') depth -= 1;
    at += 1;
  } while (depth > 0);
  return at;
}

/** The slices of an array's elements. */
export function elements(text) {
  let at = skipSpace(text, 0);
  if (text[at] !== '[') throw new SyntaxError('not an array');
  const found = [];
  at = skipSpace(text, at + 1);
  while (text[at] !== ']') {
    const end = skipValue(text, at);
    found.push(text.slice(at, end));
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return found;
}

/** The slices of an object's members, by name. */
export function members(text) {
  let at = skipSpace(text, 0);
  if (text[at] !== '{') throw new SyntaxError('not an object');
  const found = new Map();
  at = skipSpace(text, at + 1);
  while (text[at] !== '}') {
    const nameEnd = skipString(text, at);
    const name = JSON.parse(text.slice(at, nameEnd));
    at = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = skipValue(text, at);
    found.set(name, text.slice(at, end));
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return found;
}

/** The same text without the space between its tokens: what a service sends, where a file is indented. */
export function compact(text) {
  let out = '';
  let at = 0;
  while (at < text.length) {
    if (SPACE.has(text[at])) {
      at += 1;
      continue;
    }
    const end = text[at] === '"' ? skipString(text, at) : at + 1;
    out += text.slice(at, end);
    at = end;
  }
  return out;
}
