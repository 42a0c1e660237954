// SPDX-License-Identifier: Apache-2.0
// Draws the report: reads the JSON in #data and fills the page. Whatever comes from the target goes into text nodes only.
'use strict';
(() => {
const DATA = JSON.parse(document.getElementById('data').textContent);
const FIRST_ROWS = 100, MORE_ROWS = 500, BLOCKS_SHOWN = 1000, PRINTED_STACKS = 20;
const $ = (id) => document.getElementById(id);
const root = document.documentElement;

// ---- words ----

function el(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined && text !== null) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let i = 0, m = Math.abs(n);
  for (; m >= 1024 && i < units.length - 1; i++) m /= 1024;
  return (n < 0 ? '-' : '') + (i ? m.toFixed(1) : m) + ' ' + units[i];
}

function signed(n) { return (n > 0 ? '+' : '') + bytes(n); }
function count(n, what) { return n.toLocaleString('en') + ' ' + what + (n === 1 ? '' : 's'); }

function duration(ms) {
  if (ms < 1000) return ms + 'ms';
  const s = Math.floor(ms / 1000);
  if (s < 60) return s + 's';
  if (s < 3600) return Math.floor(s / 60) + 'm' + String(s % 60).padStart(2, '0') + 's';
  if (s < 86400) return Math.floor(s / 3600) + 'h' + String(Math.floor(s / 60) % 60).padStart(2, '0') + 'm';
  return Math.floor(s / 86400) + 'd' + String(Math.floor(s / 3600) % 24).padStart(2, '0') + 'h';
}

const FRAMES = DATA.frames.map(([fn, module, file, line, inlined, offset, build]) => {
  const name = fn !== null ? fn : module !== null ? module + '+' + offset : offset;
  let place = '';
  if (file !== null) place = line ? file + ':' + line : file;
  else if (module !== null && fn !== null) place = module + '+' + offset + (build ? ' build-id ' + build.slice(0, 12) : '');
  return {name, place, inlined, module, text: (name + '\n' + (module || '') + '\n' + (file || '')).toLowerCase()};
});
DATA.paths.forEach((p, i) => { p.index = i; p.class = p.class || 'unknown'; });

// ---- head ----

function fillHead() {
  const who = DATA.kernel ? 'the kernel' : DATA.comm + ' (pid ' + DATA.pid + ')';
  const t = DATA.totals, filters = [];
  document.title = 'seep: ' + who;
  $('title').textContent = who + (DATA.ended ? ', ended' : '');
  if (DATA.older) filters.push('older than ' + duration(DATA.older));
  if (DATA.min_size) filters.push('from ' + bytes(DATA.min_size));
  if (DATA.max_size) filters.push('up to ' + bytes(DATA.max_size));
  $('summary').textContent = (t.paths ? bytes(t.bytes) + ' in ' + count(t.blocks, 'block') + ' outstanding on ' +
    count(t.paths, 'call path') : 'Nothing is outstanding') + (filters.length ? ', ' + filters.join(', ') : '');
  $('about').textContent = new Date(DATA.time).toISOString().replace('T', ' ').replace(/\.\d+Z/, ' UTC') + ', engine ' + DATA.engine;
  for (const note of DATA.notes.split('\n').filter(Boolean)) $('notes').append(el('li', note));
  $('foot').textContent = 'Outstanding: allocated since the watch began and not freed. Made by seep ' + DATA.version +
    ' with d3-flame-graph (Apache-2.0), d3 (ISC) and uPlot (MIT).';
}

// ---- colours by verdict ----

const CLASSES = new Map(DATA.classes);
let colours = {};
function readColours() {
  const style = getComputedStyle(root);
  for (const name of [...CLASSES.keys(), 'text', 'line', 'accent', 'dim', 'mark', 'back'])
    colours[name] = style.getPropertyValue('--' + name).trim();
}

function verdict(name) {
  const e = el('span', null, 'verdict'), swatch = el('i', null, 'swatch');
  swatch.style.setProperty('--c', 'var(--' + (CLASSES.has(name) ? name : 'unknown') + ')');
  e.append(swatch, name);
  e.title = CLASSES.get(name) || '';
  return e;
}

// ---- time ----

const POWERS = Array.from({length: 52}, (_, i) => 2 ** i);
const clock = (s) => new Date(s * 1000).toTimeString().slice(0, 8) + (DATA.times[DATA.times.length - 1] - DATA.times[0] < 10000 ? '.' + String(Math.floor(s * 10) % 10) : '');
let chart = null, picked = null;
function drawChart() {
  if (!DATA.times || DATA.times.length < 2) { $('over-time').hidden = true; return; }
  const axis = {stroke: colours.dim, grid: {stroke: colours.line, width: 1}, ticks: {stroke: colours.line}};
  const one = picked && picked.history ? picked : null;
  const data = [DATA.times.map((t) => t / 1000), one ? one.history : DATA.history];
  const series = [{label: 'time', value: (_, v) => v === null ? '' : clock(v)},
    {label: one ? '#' + (one.index + 1) : 'all', stroke: one ? colours[one.class] : colours.accent, width: 2, value: (_, v) => v === null ? '' : bytes(v)}];
  $('time-heading').textContent = 'Outstanding bytes over time' + (one ? ', call path #' + (one.index + 1) : '');
  if (chart) chart.destroy();
  chart = new uPlot({width: $('chart').clientWidth, height: 190, series, scales: {y: {range: (_, lo, hi) => [0, hi || 1]}},
    axes: [{...axis, space: 90, values: (_, ticks) => ticks.map(clock)}, {...axis, size: 80, incrs: POWERS, values: (_, ticks) => ticks.map(bytes)}]}, data, $('chart'));
}

// ---- flame graph ----

// Frames from the outermost inwards; equal names under one parent are one frame.
function makeTree() {
  const top = {name: DATA.kernel ? 'kernel' : DATA.comm, value: 0, by: {}, kids: new Map(), text: ''};
  for (const p of DATA.paths) {
    let at = top;
    at.value += p.bytes;
    at.by[p.class] = (at.by[p.class] || 0) + p.bytes;
    for (let i = p.frames.length - 1; i >= 0; i--) {
      const f = FRAMES[p.frames[i]], key = f.name + (f.inlined ? '\0i' : '');
      let kid = at.kids.get(key);
      if (!kid) at.kids.set(key, kid = {name: f.name + (f.inlined ? ' (inlined)' : ''), place: f.place, value: 0, by: {}, kids: new Map(), text: f.text});
      kid.value += p.bytes;
      kid.by[p.class] = (kid.by[p.class] || 0) + p.bytes;
      at = kid;
    }
  }
  const missing = DATA.totals.bytes - top.value;
  if (missing > 0) {
    top.kids.set('', {name: '[call paths not shown]', place: '', value: missing, by: {unknown: missing}, kids: new Map(), text: ''});
    top.value += missing;
  }
  return top;
}

function worst(by) { // the class with most of the bytes; of equal ones the worse
  let best = 'unknown', most = 0;
  for (const name of CLASSES.keys()) if ((by[name] || 0) > most) { best = name; most = by[name]; }
  return best;
}

let graph = null, whole = 1, at = null;
function describe(d) {
  const n = d.data, share = whole ? (100 * n.value / whole).toFixed(1) + '%' : '';
  const parts = Object.entries(n.by).sort((a, b) => b[1] - a[1]).map(([c, b]) => c + ' ' + bytes(b));
  return n.name + '  ' + bytes(n.value) + ' (' + share + ')' + (parts.length ? ', ' + parts.join(', ') : '') + (n.place ? '  ' + n.place : '');
}

function point(d) { // moves the keyboard's mark
  at = d;
  $('frame-text').textContent = d ? describe(d) : '\u00a0';
  for (const g of $('flame').querySelectorAll('g.frame')) {
    const is = d && g.__data__ === d;
    g.classList.toggle('at', !!is);
    if (is) g.scrollIntoView({block: 'nearest'});
  }
}

function drawFlame() {
  const width = $('flame').clientWidth;
  $('flame').replaceChildren();
  at = null;
  if (!DATA.paths.length) { $('flame').append(el('p', 'Nothing to draw.')); return; }
  const tree = makeTree();
  whole = tree.value;
  graph = SeepFlame.flamegraph().width(width).cellHeight(18).minFrameSize(2).transitionDuration(0).inverted(true).sort(true)
    .title('').label(describe).getName((d) => d.data.name).getValue((d) => 'value' in d ? d.value : d.data.value)
    .setColorMapper((d) => d.highlight ? colours.mark : colours[worst(d.data.by)])
    .setSearchMatch((d, term) => d.data.text.includes(term))
    .onHover((d) => { $('frame-text').textContent = describe(d); })
    .onClick((d) => point(d)).scrollOnZoom(false);
  SeepFlame.select('#flame').datum(withChildren(tree)).call(graph);
  const term = $('search').value.trim().toLowerCase();
  if (term) graph.search(term);
}

function withChildren(n) { // without recursion: a call path may be 500 frames deep
  const stack = [n];
  while (stack.length) {
    const x = stack.pop();
    if (x.kids.size) x.children = [...x.kids.values()];
    delete x.kids;
    for (const k of x.children || []) stack.push(k);
  }
  return n;
}

// What is wide enough to be drawn, as the keyboard walks over it.
function drawn(list) {
  const all = new Set([...$('flame').querySelectorAll('g.frame')].map((g) => g.__data__));
  return (list || []).filter((d) => all.has(d));
}
const largest = (list) => drawn(list).sort((a, b) => b.value - a.value)[0];
function neighbour(d, step) {
  const all = drawn(d.parent ? d.parent.children : [d]);
  return all[all.indexOf(d) + step] || d;
}

function showWhole() { if (graph) { graph.resetZoom(); point(null); } }

function flameKey(e) {
  if (!graph) return;
  const top = SeepFlame.select('#flame').datum();
  const moves = {
    ArrowDown: () => point(at ? largest(at.children) || at : top),
    ArrowUp: () => point(at && at.parent ? at.parent : top),
    ArrowLeft: () => point(at ? neighbour(at, -1) : top),
    ArrowRight: () => point(at ? neighbour(at, 1) : top),
    Enter: () => { if (at) { const d = at; graph.zoomTo(d); point(d); } },
    Escape: showWhole,
  };
  if (!moves[e.key]) return;
  e.preventDefault();
  moves[e.key]();
}

// ---- table ----

const COLUMNS = [
  {key: 'index', name: '#', value: (p) => p.index, first: 1},
  {key: 'class', name: 'Verdict', text: true, value: (p) => [...CLASSES.keys()].indexOf(p.class), first: 1},
  {key: 'bytes', name: 'Bytes', value: (p) => p.bytes, first: -1},
  {key: 'blocks', name: 'Blocks', value: (p) => p.blocks, first: -1},
  {key: 'growth', name: 'Grew', value: (p) => p.growth, first: -1},
  {key: 'slope', name: 'Per second', value: (p) => p.slope || 0, first: -1},
  {key: 'oldest', name: 'Oldest', value: (p) => p.oldest, first: -1},
  {key: 'freed', name: 'Freed of older', value: (p) => p.seen ? p.freed / p.seen : -1, first: 1},
  {key: 'trend', name: 'Over time', text: true},
  {key: 'name', name: 'Function', text: true, value: (p) => title(p), first: 1},
];
let order = {column: COLUMNS[0], direction: 1}, found = DATA.paths, limit = FIRST_ROWS, open = new Set();

function title(p) { return FRAMES[p.frames[0]].name; }

function spark(p) {
  const ns = 'http://www.w3.org/2000/svg', svg = document.createElementNS(ns, 'svg'), line = document.createElementNS(ns, 'polyline');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('viewBox', '0 0 90 20');
  svg.setAttribute('aria-hidden', 'true');
  if (!p.history || p.history.length < 2) return svg;
  const most = Math.max(...p.history, 1), t = DATA.times, span = t[t.length - 1] - t[0] || 1;
  line.setAttribute('points', p.history.map((b, i) => (1 + 88 * (t[i] - t[0]) / span).toFixed(1) + ',' + (18.5 - 17 * b / most).toFixed(1)).join(' '));
  svg.append(line);
  return svg;
}

function cells(p) {
  const rate = p.slope ? (p.slope > 0 ? '+' : '') + bytes(Math.round(p.slope)) + '/s' : '';
  return {
    index: '#' + (p.index + 1), bytes: bytes(p.bytes) + (p.error ? ' \u00b1' + p.error + '%' : ''), blocks: p.blocks.toLocaleString('en'),
    growth: p.growth ? signed(p.growth) : '', slope: rate, oldest: duration(p.oldest), freed: p.seen ? p.freed.toLocaleString('en') + ' of ' + p.seen.toLocaleString('en') : '',
  };
}

function row(p) {
  const tr = el('tr', null, 'path'), text = cells(p);
  for (const c of COLUMNS) {
    const td = el('td', text[c.key], c.text ? 'text' : '');
    if (c.key === 'class') td.append(verdict(p.class));
    if (c.key === 'trend') td.append(spark(p));
    if (c.key === 'name') {
      td.className = 'name';
      td.append(title(p));
      const via = p.frames.slice(1, 4).map((f) => FRAMES[f].name).join(' \u2190 ');
      if (via) td.append(el('span', ' \u2190 ' + via, 'via'));
    }
    tr.append(td);
  }
  tr.tabIndex = 0;
  tr.setAttribute('aria-expanded', open.has(p));
  tr.dataset.path = p.index;
  return tr;
}

function detail(p) {
  const tr = el('tr', null, 'detail'), td = el('td'), frames = el('ol', null, 'frames');
  td.colSpan = COLUMNS.length;
  for (const i of p.frames) {
    const f = FRAMES[i], li = el('li', f.name + (f.inlined ? ' (inlined)' : ''));
    if (f.place) li.append('  ', el('span', f.place, 'place'));
    frames.append(li);
  }
  if (p.leaked_blocks) td.append(el('p', 'Leaked: nothing points to ' + bytes(p.leaked_bytes) + ' in ' + count(p.leaked_blocks, 'block') + ' any more.'));
  td.append(frames);
  if (p.list) {
    const list = el('ul', null, 'blocks');
    td.append(el('p', count(p.list.length, 'block') + (p.list.length > BLOCKS_SHOWN ? ', the first ' + BLOCKS_SHOWN : '') + ':'));
    for (const [address, size, age] of p.list.slice(0, BLOCKS_SHOWN)) list.append(el('li', address + '  ' + size + ' B, ' + duration(age) + ' old'));
    td.append(list);
  }
  tr.append(td);
  return tr;
}

function drawRows() {
  const rows = [];
  for (const p of found.slice(0, limit)) {
    rows.push(row(p));
    if (open.has(p)) rows.push(detail(p));
  }
  $('rows').replaceChildren(...rows);
  $('more').hidden = found.length <= limit;
  $('more').textContent = 'Show ' + Math.min(MORE_ROWS, found.length - limit) + ' more of ' + found.length.toLocaleString('en');
  const sum = found.reduce((n, p) => n + p.bytes, 0);
  $('found').textContent = found.length === DATA.paths.length ? '' : count(found.length, 'call path') + ', ' + bytes(sum);
}

function drawColumns() {
  $('columns').replaceChildren(...COLUMNS.map((c) => {
    const th = el('th', null, c.text ? 'text' : '');
    th.scope = 'col';
    if (!c.value) { th.textContent = c.name; return th; }
    const is = order.column === c;
    th.setAttribute('aria-sort', is ? (order.direction > 0 ? 'ascending' : 'descending') : 'none');
    const b = el('button', c.name + (is ? (order.direction > 0 ? ' \u25b2' : ' \u25bc') : ''));
    b.type = 'button';
    b.addEventListener('click', () => {
      order = {column: c, direction: is ? -order.direction : c.first};
      arrange();
      drawColumns();
      $('columns').children[COLUMNS.indexOf(c)].firstChild.focus();
    });
    th.append(b);
    return th;
  }));
}

function arrange() {
  const term = $('search').value.trim().toLowerCase(), only = $('verdict').value;
  const hit = term ? FRAMES.map((f) => f.text.includes(term)) : null;
  found = DATA.paths.filter((p) => (!only || p.class === only) && (!hit || p.frames.some((f) => hit[f])));
  const value = order.column.value, d = order.direction;
  found.sort((a, b) => { const x = value(a), y = value(b); return (x < y ? -d : x > y ? d : 0) || a.index - b.index; });
  limit = FIRST_ROWS;
  drawRows();
}

function toggle(tr) {
  const p = DATA.paths[tr.dataset.path];
  if (open.delete(p)) {
    if (tr.nextSibling && tr.nextSibling.className === 'detail') tr.nextSibling.remove();
  } else {
    open.add(p);
    tr.after(detail(p));
  }
  tr.setAttribute('aria-expanded', open.has(p));
  picked = open.has(p) ? p : null;
  drawChart();
}

// ---- what the user does ----

let waiting = 0;
function onSearch() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const term = $('search').value.trim().toLowerCase();
    arrange();
    if (graph && DATA.paths.length) { if (term) graph.search(term); else graph.clear(); }
  }, 120);
}

