// The documentation site in a real browser: nothing is loaded from outside, nothing complains, and what a reader does
// works, from a folder as well as from a server.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { binary } from './server.mjs';

const root = resolve(fileURLToPath(import.meta.url), '../../..');
const browserPath = process.env.TIDINGS_CHROMIUM ?? '/usr/bin/chromium';
const skip = existsSync(browserPath) ? false : `there is no ${browserPath}; TIDINGS_CHROMIUM names another`;
const patience = { timeout: 180_000, skip };
const types = { '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml' };

let dir;
let browser;
let server;
let bases;
let pages;

before(async () => {
  if (skip) return;
  dir = await mkdtemp(join(tmpdir(), 'tidings-site-'));
  const catalog = join(dir, 'catalog');
  for (const starter of ['ai', 'chat', 'property-management', 'sales', 'workflow']) {
    await cp(join(root, 'examples/catalogs', starter), catalog, { recursive: true });
  }
  const site = join(dir, 'site');
  await promisify(execFile)(binary, ['catalog', 'docs', catalog, '--out', site, '--title', 'Hearth & Co']);
  pages = ['index.html', 'owners.html', 'personal-data.html', 'sets.html', 'policies.html'];
  pages.push(...(await readdir(join(site, 'types'))).map((name) => `types/${name}`));
  server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://site').pathname;
    try {
      const body = await readFile(join(site, path));
      response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  bases = { folder: pathToFileURL(`${site}/`).href, server: `http://127.0.0.1:${server.address().port}/` };
  browser = await chromium.launchPersistentContext(join(dir, 'profile'), {
    executablePath: browserPath,
    headless: true,
    viewport: { width: 1360, height: 900 },
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
});

after(async () => {
  await browser?.close();
  server?.close();
  if (dir) await rm(dir, { recursive: true, force: true });
});

/** A page that ends the test at the first complaint, or where something is asked for from outside. */
async function open(base, path, { scheme = 'light', width = 1360 } = {}) {
  const page = await browser.newPage();
  const complaints = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('requestfailed', (request) => complaints.push(`${request.url()} failed`));
  page.on('request', (request) => {
    if (!request.url().startsWith(base)) complaints.push(`${request.url()} was asked for`);
  });
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme: scheme });
  await page.goto(base + path);
  return { page, quiet: () => assert.deepEqual(complaints, []) };
}

for (const place of ['folder', 'server']) {
  test(`pages_open_from_a_${place}_without_a_complaint`, patience, async () => {
    const some = pages.filter((path, i) => !path.startsWith('types/') || i % 12 === 0);
    for (const path of some) {
      const { page, quiet } = await open(bases[place], path);
      assert.equal(await page.locator('h1').count(), 1, path);
      assert.equal(await page.locator('main').count(), 1, path);
      assert.ok(await page.evaluate(() => globalThis.tidingsIndex.length > 100), path);
      quiet();
      await page.close();
    }
  });

  test(`a_type_is_found_by_the_name_of_a_member_from_a_${place}`, patience, async () => {
    const { page, quiet } = await open(bases[place], 'types/chat.call.ended.html');
    await page.keyboard.press('/');
    await page.keyboard.type('birth_date');
    const hits = page.locator('#found [role=option]');
    assert.deepEqual(await hits.locator('.hit-name').allTextContents(), ['property.tenant.created', 'property.tenant.updated']);
    assert.deepEqual(await hits.locator('.hit-member').allTextContents(), ['/birth_date', '/birth_date']);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    assert.equal(await page.locator('#search').getAttribute('aria-activedescendant'), 'hit-1');
    await Promise.all([page.waitForURL(/property\.tenant\.updated/), page.keyboard.press('Enter')]);
    assert.equal(await page.locator('h1').innerText(), 'property.tenant.updated');
    quiet();
    await page.close();
  });
}

test('dark_follows_the_system_until_the_reader_chooses', patience, async () => {
  const { page, quiet } = await open(bases.server, 'index.html', { scheme: 'dark' });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await paper();
  await page.locator('#theme').click();
  const light = await paper();
  assert.notEqual(dark, light);
  await page.goto(`${bases.server}types/property.issue.created.html`);
  assert.equal(await paper(), light, 'the choice holds on the next page');
  await page.locator('#theme').click();
  assert.equal(await paper(), dark);
  quiet();
  await page.evaluate(() => localStorage.clear());
  await page.close();
});

test('one_version_is_shown_at_a_time_and_a_link_leads_to_its_version', patience, async () => {
  const { page, quiet } = await open(bases.folder, 'types/property.issue.created.html');
  await page.locator('#v1').waitFor({ state: 'hidden' });
  assert.deepEqual([await page.locator('#v2').isVisible(), await page.locator('#v1').isVisible()], [true, false]);
  await page.locator('[data-tab=v1]').click();
  assert.deepEqual([await page.locator('#v2').isVisible(), await page.locator('#v1').isVisible()], [false, true]);
  await page.locator('#v1 .note a').click();
  await page.locator('#v2').waitFor();
  await page.goto(`${bases.folder}personal-data.html`);
  await page.locator('a[href="types/property.issue.created.html#v1"]').click();
  await page.locator('#v1').waitFor();
  // Until the page's script has run, all versions are shown.
  await page.locator('#v2').waitFor({ state: 'hidden' });
  assert.equal(await page.locator('#v1').isVisible(), true);
  quiet();
  await page.close();
});

test('the_index_can_be_narrowed', patience, async () => {
  const { page, quiet } = await open(bases.folder, 'index.html');
  await page.locator('#facet-owner').selectOption('moderation');
  const shown = await page.locator('.line:visible .name').allInnerTexts();
  assert.deepEqual(shown, ['chat.message.moderated', 'chat.message.reported']);
  assert.match(await page.locator('#facet-count').innerText(), /^2 of \d+ types$/);
  quiet();
  await page.close();
});

test('a_state_machine_is_drawn_with_all_its_states', patience, async () => {
  const { page, quiet } = await open(bases.folder, 'types/property.issue.status_changed.html');
  const states = await page.locator('svg.machine .state text').allTextContents();
  assert.deepEqual(states.sort(), ['cancelled', 'closed', 'in_progress', 'open', 'resolved', 'waiting']);
  quiet();
  await page.close();
});

test('a_narrow_screen_is_never_scrolled_sideways', patience, async () => {
  for (const path of pages.filter((path, i) => !path.startsWith('types/') || i % 16 === 0)) {
    const { page, quiet } = await open(bases.folder, path, { width: 360 });
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= window, `${path} is ${wide} wide`);
    quiet();
    await page.close();
  }
});

