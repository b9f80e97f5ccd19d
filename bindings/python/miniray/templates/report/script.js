// Draws the Gantt pictures of a report and lets them be looked at closely.  All pictures share one window of time.
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const tip = document.getElementById('tip');
  const LEFT = 118, RIGHT = 14, TOP = 4, AXIS = 24, NODE_GAP = 11, TALLEST = 6000;
  const COLOURS = 9, OTHER = 8;
  let view = [0, data.span], by = 'fn', only = null, marked = null;
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let palette = {};
  const readColours = () => {
    palette = { c: [...Array(COLOURS)].map((_, i) => css('--c' + i)), lane: css('--lane'), line: css('--line'), ink: css('--ink'),
      soft: css('--soft'), card: css('--card'), fail: css('--fail') };
  };
  const text = ns => {
    const s = ns / 1e9, a = Math.abs(s);
    const [unit, f] = a >= 1 || a === 0 ? ['s', 1] : a >= 1e-3 ? ['ms', 1e-3] : a >= 1e-6 ? ['µs', 1e-6] : ['ns', 1e-9];
    const v = s / f;
    return (s === 0 ? '0' : v.toLocaleString('en', { maximumSignificantDigits: Math.abs(v) >= 1000 ? 6 : 4 })) + ' ' + unit;
  };
  const bytes = n => { for (const [u, f] of [['TB', 1e12], ['GB', 1e9], ['MB', 1e6], ['kB', 1e3]]) if (n >= f) return (n / f).toPrecision(3) + ' ' + u; return n + ' B'; };
  const hash = name => { let h = 0; for (const c of name) h = (h * 31 + c.codePointAt(0)) % 65521; return name ? h % OTHER : OTHER; };
  const colourOf = (run, b) => by === 'critical' ? (b[7] & 2 ? 1 : OTHER) : by === 'task' ? hash(b[8]) : by === 'user' ? Math.min(b[6], OTHER) : Math.min(b[5], OTHER);

  const pictures = [...document.querySelectorAll('canvas.gantt')].map((canvas, index) => {
    const run = data.runs[index], rows = [];
    // So many rows that the picture would be endless are thin: without names, in the end a pixel each.
    const pitch = Math.max(1, Math.min(20, Math.floor(TALLEST / Math.max(1, run.rows.length)))), GAP = pitch > 12 ? 3 : pitch > 3 ? 1 : 0, ROW = pitch - GAP;
    const apart = pitch > 6 ? NODE_GAP : 0;
    let y = TOP, last = null;
    for (const [node, slot, lanes] of run.rows) {
      if (last !== null && node !== last) y += apart;
      const height = pitch < 20 ? ROW : Math.max(ROW, 9 * lanes);
      rows.push({ node, slot, lanes, y, height, first: node !== last });
      last = node; y += height + GAP;
    }
    return { canvas, run, rows, pitch, bottom: y, height: y + AXIS, hover: null };
  });

  function draw(p) {
    const ratio = devicePixelRatio || 1, width = p.canvas.clientWidth, g = p.canvas.getContext('2d');
    p.canvas.width = Math.round(width * ratio); p.canvas.height = Math.round(p.height * ratio); p.canvas.style.height = p.height + 'px';
    g.scale(ratio, ratio); g.font = '11px ' + getComputedStyle(document.body).fontFamily;
    const plot = width - LEFT - RIGHT, [a, b] = view, x = t => LEFT + (t - a) / (b - a) * plot;
    p.x = x; p.plot = plot;
    let named = -99;
    for (const r of p.rows) {
      g.fillStyle = palette.lane; g.fillRect(LEFT, r.y, plot, r.height);
      if (p.pitch > 11) { g.fillStyle = palette.soft; g.textAlign = 'right'; g.fillText(p.run.seat + ' ' + r.slot, LEFT - 7, r.y + r.height / 2 + 4); }
      if (r.first && r.node && r.y - named > 13) { named = r.y; g.textAlign = 'left'; g.fillStyle = palette.ink; g.fillText(r.node.length > 9 ? r.node.slice(0, 8) + '…' : r.node, 2, r.y + 12); }
    }
    ticks(plot, a, b).forEach(([t, label]) => {
      g.fillStyle = palette.line; g.fillRect(x(t), TOP - 3, 1, p.bottom - TOP);
      g.fillStyle = palette.soft; g.textAlign = 'center'; g.fillText(label, Math.min(x(t), width - 24), p.bottom + 14);
    });
    g.save(); g.beginPath(); g.rect(LEFT, 0, plot, p.bottom); g.clip();
    for (const block of p.run.blocks) {
      if (block[3] < a || block[2] > b) continue;
      const r = p.rows[block[0]], h = r.height / r.lanes, left = Math.max(x(block[2]), LEFT - 2), w = Math.max(Math.min(x(block[3]), LEFT + plot + 2) - left, 0.5);
      const dim = only !== null && colourOf(p.run, block) !== only;
      g.globalAlpha = dim ? 0.15 : 1;
      const gone = block[7] & 4, top = r.y + block[1] * h;
      if (gone) g.globalAlpha = dim ? 0.05 : 0.3;
      g.fillStyle = palette.c[colourOf(p.run, block)]; g.fillRect(left, top, w, Math.max(h - 0.5, 0.7));
      if (gone) {  // crossed out, right to its end
        g.globalAlpha = dim ? 0.15 : 1; g.strokeStyle = palette.fail; g.lineWidth = 1; g.beginPath();
        if (w > 4 && h > 4) { g.moveTo(left, top); g.lineTo(left + w, top + h - 0.5); g.moveTo(left, top + h - 0.5); g.lineTo(left + w, top); }
        else { g.moveTo(left + w / 2, top); g.lineTo(left + w / 2, top + h); }
        g.stroke();
      }
      if (w > 3 && h > 2) { g.fillStyle = palette.card; g.globalAlpha = dim ? 0.1 : 0.8; g.fillRect(left + w - 0.7, r.y + block[1] * h, 0.7, h - 0.5); g.globalAlpha = dim ? 0.15 : 1; }
      if (block[7] & 1) { g.strokeStyle = palette.fail; g.lineWidth = 1.4; g.strokeRect(left + 0.7, r.y + block[1] * h + 0.7, Math.max(w - 1.4, 0.4), h - 1.9); }
      if (p.hover && (block === p.hover || block[8] && block[8] === p.hover[8])) { g.globalAlpha = 1; g.strokeStyle = palette.ink; g.lineWidth = 1.5; g.strokeRect(left, r.y + block[1] * h, w, h - 0.5); }
    }
    g.globalAlpha = 1;
    const part = marked === null ? p.run.part : marked;
    for (const [t, dash] of [[p.run.end, [3, 3]], ...(part === undefined ? [] : [[part, []]])]) {
      g.strokeStyle = dash.length ? palette.ink : palette.fail; g.setLineDash(dash); g.lineWidth = 1;
      g.beginPath(); g.moveTo(x(t), TOP - 3); g.lineTo(x(t), p.bottom); g.stroke(); g.setLineDash([]);
    }
    g.restore();
  }

  function ticks(plot, a, b) {
    const span = (b - a) / 1e9, raw = span / Math.max(2, Math.min(8, plot / 70)), mag = 10 ** Math.floor(Math.log10(raw || 1));
    const step = [1, 2, 2.5, 5, 10].map(m => m * mag).find(s => s >= raw * 0.999) || 1, out = [];
    const [unit, f] = b / 1e9 >= 1 ? ['s', 1] : b / 1e9 >= 1e-3 ? ['ms', 1e-3] : ['µs', 1e-6];
    for (let t = Math.ceil(a / 1e9 / step) * step; t <= b / 1e9 + step * 1e-6 && out.length < 40; t += step)
      out.push([t * 1e9, (+(t / f).toPrecision(8)).toLocaleString('en', { maximumFractionDigits: 6 }) + (out.length ? '' : ' ' + unit)]);
    return out;
  }

  const all = () => pictures.forEach(draw);
  let queued = false;
  const later = () => { if (!queued) { queued = true; requestAnimationFrame(() => { queued = false; all(); }); } };

  function say(block, run) {
    const [, , start, end, , fn, user, flags, name, ready, size, many] = block;
    if (many) return `${many} tasks too short to draw apart\nmost of them ${data.fns[fn]}${flags & 4 ? '\nsome were lost, and began again' : ''}`;
    const lines = [`${name}  (${data.fns[fn]})`, `${text(start)} to ${text(end)}: ran ${text(end - start)}`];
    if (flags & 4) lines.push('in vain: it was lost, and began again');
    if (run.seat === 'CPU') lines.push(`CPUs: ${run.blocks.filter(b => b[8] === name && b[2] === start).length}`);
    if (ready >= 0) lines.push(start > ready ? `waited ${text(start - ready)} after it was ready` : 'began as soon as it was ready');
    if (data.users.length > 1) lines.push(`user ${data.users[user]}`);
    if (size) lines.push(`inputs ${bytes(size)}`);
    if (flags & 2) lines.push('the end of the run waited for it');
    if (flags & 1) lines.push(`ended with ${run.outcomes[name] || 'an error'}`);
    return lines.join('\n');
  }

  pictures.forEach(p => {
    let drag = null;
    const at = e => { const box = p.canvas.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
    p.canvas.addEventListener('pointermove', e => {
      const [px, py] = at(e), t = view[0] + (px - LEFT) / p.plot * (view[1] - view[0]);
      if (drag) { shift(drag.view, (drag.x - px) / p.plot * (drag.view[1] - drag.view[0])); return; }
      const slack = (view[1] - view[0]) / p.plot;
      const hit = p.run.blocks.find(b => { const r = p.rows[b[0]], h = r.height / r.lanes, top = r.y + b[1] * h;
        return py >= top && py < top + h && t >= b[2] - slack && t <= b[3] + slack; }) || null;
      if (hit !== p.hover) { p.hover = hit; draw(p); }
      if (!hit) { tip.style.display = 'none'; return; }
      tip.textContent = say(hit, p.run); tip.style.display = 'block';
      tip.style.left = Math.min(e.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
      tip.style.top = Math.min(e.clientY + 14, innerHeight - tip.offsetHeight - 8) + 'px';
    });
    p.canvas.addEventListener('pointerleave', () => { tip.style.display = 'none'; if (p.hover) { p.hover = null; draw(p); } });
    p.canvas.addEventListener('pointerdown', e => { drag = { x: at(e)[0], view: [...view] }; p.canvas.setPointerCapture(e.pointerId); });
    p.canvas.addEventListener('pointerup', () => { drag = null; });
    p.canvas.addEventListener('dblclick', reset);
    p.canvas.addEventListener('wheel', e => {
      if (!e.ctrlKey && !e.shiftKey && Math.abs(e.deltaX) > Math.abs(e.deltaY)) return;
      if (e.deltaY > 0 && view[1] - view[0] >= data.span) return;  // nothing left to zoom out of: the page scrolls
      e.preventDefault();
      zoom(view[0] + (at(e)[0] - LEFT) / p.plot * (view[1] - view[0]), e.deltaY > 0 ? 1.25 : 0.8);
    }, { passive: false });
  });

  function zoom(t, factor) {
    const width = Math.min(data.span, Math.max(100, (view[1] - view[0]) * factor));
    shift([t - (t - view[0]) * width / (view[1] - view[0]), 0], 0, width);
  }
  function shift(from, by_, width = from[1] - from[0]) {
    const a = Math.max(0, Math.min(data.span - width, from[0] + by_));
    view = [a, a + width]; later();
  }
  function reset() { view = [0, data.span]; marked = null; later(); }

  const legend = document.getElementById('legend');
  function names() {
    const of = by === 'task' ? [] : by === 'critical' ? ['', 'the end waited for it', ...Array(6).fill(''), 'it did not'] : by === 'user' ? data.users : data.fns;
    legend.replaceChildren();
    const shown = of.slice(0, OTHER).map((n, i) => [i, n]);
    if (of.length > OTHER) shown.push([OTHER, by === 'critical' ? of[OTHER] : `${of.length - OTHER} others`]);
    for (const [i, name] of shown) {
      if (!name && by === 'critical') continue;
      const span = document.createElement('span'), mark = document.createElement('i');
      mark.style.background = palette.c[i]; span.append(mark, name || 'no user');
      span.className = only !== null && only !== i ? 'off' : '';
      span.onclick = () => { only = only === i ? null : i; names(); all(); };
      legend.append(span);
    }
  }
  document.getElementById('by').addEventListener('change', e => { by = e.target.value; only = null; names(); all(); });
  document.getElementById('in').addEventListener('click', () => zoom((view[0] + view[1]) / 2, 0.5));
  document.getElementById('out').addEventListener('click', () => zoom((view[0] + view[1]) / 2, 2));
  document.getElementById('whole').addEventListener('click', reset);
  document.querySelectorAll('[data-goto]').forEach(e => e.addEventListener('click', () => {
    const t = +e.dataset.goto, width = data.span / 8;
    marked = t;
    shift([Math.max(0, t - width / 2), 0], 0, width);
    pictures[+e.dataset.run].canvas.closest('.card').scrollIntoView({ behavior: 'smooth', block: 'center' });
  }));
  const start = () => { readColours(); names(); all(); };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', start);
  addEventListener('resize', later);
  start();
})();
