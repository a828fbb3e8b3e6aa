'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const $ = (id) => document.getElementById(id);
  const PAGE = 100;
  const DAY = 86400;

  // Text from the cache is only ever set as text, never as HTML
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const number = new Intl.NumberFormat('en');
  const size = (bytes) => {
    let value = bytes, unit = 0;
    const units = ['B', 'kB', 'MB', 'GB', 'TB'];
    while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
    return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
  };
  const pad = (n) => String(n).padStart(2, '0');
  const date = (seconds) => {
    const d = new Date(seconds * 1000);
    if (Number.isNaN(d.getTime())) return 'out of range';
    return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}`;
  };
  const isStale = (row) => row[6] !== null && row[6] <= data.madeAt;

  // Head and totals
  $('name').textContent = data.name;
  $('made').textContent = `as of ${date(data.madeAt)}`;
  const facts = [
    ['Responses', number.format(data.totals.entries)],
    ['Size of bodies', size(data.totals.bytes)],
    ['Hosts', number.format(Object.keys(data.groups.host).length)],
    ['Expired', number.format(data.totals.expired)],
    ['Unreadable', number.format(data.totals.unreadable)],
  ];
  for (const [name, value] of facts) {
    const box = make('div');
    box.append(make('dt', name), make('dd', value));
    $('totals').append(box);
  }

  // Bars
  const bars = (id, group) => {
    const all = Object.entries(group).sort((a, b) => b[1][1] - a[1][1] || b[1][0] - a[1][0]);
    const top = all.slice(0, 10);
    const most = Math.max(1, ...top.map(([, [, bytes]]) => bytes));
    for (const [name, [count, bytes]] of top) {
      const row = make('div', undefined, 'bar');
      const label = make('span', name);
      label.title = name;
      const track = make('span');
      const bar = make('i');
      bar.style.width = `${(100 * bytes) / most}%`;
      track.append(bar);
      const value = make('span', size(bytes));
      value.title = `${number.format(count)} responses`;
      row.append(label, track, value);
      $(id).append(row);
    }
    if (all.length > top.length) $(id).append(make('small', `and ${number.format(all.length - top.length)} more`));
  };
  bars('hosts', data.groups.host);
  bars('types', data.groups.type);

  // Histograms
  const SVG = 'http://www.w3.org/2000/svg';
  const shape = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const day = (seconds) => date(seconds).slice(0, 10);
  const histogram = (id, times, none) => {
    const place = $(id);
    const finite = times.filter((t) => Math.abs(t) < 1e11);
    if (!finite.length) { place.append(make('p', none)); return; }
    let first = finite[0], last = finite[0];
    for (const t of finite) { if (t < first) first = t; if (t > last) last = t; }
    const COUNT = 40, width = Math.max(1, (last - first + 1) / COUNT);
    const counts = new Array(COUNT).fill(0);
    for (const t of finite) counts[Math.min(COUNT - 1, Math.floor((t - first) / width))] += 1;
    const most = Math.max(...counts);
    const svg = shape('svg', { viewBox: '0 0 400 140', preserveAspectRatio: 'none', role: 'img' });
    svg.append(shape('title', {}, `${number.format(finite.length)} responses, ${day(first)} to ${day(last)}, at most ${number.format(most)} in one bar`));
    counts.forEach((count, i) => {
      if (!count) return;
      const height = Math.max(2, (120 * count) / most);
      const start = first + i * width;
      const rect = shape('rect', { x: i * 10 + 1, y: 122 - height, width: 8, height });
      if (id === 'expiry' && start + width <= data.madeAt) rect.setAttribute('class', 'stale');
      rect.append(shape('title', {}, `${width >= DAY ? day(start) : date(start)}: ${number.format(count)}`));
      svg.append(rect);
    });
    svg.append(shape('line', { x1: 0, x2: 400, y1: 122.5, y2: 122.5 }));
    place.append(svg);
    const isLong = last - first >= 2 * DAY;
    const ends = make('div', undefined, 'ends');
    ends.append(make('span', isLong ? day(first) : date(first)), make('span', isLong ? day(last) : date(last)));
    place.append(ends);
  };
  histogram('received', data.rows.map((row) => row[5]), 'No responses');
  const never = data.rows.filter((row) => row[6] === null).length;
  histogram('expiry', data.rows.filter((row) => row[6] !== null).map((row) => row[6]), 'No response expires');
  if (never) $('expiry').append(make('small', `${number.format(never)} never expire`));

  // Lists
  const list = (id, rows, text) => {
    for (const row of rows) {
      const item = make('li');
      const label = make('span', row[0]);
      label.title = row[0];
      item.append(label, make('span', text(row)));
      $(id).append(item);
    }
  };
  list('largest', [...data.rows].sort((a, b) => b[4] - a[4]).slice(0, 10), (row) => size(row[4]));
  list('oldest', [...data.rows].sort((a, b) => a[5] - b[5]).slice(0, 10), (row) => date(row[5]));

  // Table
  const COLUMNS = [
    ['URL', (row) => row[0], 'url'],
    ['Method', (row) => row[1]],
    ['Status', (row) => row[2], 'number'],
    ['Type', (row) => row[3]],
    ['Size', (row) => size(row[4]), 'number'],
    ['Received', (row) => date(row[5])],
    ['Expires', (row) => (row[6] === null ? 'never' : date(row[6]))],
    ['Key', (row) => row[7]],
  ];
  let sorting = { column: 5, descending: true };
  let page = 0;
  let shown = data.rows;

  const headers = COLUMNS.map(([name], column) => {
    const header = make('th');
    header.scope = 'col';
    const button = make('button', name);
    button.type = 'button';
    button.addEventListener('click', () => {
      const numeric = [2, 4, 5, 6].includes(column);
      sorting = { column, descending: sorting.column === column ? !sorting.descending : numeric };
      update();
    });
    header.append(button);
    $('columns').append(header);
    return header;
  });

  const compare = (a, b) => {
    const x = a[sorting.column], y = b[sorting.column];
    if (x === y) return 0;
    if (x === null) return 1;
    if (y === null) return -1;
    return x < y ? -1 : 1;
  };
  const haystacks = data.rows.map((row) => `${row[0]} ${row[1]} ${row[2]} ${row[3]} ${row[7]}`.toLowerCase());

  const update = () => {
    const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const freshness = $('freshness').value;
    shown = data.rows.filter((row, i) =>
      words.every((word) => haystacks[i].includes(word)) && (!freshness || (freshness === 'stale') === isStale(row)));
    shown.sort(compare);
    if (sorting.descending) shown.reverse();
    headers.forEach((header, column) => {
      if (column === sorting.column) header.setAttribute('aria-sort', sorting.descending ? 'descending' : 'ascending');
      else header.removeAttribute('aria-sort');
    });
    page = 0;
    turn();
  };

  const turn = () => {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const fragment = document.createDocumentFragment();
    for (const row of shown.slice(page * PAGE, (page + 1) * PAGE)) {
      const line = make('tr');
      COLUMNS.forEach(([, text, name], column) => {
        const cell = make('td', text(row), name);
        if (column === 0) cell.title = row[0];
        if (column === 6 && isStale(row)) cell.className = 'stale';
        line.append(cell);
      });
      fragment.append(line);
    }
    $('rows').replaceChildren(fragment);
    const listed = data.rows.length < data.totals.entries ? ` (only the latest ${number.format(data.rows.length)} are listed)` : '';
    $('count').textContent = `${number.format(shown.length)} of ${number.format(data.totals.entries)}${listed}`;
    $('page').textContent = `Page ${number.format(page + 1)} of ${number.format(pages)}`;
    $('back').disabled = page === 0;
    $('on').disabled = page >= pages - 1;
  };

  $('filter').addEventListener('submit', (event) => event.preventDefault());
  $('search').addEventListener('input', update);
  $('freshness').addEventListener('change', update);
  $('back').addEventListener('click', () => { page -= 1; turn(); });
  $('on').addEventListener('click', () => { page += 1; turn(); });

  // Light or dark: follows the system until the button is pressed
  const wantsDark = matchMedia('(prefers-color-scheme: dark)');
  let chosen = null;
  const paint = () => {
    const dark = chosen === null ? wantsDark.matches : chosen;
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    $('theme').textContent = dark ? 'Light' : 'Dark';
    $('theme').setAttribute('aria-pressed', String(dark));
  };
  $('theme').addEventListener('click', () => { chosen = document.documentElement.dataset.theme !== 'dark'; paint(); });
  wantsDark.addEventListener('change', paint);
  paint();
  update();
})();