/** Texts whose contrast with what lies behind them is below 4.5, as WCAG 2.2 AA asks for. */
function faint() {
  const channels = (color) => {
    const numbers = color.match(/[\d.]+/g).map(Number);
    const scale = color.startsWith('color(') ? 1 : 255;
    return [...numbers.slice(0, 3).map((number) => number / scale), numbers[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    if (!element) return [1, 1, 1];
    const own = channels(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement));
  };
  const found = new Set();
  for (const element of document.querySelectorAll('body *')) {
    const said = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!said || element.closest('svg') || element.getClientRects().length === 0) continue;
    const paper = behind(element);
    const ink = over(channels(getComputedStyle(element).color), paper);
    const [low, high] = [luminance(ink), luminance(paper)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.add(`${element.tagName}.${element.className}: ${contrast.toFixed(2)}`);
  }
  return [...found];
}

for (const scheme of ['light', 'dark']) {
  test(`every_text_can_be_read_in_${scheme}`, patience, async () => {
    const some = ['index.html', 'personal-data.html', 'policies.html', 'types/property.issue.created.html', 'types/sales.lead.qualified.html', 'types/workflow.run.paused.html'];
    for (const path of some) {
      const { page, quiet } = await open(bases.folder, path, { scheme });
      assert.deepEqual(await page.evaluate(faint), [], path);
      await page.evaluate(() => (document.querySelector('h1').style.color = '#888'));
      assert.equal((await page.evaluate(faint)).length > 0, scheme === 'light', 'what is faint is found');
      quiet();
      await page.close();
    }
  });
}
