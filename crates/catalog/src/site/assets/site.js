'use strict';

(() => {
  const root = document.body.dataset.root ?? '';

  // The theme.
  const toggle = document.getElementById('theme');
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? 'dark' : 'light')) === 'dark';
  const tell = () => toggle.setAttribute('aria-pressed', String(isDark()));
  toggle.hidden = false;
  tell();
  dark.addEventListener('change', tell);
  toggle.addEventListener('click', () => {
    const theme = isDark() ? 'light' : 'dark';
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem('tidings-theme', theme);
    } catch {
      // It holds for this page alone.
    }
    tell();
  });

  // The search.
  const input = document.getElementById('search');
  const found = document.getElementById('found');
  const shownMax = 12;
  const fold = (text) => text.toLowerCase();
  const entries = (globalThis.tidingsIndex ?? []).map(([name, path, description, owner, stage, members]) => ({
    name, path, description, owner, stage, members,
    folded: { name: fold(name), description: fold(description), owner: fold(owner), members: members.map(fold) },
  }));
  let chosen = -1;

  /** How well one word fits an entry, and the member by which it does; zero: not at all. */
  function fit(entry, word) {
    const { name, description, owner, members } = entry.folded;
    if (name === word) return [100];
    if (name.startsWith(word)) return [60];
    if (name.split(/[._]/).some((part) => part.startsWith(word))) return [40];
    if (name.includes(word)) return [24];
    const member = members.findIndex((path) => path.split(/[/_*]/).some((part) => part.startsWith(word)) || path.includes(word));
    if (member >= 0) return [members[member].endsWith(`/${word}`) ? 20 : 12, entry.members[member]];
    if (owner.startsWith(word)) return [10];
    if (description.includes(word)) return [4];
    return [0];
  }

  function search(query) {
    const words = fold(query).split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    const hits = [];
    for (const entry of entries) {
      let score = entry.stage === 'deprecated' ? -3 : 0;
      let member;
      const all = words.every((word) => {
        const [points, by] = fit(entry, word);
        score += points;
        member ??= by;
        return points > 0;
      });
      if (all) hits.push({ entry, score, member });
    }
    return hits.sort((a, b) => b.score - a.score || (a.entry.name < b.entry.name ? -1 : 1));
  }

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function show() {
    const query = input.value.trim();
    const hits = search(query);
    choose(-1);
    found.replaceChildren();
    hits.slice(0, shownMax).forEach(({ entry, member }, i) => {
      const link = element('a', 'hit');
      link.href = root + entry.path;
      link.id = `hit-${i}`;
      link.setAttribute('role', 'option');
      link.setAttribute('aria-selected', 'false');
      link.tabIndex = -1;
      const title = element('span', 'hit-name', entry.name);
      if (entry.stage !== 'stable') title.append(' ', element('span', `badge stage-${entry.stage}`, entry.stage));
      link.append(title, element('span', 'hit-owner', entry.owner));
      link.append(member ? element('code', 'hit-member', member) : element('span', 'hit-text', entry.description));
      found.append(link);
    });
    if (query && hits.length === 0) found.append(element('p', 'hit-none', 'Nothing was found.'));
    if (hits.length > shownMax) found.append(element('p', 'hit-none', `and ${hits.length - shownMax} more`));
    open(query !== '');
  }

  function open(is) {
    found.hidden = !is;
    input.setAttribute('aria-expanded', String(is));
  }

  function choose(next) {
    const links = found.querySelectorAll('.hit');
    links[chosen]?.setAttribute('aria-selected', 'false');
    chosen = links.length === 0 ? -1 : Math.max(-1, Math.min(next, links.length - 1));
    if (chosen < 0) return input.removeAttribute('aria-activedescendant');
    links[chosen].setAttribute('aria-selected', 'true');
    links[chosen].scrollIntoView({ block: 'nearest' });
    input.setAttribute('aria-activedescendant', links[chosen].id);
  }

  input.addEventListener('input', show);
  input.addEventListener('focus', show);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') choose(chosen + 1);
    else if (event.key === 'ArrowUp') choose(chosen - 1);
    else if (event.key === 'Enter') found.querySelectorAll('.hit')[Math.max(chosen, 0)]?.click();
    else if (event.key === 'Escape') {
      input.value = '';
      open(false);
      return input.blur();
    } else return;
    event.preventDefault();
  });
  document.addEventListener('click', (event) => {
    if (!event.target.closest('.search')) open(false);
  });
  document.addEventListener('keydown', (event) => {
    const writing = event.target.closest?.('input, select, textarea, [contenteditable]');
    if (event.key !== '/' || writing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
    input.select();
  });

  // The versions of a type: one at a time.
  const tabs = [...document.querySelectorAll('[data-tab]')];
  const panels = [...document.querySelectorAll('[data-panel]')];
  function turn() {
    const at = decodeURIComponent(location.hash.slice(1));
    const target = at && document.getElementById(at)?.closest('[data-panel]');
    const first = tabs.find((tab) => 'current' in tab.dataset)?.dataset.tab;
    const shown = target?.id ?? panels.find((panel) => panel.classList.contains('shown'))?.id ?? first;
    for (const panel of panels) panel.classList.toggle('shown', panel.id === shown);
    for (const tab of tabs) {
      if (tab.dataset.tab === shown) tab.setAttribute('aria-current', 'true');
      else tab.removeAttribute('aria-current');
    }
  }
  if (tabs.length > 0) {
    document.body.classList.add('tabbed');
    addEventListener('hashchange', turn);
    turn();
    // A tab says which version is shown; the page stays where it is.
    for (const tab of tabs) {
      tab.addEventListener('click', (event) => {
        event.preventDefault();
        history.replaceState(null, '', tab.hash);
        turn();
      });
    }
  }

  // What the index shows.
  const facets = document.getElementById('facets');
  if (facets) {
    const owner = document.getElementById('facet-owner');
    const stage = document.getElementById('facet-stage');
    const personal = document.getElementById('facet-personal');
    const count = document.getElementById('facet-count');
    const lines = [...document.querySelectorAll('.line')];
    const narrow = () => {
      let shown = 0;
      for (const line of lines) {
        const fits = (!owner.value || line.dataset.owner === owner.value)
          && (!stage.value || line.dataset.stage === stage.value)
          && (!personal.checked || 'personal' in line.dataset);
        line.hidden = !fits;
        shown += fits ? 1 : 0;
      }
      for (const group of document.querySelectorAll('.entity, .domain')) {
        group.hidden = !group.querySelector('.line:not([hidden])');
      }
      count.textContent = shown === lines.length ? '' : `${shown} of ${lines.length} types`;
    };
    facets.hidden = false;
    // A browser that comes back to the page may have kept what was chosen.
    narrow();
    facets.addEventListener('change', narrow);
  }
})();
