"use strict";
// The map of features: a canvas of points, with thumbnails under the pointer and neighbours of a chosen one.
for (const host of document.querySelectorAll("[data-map]")) likewise.map = (() => {
  const { html, svg, format, onWidth } = likewise;
  const spec = likewise.data.map;
  const n = spec.keys.length;
  const { labels = null, classes = [], targets = null, sheet = null } = spec;
  const SHAPES = ["circle", "square", "triangle", "diamond"];
  const state = { places: 0, zoom: 1, x: 0, y: 0, hover: -1, pinned: -1, only: new Set(), query: "", colour: "class" };

  // --- what a row is called and looks like ----------------------------------------------------------------------
  const label = (i) => (targets ? format(targets[i]) : labels && labels[i] >= 0 ? classes[labels[i]] : "");
  const wrong = (i, j) => labels !== null && labels[i] >= 0 && labels[j] >= 0 && labels[i] !== labels[j];
  const tile = (i, size) => {
    if (!sheet) return null;
    const at = spec.tiles[i];
    if (at < 0) return html("div", { class: "empty", title: "no picture of this one in the page" });
    const zoom = size / sheet.side, step = sheet.step * zoom;
    const column = at % sheet.columns, line = Math.floor(at / sheet.columns);
    return html("div", { class: "tile-picture", role: "img", "aria-label": label(i) || spec.keys[i],
      style: `width: ${size}px; height: ${size}px; background-position: ${-column * step}px ${-line * step}px; ` +
        `background-size: ${sheet.columns * step}px ${sheet.lines * step}px` });
  };

  // --- colours --------------------------------------------------------------------------------------------------
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis at five places
  const ramp = (t) => {
    const place = Math.min(0.9999, Math.max(0, t)) * (RAMP.length - 1), k = Math.floor(place);
    return `rgb(${RAMP[k].map((c, j) => Math.round(c + (RAMP[k + 1][j] - c) * (place - k))).join(",")})`;
  };
  const scales = {};
  if (targets) scales.target = { name: "target", values: targets };
  if (spec.agreement) scales.agreement = { name: "neighbours of the same class", values: spec.agreement, range: [0, 1] };
  if (spec.near[0]?.length) scales.alone = { name: "similarity to the nearest", values: spec.similarity.map((s) => s[0] / 1000) };
  for (const s of Object.values(scales)) {
    const known = s.values.filter((v) => v !== null);
    s.range = s.range || [Math.min(...known), Math.max(...known)];
  }
  if (!labels) state.colour = targets ? "target" : "none";
  let palette = [];
  const readPalette = () => {
    const style = getComputedStyle(document.documentElement);
    palette = [...Array(10).keys()].map((i) => style.getPropertyValue(`--c${i}`).trim());
    palette.ink = style.getPropertyValue("--ink").trim();
    palette.back = style.getPropertyValue("--back").trim();
    palette.faint = style.getPropertyValue("--faint").trim();
  };
  const colour = (i) => {
    if (state.colour === "class") return labels[i] < 0 ? palette.faint : palette[labels[i] % 10];
    const s = scales[state.colour];
    if (!s) return palette[0];
    return s.values[i] === null ? palette.faint : ramp((s.values[i] - s.range[0]) / (s.range[1] - s.range[0] || 1));
  };
  const shape = (i) => (state.colour === "class" && labels[i] >= 0 ? SHAPES[Math.floor(labels[i] / 10) % 4] : "circle");

  // --- the page's parts -----------------------------------------------------------------------------------------
  const canvas = html("canvas", { tabindex: 0, role: "application", "aria-describedby": "map-help",
    "aria-label": `Map of ${n} samples. Arrow keys go from point to point, Enter keeps one, Escape lets it go.` });
  const tip = html("div", { class: "tip", hidden: true, role: "status" });
  const button = (text, title, act) => html("button", { type: "button", class: "quiet", title, "aria-label": title, onclick: act }, text);
  const zoom = html("div", { class: "zoom" }, button("+", "Zoom in", () => zoomBy(1.5)), button("−", "Zoom out", () => zoomBy(1 / 1.5)), button("⤢", "Whole map", () => reset()));
  const plot = html("div", { class: "plot" }, canvas, zoom, tip);
  const says = html("p", { class: "says", id: "map-help" });
  const legend = html("ul", { class: "legend", "aria-label": "Classes" });
  const pinned = html("div", { class: "pinned", "aria-live": "polite" });
  const search = html("input", { type: "search", placeholder: "Find a name…", "aria-label": "Find samples by name or class" });
  const choices = [...(labels ? [["class", "class"]] : targets ? [] : [["none", "nothing"]]), ...Object.entries(scales).map(([k, s]) => [k, s.name])];
  const byColour = html("select", { "aria-label": "Colour by" }, ...choices.map(([value, name]) => html("option", { value }, name)));
  const byPlace = html("select", { "aria-label": "Projection" }, ...spec.places.map((p, i) => html("option", { value: i }, p.name === "pca" ? "PCA" : "t-SNE")));
  const found = html("span", { role: "status" });
  const controls = html("div", { class: "controls" },
    choices.length > 1 ? html("label", {}, "Colour by ", byColour) : null,
    spec.places.length > 1 ? html("label", {}, "Projection ", byPlace) : null,
    html("span", { class: "spring" }), found, search);
  host.append(controls, plot, html("div", { class: "side" }, legend, pinned), says);

  // --- geometry -------------------------------------------------------------------------------------------------
  let width = 0, height = 0, xs = new Float32Array(n), ys = new Float32Array(n), from = null;
  const at = (places, i) => [spec.places[places].at[2 * i] / 10000 - 0.5, 0.5 - spec.places[places].at[2 * i + 1] / 10000];
  const spots = (places) => Array.from({ length: n }, (_, i) => at(places, i));
  let now = spots(0);
  // both axes fill the plot, stretched by a third against each other at most
  const scale = () => {
    const range = (axis) => {
      let low = 1, high = -1;
      for (const p of now) { low = Math.min(low, p[axis]); high = Math.max(high, p[axis]); }
      return Math.max(0.05, high - low);
    };
    const most = [(width * 0.92) / range(0), (height * 0.9) / range(1)], even = Math.min(...most);
    return most.map((m) => Math.min(m, even * 1.35));
  };
  let [scaleX, scaleY] = [1, 1];
  const layout = () => {
    for (let i = 0; i < n; i++) {
      xs[i] = width / 2 + (now[i][0] - state.x) * scaleX * state.zoom;
      ys[i] = height / 2 + (now[i][1] - state.y) * scaleY * state.zoom;
    }
  };
  const dimmed = (i) => (state.only.size > 0 && !state.only.has(labels[i])) ||
    (state.query !== "" && !spec.keys[i].toLowerCase().includes(state.query) && !label(i).toLowerCase().includes(state.query));

  const mark = (context, i, r) => {
    const x = xs[i], y = ys[i];
    context.beginPath();
    const form = shape(i);
    if (form === "square") context.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
    else if (form === "circle") context.arc(x, y, r, 0, 7);
    else {
      const corners = form === "triangle" ? [[0, -1.25], [1.1, 0.8], [-1.1, 0.8]] : [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]];
      corners.forEach(([a, b], k) => context[k ? "lineTo" : "moveTo"](x + a * r, y + b * r));
      context.closePath();
    }
  };

  const draw = () => {
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    [scaleX, scaleY] = scale();
    layout();
    const r = Math.max(2.2, Math.min(6, 150 / Math.sqrt(n))) * Math.min(2, state.zoom ** 0.4) * (width < 500 ? 0.8 : 1);
    for (const faint of [true, false]) {
      for (let i = 0; i < n; i++) {
        if (dimmed(i) !== faint) continue;
        context.globalAlpha = faint ? 0.1 : 0.85;
        context.fillStyle = colour(i);
        mark(context, i, r);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    if (state.pinned >= 0) {
      for (const j of spec.near[state.pinned]) {
        context.strokeStyle = palette.ink;
        context.lineWidth = 1.2;
        context.setLineDash(wrong(state.pinned, j) ? [3, 3] : []);
        context.beginPath();
        context.moveTo(xs[state.pinned], ys[state.pinned]);
        context.lineTo(xs[j], ys[j]);
        context.stroke();
      }
      context.setLineDash([]);
      for (const j of spec.near[state.pinned]) ring(context, j, r + 1, 1.4);
      ring(context, state.pinned, r + 3, 2.4);
    }
    if (state.hover >= 0) ring(context, state.hover, r + 2, 2);
    if (state.colour === "class") names(context);
  };
  // each class's name at the middle of its points, the large classes first, where there is room
  const names = (context) => {
    const members = new Map();
    labels.forEach((c, i) => { if (c >= 0 && !dimmed(i)) (members.get(c) || members.set(c, []).get(c)).push(i); });
    if (members.size < 2 || members.size > 60) return;
    const taken = [];
    context.font = "600 12.5px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    for (const [c, rows] of [...members].sort((a, b) => b[1].length - a[1].length)) {
      const middle = (values) => rows.map((i) => values[i]).sort((a, b) => a - b)[rows.length >> 1];
      const text = classes[c].length > 22 ? `${classes[c].slice(0, 21)}…` : classes[c];
      const x = middle(xs), y = middle(ys), half = context.measureText(text).width / 2 + 4;
      if (x < 0 || x > width || y < 0 || y > height) continue;
      if (taken.some(([a, b, w]) => Math.abs(a - x) < w + half && Math.abs(b - y) < 16)) continue;
      taken.push([x, y, half]);
      context.strokeStyle = palette.back;
      context.lineWidth = 4;
      context.strokeText(text, x, y);
      context.fillStyle = palette.ink;
      context.fillText(text, x, y);
    }
  };
  const ring = (context, i, r, line) => {
    context.fillStyle = colour(i);
    mark(context, i, r);
    context.fill();
    context.strokeStyle = palette.ink;
    context.lineWidth = line;
    context.stroke();
  };
  let asked = false;
  const redraw = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; if (width) draw(); });
  };

  // --- pointing, keeping, zooming -------------------------------------------------------------------------------
  const under = (x, y, reach = 14) => {
    let best = -1, least = reach * reach;
    for (let i = 0; i < n; i++) {
      const far = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
      if (far < least && !dimmed(i)) { best = i; least = far; }
    }
    return best;
  };
  const hover = (i) => {
    if (i === state.hover) return;
    state.hover = i;
    tip.hidden = i < 0;
    if (i >= 0) {
      tip.replaceChildren(...[tile(i, 72), html("div", {}, html("b", {}, label(i)), html("span", { class: "key" }, spec.keys[i]))].filter(Boolean));
      likewise.place(tip, plot, xs[i], ys[i] - 20);
    }
    redraw();
  };
  const pin = (i) => {
    state.pinned = i;
    redraw();
    if (i < 0) return void pinned.replaceChildren(spec.near[0]?.length ? html("p", { class: "hint" }, "Click a point to see its nearest neighbours here.") : "");
    const voted = labels && spec.voted[i] >= 0 && spec.voted[i] !== labels[i] && labels[i] >= 0 ? `taken for ${classes[spec.voted[i]]}` : "";
    const items = spec.near[i].map((j, k) => html("li", { class: wrong(i, j) ? "wrong" : "" },
      html("button", { type: "button", title: spec.keys[j], onclick: () => pin(j) }, tile(j, 48),
        html("span", { class: "key" }, `${wrong(i, j) ? "✕ " : ""}${sheet ? label(j) : spec.keys[j]}`),
        (spec.similarity[i][k] / 1000).toFixed(2))));
    pinned.replaceChildren(
      html("h3", {}, "Nearest neighbours", button("Close", "Let the sample go", () => pin(-1))),
      html("div", { class: "who" }, tile(i, 72), html("div", {}, html("b", {}, label(i)), html("span", { class: "key" }, spec.keys[i]), voted)),
      html("ol", { class: sheet ? "" : "texts" }, ...items));
  };
  const zoomBy = (factor, x = width / 2, y = height / 2) => {
    const before = state.zoom;
    state.zoom = Math.max(1, Math.min(60, before * factor));
    state.x += ((x - width / 2) / scaleX) * (1 / before - 1 / state.zoom);
    state.y += ((y - height / 2) / scaleY) * (1 / before - 1 / state.zoom);
    if (state.zoom === 1) state.x = state.y = 0;
    hover(-1);
    redraw();
  };
  const reset = () => { Object.assign(state, { zoom: 1, x: 0, y: 0 }); redraw(); };

  let held = null;
  const where = (event) => { const b = canvas.getBoundingClientRect(); return [event.clientX - b.left, event.clientY - b.top]; };
  canvas.addEventListener("pointerdown", (event) => { held = { from: where(event), moved: false, x: state.x, y: state.y }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = where(event);
    if (!held) return hover(under(x, y));
    const [dx, dy] = [x - held.from[0], y - held.from[1]];
    if (Math.hypot(dx, dy) > 4) held.moved = true;
    if (!held.moved || state.zoom === 1) return;
    canvas.classList.add("held");
    state.x = held.x - dx / (scaleX * state.zoom);
    state.y = held.y - dy / (scaleY * state.zoom);
    hover(-1);
    redraw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (held && !held.moved) pin(under(...where(event), event.pointerType === "touch" ? 24 : 14));
    held = null;
    canvas.classList.remove("held");
  });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("pointerleave", () => hover(-1));
  canvas.addEventListener("dblclick", (event) => zoomBy(2, ...where(event)));
  // the wheel alone scrolls the page; it zooms with Ctrl (a pinch on a touchpad), or once the map has the focus
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), ...where(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
    if (event.key === "Enter" && state.hover >= 0) pin(state.hover);
    else if (event.key === "Escape") { pin(-1); hover(-1); }
    else if (event.key === "+" || event.key === "=") zoomBy(1.5);
    else if (event.key === "-") zoomBy(1 / 1.5);
    else if (dx || dy) {
      // the nearest point on that side, those straight ahead first
      const start = state.hover >= 0 ? [xs[state.hover], ys[state.hover]] : [width / 2, height / 2];
      let best = -1, least = Infinity;
      for (let i = 0; i < n; i++) {
        const a = (xs[i] - start[0]) * dx + (ys[i] - start[1]) * dy;
        const b = Math.abs((xs[i] - start[0]) * dy) + Math.abs((ys[i] - start[1]) * dx);
        if (i !== state.hover && a > 0.5 && a + 2 * b < least && !dimmed(i)) { best = i; least = a + 2 * b; }
      }
      if (best >= 0) hover(best);
    } else return;
    event.preventDefault();
  });

  // --- legend, search, choices ----------------------------------------------------------------------------------
  const swatch = (c) => {
    const d = { circle: "M6 1a5 5 0 1 0 .01 0Z", square: "M1.6 1.6h8.8v8.8h-8.8Z", triangle: "M6 .5l5.5 10H.5Z", diamond: "M6 0l6 6-6 6-6-6Z" };
    const c10 = c < 0 ? "var(--faint)" : `var(--c${c % 10})`;
    return svg("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, svg("path", { fill: c10, d: d[c < 0 ? "circle" : SHAPES[Math.floor(c / 10) % 4]] }));
  };
  const drawLegend = () => {
    const s = scales[state.colour];
    if (state.colour === "class") {
      const counts = new Map();
      for (const c of labels) counts.set(c, (counts.get(c) || 0) + 1);
      const present = [...counts.keys()].sort((a, b) => (a < 0) - (b < 0) || a - b);
      legend.replaceChildren(...present.map((c) => html("li", {}, html("button", {
        type: "button", "aria-pressed": String(state.only.has(c)), title: "Show this class alone, or with others chosen", "data-class": c,
        onclick: () => { state.only.has(c) ? state.only.delete(c) : state.only.add(c); drawLegend(); redraw(); },
      }, swatch(c), html("span", { class: "key" }, c < 0 ? "not known" : classes[c]), html("small", {}, counts.get(c))))));
      if (state.only.size) legend.append(html("li", {}, html("button", { type: "button", onclick: () => { state.only.clear(); drawLegend(); redraw(); } }, "Show all")));
    } else if (s) {
      const stops = [0, 0.25, 0.5, 0.75, 1].map(ramp).join(",");
      legend.replaceChildren(html("li", {}, html("div", { class: "scale", style: `background: linear-gradient(90deg,${stops})` }),
        html("div", { class: "ends" }, html("span", {}, format(s.range[0])), html("span", {}, s.name), html("span", {}, format(s.range[1])))));
    } else legend.replaceChildren();
  };
  const choosePlace = (to) => {
    const start = now, goal = spots(to), began = performance.now();
    const length = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 500;
    state.places = to;
    says.textContent = `${spec.places[to].says}. Ctrl and wheel, or + and −, zoom; drag moves.`;
    const move = (time) => {
      const t = length ? Math.min(1, (time - began) / length) : 1, ease = t * t * (3 - 2 * t);
      now = goal.map(([x, y], i) => [start[i][0] + (x - start[i][0]) * ease, start[i][1] + (y - start[i][1]) * ease]);
      draw();
      if (t < 1 && state.places === to) requestAnimationFrame(move);
    };
    if (width) requestAnimationFrame(move);
  };
  byColour.addEventListener("change", () => { state.colour = byColour.value; state.only.clear(); drawLegend(); redraw(); });
  byPlace.addEventListener("change", () => { hover(-1); choosePlace(+byPlace.value); });
  search.addEventListener("input", () => {
    state.query = search.value.trim().toLowerCase();
    let count = 0;
    for (let i = 0; state.query && i < n; i++) count += !dimmed(i);
    found.textContent = state.query ? `${format(count)} found` : "";
    redraw();
  });
  document.addEventListener("theme", () => { readPalette(); redraw(); });

  readPalette();
  byColour.value = state.colour;
  drawLegend();
  pin(-1);
  says.textContent = `${spec.places[0].says}. Ctrl and wheel, or + and −, zoom; drag moves.`;
  onWidth(plot, () => { width = plot.clientWidth; height = plot.clientHeight; redraw(); });
  // where a row stands on the canvas, in CSS pixels: for tests, and for who wants to script the page
  return { state, position: (i) => [xs[i], ys[i]], pin, hover };
})();
