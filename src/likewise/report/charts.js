"use strict";
// Charts of the report pages: reads the JSON in #data, draws into every [data-chart]. No library, no network.
const likewise = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const NAMESPACE = "http://www.w3.org/2000/svg";

  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((c) => c !== null && c !== undefined));
    return node;
  };
  // text always goes in as text nodes: names from files are never read as markup
  const html = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(NAMESPACE, tag), attributes, children);
  const colour = (i) => `var(--c${i % 10})`;

  const format = (v) => {
    if (v === null || v === undefined || Number.isNaN(v)) return "–";
    const size = Math.abs(v);
    if (size >= 1000) return v.toLocaleString("en", { maximumFractionDigits: 0 });
    if (size !== 0 && size < 0.001) return v.toExponential(1).replace("-", "−");
    const text = Number.isInteger(v) ? String(v) : v.toFixed(size < 0.1 ? 4 : size < 10 ? 3 : size < 100 ? 2 : 1);
    return text.replace("-", "−");
  };

  const ticks = (low, high, count) => {
    const raw = (high - low) / Math.max(1, count);
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999) || power;
    const out = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) out.push(+(k * step).toPrecision(12));
    return out;
  };
  const tick = (v) => {
    const size = Math.abs(v);
    if (size >= 10000) return `${+(v / 1000).toPrecision(3)}k`.replace("-", "−");
    if (size !== 0 && size < 0.001) return (+v.toPrecision(6)).toExponential().replace("-", "−");
    return String(+v.toPrecision(6)).replace("-", "−");
  };

  const extent = (values, pad) => {
    const known = values.filter((v) => v !== null && v !== undefined);
    if (!known.length) return [0, 1];
    let low = Math.min(...known), high = Math.max(...known);
    // a range within rounding errors is none: its ticks could not be told apart
    if (high - low <= 1e-9 * Math.max(Math.abs(low), Math.abs(high))) [low, high] = [low - (Math.abs(low) * 0.1 || 1), high + (Math.abs(high) * 0.1 || 1)];
    return [low - (high - low) * pad, high + (high - low) * pad];
  };

  // The frame that every chart stands in: scales, grid, axis labels.
  const frame = (width, height, x, y, { xlabel = "", yticks = 5, left = null } = {}) => {
    const marks = ticks(y[0], y[1], yticks);
    const side = left ?? Math.max(28, 10 + 7 * Math.max(...marks.map((v) => tick(v).length)));
    const box = { left: side, right: width - 10, top: 8, bottom: height - (xlabel ? 38 : 22) };
    const sx = (v) => box.left + ((v - x[0]) / (x[1] - x[0])) * (box.right - box.left);
    const sy = (v) => box.bottom - ((v - y[0]) / (y[1] - y[0])) * (box.bottom - box.top);
    const root = svg("svg", { height, width, viewBox: `0 0 ${width} ${height}` });
    for (const v of marks) {
      root.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: sy(v), y2: sy(v) }));
      root.append(svg("text", { x: box.left - 8, y: sy(v) + 4, "text-anchor": "end" }, tick(v)));
    }
    for (const v of ticks(x[0], x[1], Math.max(2, Math.floor((box.right - box.left) / 70)))) {
      root.append(svg("line", { class: "axis", x1: sx(v), x2: sx(v), y1: box.bottom, y2: box.bottom + 4 }));
      root.append(svg("text", { x: sx(v), y: box.bottom + 17, "text-anchor": "middle" }, tick(v)));
    }
    root.append(svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
    if (xlabel) root.append(svg("text", { x: box.right, y: height - 4, "text-anchor": "end" }, xlabel));
    return { root, box, sx, sy };
  };

  // Redraw when the width changes, and only then.
  const onWidth = (node, draw) => {
    let last = 0;
    new ResizeObserver(() => {
      const width = Math.round(node.clientWidth);
      if (width && width !== last) draw((last = width));
    }).observe(node);
  };

  const path = (xs, ys, sx, sy) => {
    let out = "", pen = false;
    xs.forEach((x, i) => {
      if (ys[i] === null) return void (pen = false);
      out += `${pen ? "L" : "M"}${sx(x).toFixed(1)} ${sy(ys[i]).toFixed(1)}`;
      pen = true;
    });
    return out;
  };
  const area = (xs, low, high, sx, sy) => {
    const known = xs.map((_, i) => i).filter((i) => low[i] !== null && high[i] !== null);
    const up = known.map((i) => `${sx(xs[i]).toFixed(1)} ${sy(high[i]).toFixed(1)}`);
    const down = known.map((i) => `${sx(xs[i]).toFixed(1)} ${sy(low[i]).toFixed(1)}`).reverse();
    return known.length ? `M${up.concat(down).join("L")}Z` : "";
  };

  const keys = (items) => html("ul", { class: "keys" }, ...items.map(({ name, colour: c, dashed }) =>
    html("li", {}, html("span", { class: `swatch${dashed ? " dashed" : ""}`, style: `--colour: ${c < 0 ? "var(--faint)" : colour(c)}` }), name)));

  const place = (box, host, x, y) => {
    box.hidden = false;
    const width = host.clientWidth;
    box.style.left = `${Math.max(0, x + 14 + box.offsetWidth > width ? x - 14 - box.offsetWidth : x + 14)}px`;
    box.style.top = `${Math.max(0, Math.min(y, host.clientHeight - box.offsetHeight))}px`;
  };

  const nearest = (xs, x) => {
    let best = -1;
    for (let i = 0; i < xs.length; i++) if (best < 0 || Math.abs(xs[i] - x) < Math.abs(xs[best] - x)) best = i;
    return best;
  };

  const lines = (host, spec) => {
    const height = spec.height || 210;
    const marks = spec.marks || [];
    const named = [...new Map(spec.lines.map((l) => [l.group || l.name, l])).values()];
    const shown = named.length > 1 ? named.map((l) => ({ name: l.group || l.name, colour: l.colour })) : [];
    if (marks.length) shown.push({ name: marks[0].name, colour: -1, dashed: true });
    const list = keys(shown);
    if (named.length === 1 && spec.says) list.prepend(html("li", {}, spec.says));
    host.append(list);
    const plot = html("div", { style: "position: relative" });
    const readout = html("div", { class: "readout", hidden: true });
    host.append(plot);
    const all = [...new Set(spec.lines.flatMap((l) => l.x))].sort((a, b) => a - b);
    let at = -1;

    onWidth(plot, (width) => {
      const x = extent(all, 0);
      const y = spec.range || extent(spec.lines.flatMap((l) => [...l.y, ...(l.low || []), ...(l.high || [])])
        .concat(marks.map((m) => m.y)), 0.05);
      const { root, box, sx, sy } = frame(width, height, x, y, { xlabel: spec.xlabel });
      root.setAttribute("role", "img");
      root.setAttribute("tabindex", "0");
      root.setAttribute("aria-label", `${spec.title}: ${spec.alt}`);
      for (const m of marks) {
        root.append(svg("line", { class: "mark", stroke: colour(m.colour), x1: box.left, x2: box.right, y1: sy(m.y), y2: sy(m.y) }));
      }
      for (const l of spec.lines) {
        const group = svg("g", { "data-line": l.group || l.name });
        if (l.low) group.append(svg("path", { class: "band", fill: colour(l.colour), d: area(l.x, l.low, l.high, sx, sy) }));
        group.append(svg("path", { class: l.thin ? "line thin" : "line", stroke: colour(l.colour), d: path(l.x, l.y, sx, sy) }));
        if (l.x.length <= 16 && !l.thin) l.x.forEach((v, i) => l.y[i] !== null &&
          group.append(svg("circle", { cx: sx(v), cy: sy(l.y[i]), r: 2.5, fill: colour(l.colour) })));
        // a value that is no number leaves a gap; a cross on the axis says where
        l.x.forEach((v, i) => l.y[i] === null && group.append(svg("text", { x: sx(v), y: box.bottom - 2, "text-anchor": "middle", style: "fill: var(--bad); font-weight: 700" }, "×")));
        root.append(group);
      }
      const cross = svg("line", { class: "cross", y1: box.top, y2: box.bottom, visibility: "hidden" });
      const dot = spec.lines.map((l) => svg("circle", { r: 3.5, fill: colour(l.colour), stroke: "var(--paper)", "stroke-width": 1.5, visibility: "hidden" }));
      root.append(cross, ...dot);

      const show = (i, py) => {
        at = i;
        const v = all[i];
        cross.setAttribute("visibility", "visible");
        cross.setAttribute("x1", sx(v)); cross.setAttribute("x2", sx(v));
        const rows = spec.lines.map((l, k) => {
          const j = nearest(l.x, v);
          const close = j >= 0 && Math.abs(sx(l.x[j]) - sx(v)) < 24;
          const there = close && l.y[j] !== null;
          dot[k].setAttribute("visibility", there ? "visible" : "hidden");
          if (there) { dot[k].setAttribute("cx", sx(l.x[j])); dot[k].setAttribute("cy", sy(l.y[j])); }
          if (!close) return null;
          const wide = l.low && l.low[j] !== null ? ` (${format(l.low[j])} to ${format(l.high[j])})` : "";
          return html("div", {}, html("span", { class: "swatch", style: `--colour: ${colour(l.colour)}` }), `${l.name} `,
            html("b", {}, l.y[j] === null ? "not a number" : format(l.y[j])), wide);
        });
        readout.replaceChildren(html("div", {}, `${spec.xlabel} ${format(v)}`), ...rows.filter(Boolean).slice(0, 12));
        place(readout, plot, sx(v), py ?? box.top);
        host.dispatchEvent(new CustomEvent("at", { detail: v }));
      };
      const hide = () => {
        readout.hidden = true;
        for (const node of [cross, ...dot]) node.setAttribute("visibility", "hidden");
      };
      root.addEventListener("pointermove", (event) => {
        const bounds = root.getBoundingClientRect();
        const v = x[0] + ((event.clientX - bounds.left - box.left) / (box.right - box.left)) * (x[1] - x[0]);
        if (all.length) show(nearest(all, v), event.clientY - bounds.top + 12);
      });
      root.addEventListener("pointerleave", hide);
      root.addEventListener("blur", hide);
      root.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
        if (move === undefined || !all.length) return;
        event.preventDefault();
        show(Math.max(0, Math.min(all.length - 1, at + move)));
      });
      plot.replaceChildren(root, readout);
      readout.hidden = true;
    });
  };

  // Two histograms over the similarities -1 .. 1, at one probe after the other.
  const histograms = (host, spec) => {
    const { frames } = spec;
    const plot = html("div", {});
    const said = html("p", { class: "controls", role: "status", style: "margin: 4px 0 0" });
    const slider = html("input", { type: "range", min: 0, max: frames.length - 1, value: frames.length - 1, "aria-label": `Probe, by ${spec.xlabel}` });
    const play = html("button", { type: "button", class: "quiet" }, "Play");
    host.append(keys([{ name: "positive pairs", colour: 0 }, { name: "negative pairs", colour: 1 }]), plot);
    if (frames.length > 1) host.append(html("div", { class: "controls" }, play, slider));
    host.append(said);
    const bins = frames[0].positive.length;
    const top = Math.max(...frames.flatMap((f) => [...f.positive, ...f.negative])) * 1.05 || 1;
    let draw = () => {};
    const mean = (shares) => shares.reduce((sum, s, i) => sum + s * (((i + 0.5) / bins) * 2 - 1), 0);
    const show = () => {
      const f = frames[slider.value];
      said.replaceChildren(`${spec.xlabel} ${format(f.x)}: positives ${mean(f.positive).toFixed(2)} on average, negatives ${mean(f.negative).toFixed(2)}; a positive is more alike than a negative in ${(f.auc * 100).toFixed(1)}% of cases`);
      slider.setAttribute("aria-valuetext", said.textContent);
      draw(f);
    };
    onWidth(plot, (width) => {
      const { root, sx, sy } = frame(width, 236, [-1, 1], [0, top], { xlabel: "cosine similarity", yticks: 3 });
      root.setAttribute("role", "img");
      root.setAttribute("aria-label", "Histogram of the similarities of positive and negative pairs");
      const sides = ["negative", "positive"].map((side) => {
        const c = colour(side === "positive" ? 0 : 1);
        const node = svg("path", { fill: c, "fill-opacity": 0.28, stroke: c, "stroke-width": 1.5, "stroke-linejoin": "round" });
        root.append(node);
        return [side, node];
      });
      draw = (f) => {
        for (const [side, node] of sides) {
          let d = `M${sx(-1)} ${sy(0)}`;
          f[side].forEach((share, i) => {
            d += `L${sx((i / bins) * 2 - 1).toFixed(1)} ${sy(share).toFixed(1)}L${sx(((i + 1) / bins) * 2 - 1).toFixed(1)} ${sy(share).toFixed(1)}`;
          });
          node.setAttribute("d", `${d}L${sx(1)} ${sy(0)}`);
        }
      };
      plot.replaceChildren(root);
      show();
    });
    let timer = null;
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
    play.addEventListener("click", () => {
      if (timer) return stop();
      if (+slider.value === frames.length - 1) slider.value = 0;
      play.textContent = "Stop";
      show();
      timer = setInterval(() => {
        if (+slider.value >= frames.length - 1) return stop();
        slider.value = +slider.value + 1;
        show();
      }, Math.max(120, 3000 / frames.length));
    });
    slider.addEventListener("input", () => { stop(); show(); });
    document.querySelector('[data-chart="pairs.trend"]')?.addEventListener("at", (event) => {
      slider.value = nearest(frames.map((f) => f.x), event.detail);
      show();
    });
  };

  // A row per method: a dot per seed, the mean, and its interval.
  const dots = (host, spec) => {
    const { rows } = spec;
    const plot = html("div", { style: "position: relative" });
    const readout = html("div", { class: "readout", hidden: true });
    host.append(plot);
    onWidth(plot, (width) => {
      const high = 30, height = rows.length * high + 34;
      const names = Math.min(width * 0.36, 22 + 8 * Math.max(...rows.map((r) => r.name.length)));
      const x = extent(rows.flatMap((r) => [...r.values, r.low, r.high]), 0.06);
      const scale = (v) => names + ((v - x[0]) / (x[1] - x[0])) * (width - 12 - names);
      const root = svg("svg", { height, width, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${spec.title}: ${spec.alt}` });
      for (const v of ticks(x[0], x[1], Math.max(2, Math.floor((width - names) / 80)))) {
        root.append(svg("line", { class: "grid", x1: scale(v), x2: scale(v), y1: 4, y2: height - 26 }));
        root.append(svg("text", { x: scale(v), y: height - 10, "text-anchor": "middle" }, tick(v)));
      }
      rows.forEach((r, i) => {
        const y = 4 + high * (i + 0.5), c = colour(r.colour);
        const group = svg("g", {});
        const label = svg("text", { x: 0, y: y + 4, style: "fill: var(--ink); font-size: 13px" }, r.name);
        group.append(svg("rect", { x: 0, y: y - high / 2, width, height: high, fill: "transparent" }), label);
        if (r.low !== null && r.high !== null) {
          group.append(svg("line", { x1: scale(r.low), x2: scale(r.high), y1: y, y2: y, stroke: c, "stroke-width": 5, "stroke-linecap": "round", opacity: 0.28 }));
        }
        for (const v of r.values) if (v !== null) group.append(svg("circle", { cx: scale(v), cy: y, r: 4, fill: c, "fill-opacity": 0.75 }));
        if (r.mean !== null) group.append(svg("line", { x1: scale(r.mean), x2: scale(r.mean), y1: y - 9, y2: y + 9, stroke: "var(--ink)", "stroke-width": 2 }));
        group.addEventListener("pointermove", (event) => {
          const bounds = root.getBoundingClientRect();
          const within = r.low !== null ? `95% of the mean within ${format(r.low)} to ${format(r.high)}` : "";
          readout.replaceChildren(html("div", {}, html("b", {}, r.name), `, mean ${format(r.mean)}`),
            html("div", {}, r.values.map(format).join("  ")), html("div", {}, within));
          place(readout, plot, event.clientX - bounds.left, event.clientY - bounds.top + 12);
        });
        group.addEventListener("pointerleave", () => { readout.hidden = true; });
        root.append(group);
      });
      plot.replaceChildren(root, readout);
      readout.hidden = true;
      for (const label of root.querySelectorAll("text[style]")) {
        const whole = label.textContent;
        for (let n = whole.length - 1; label.getComputedTextLength() > names - 12 && n > 1; n--) label.textContent = `${whole.slice(0, n)}…`;
      }
    });
  };

  // Buttons that need a script appear only now.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      document.documentElement.dataset.theme = dark() ? "light" : "dark";
      name();
      document.dispatchEvent(new Event("theme"));
    });
    system.addEventListener("change", () => { name(); document.dispatchEvent(new Event("theme")); });
  }
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
    }
  }

  const kinds = { lines, histograms, dots };
  for (const host of document.querySelectorAll("[data-chart]")) {
    const spec = host.dataset.chart.split(".").reduce((value, name) => value[name], data);
    kinds[spec.kind](host, spec);
  }
  return { data, html, svg, colour, format, place, onWidth };
})();