function redraw() { readColours(); drawChart(); drawFlame(); }

const THEMES = ['auto', 'light', 'dark'];
function nextTheme() {
  const now = root.dataset.theme || 'auto', next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  if (next === 'auto') delete root.dataset.theme; else root.dataset.theme = next;
  $('theme').textContent = 'Theme: ' + next;
  redraw();
}

// ---- paper: as wide as a page, light, with the stacks of the first call paths, which nobody can click there ----

let screenTheme = null;
function beginPrint() {
  screenTheme = root.dataset.theme || '';
  root.dataset.theme = 'light';
  root.classList.add('paper');
  limit = Math.max(limit, MORE_ROWS);
  for (const p of found.slice(0, PRINTED_STACKS)) open.add(p);
  drawRows();
  redraw();
}

function endPrint() {
  if (screenTheme) root.dataset.theme = screenTheme; else delete root.dataset.theme;
  root.classList.remove('paper');
  redraw();
}

function listen() {
  $('theme').addEventListener('click', nextTheme);
  $('search').addEventListener('input', onSearch);
  $('verdict').addEventListener('change', arrange);
  $('more').addEventListener('click', () => { limit += MORE_ROWS; drawRows(); });
  $('whole').addEventListener('click', showWhole);
  $('flame').addEventListener('keydown', flameKey);
  $('rows').addEventListener('click', (e) => {
    const tr = e.target.closest('tr.path');
    if (tr && !String(getSelection())) toggle(tr);
  });
  $('rows').addEventListener('keydown', (e) => {
    if (e.target.matches('tr.path') && (e.key === 'Enter' || e.key === ' ')) { e.preventDefault(); toggle(e.target); }
  });
  addEventListener('keydown', (e) => {
    if (e.key === '/' && !e.target.matches('input')) { e.preventDefault(); $('search').focus(); }
  });
  let resizing = 0;
  addEventListener('resize', () => { clearTimeout(resizing); resizing = setTimeout(redraw, 150); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  addEventListener('beforeprint', beginPrint);
  addEventListener('afterprint', endPrint);
}

fillHead();
readColours();
const used = new Set(DATA.paths.map((p) => p.class));
for (const [name, text] of DATA.classes) {
  if (!used.has(name)) continue;
  const e = verdict(name);
  e.append(': ' + text);
  $('legend').append(e);
  $('verdict').append(new Option(name, name));
}
drawColumns();
arrange();
listen();
drawChart();
drawFlame();
root.dataset.ready = 'yes';
})();
