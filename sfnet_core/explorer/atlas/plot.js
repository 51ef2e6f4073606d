// A figure of points or cells as one SVG: axes with units, title with n and split, hover, saved as PNG or SVG.

const LIGHT = { ink: "#1c2733", soft: "#566575", frame: "#c9d2db", grid: "#e8edf2", point: "#4d6478", silent: "#c3cdd6", accent: "#0b6e8f", ground: "#ffffff" };
const DARK = { ink: "#dfe7ee", soft: "#9fb0bf", frame: "#35424d", grid: "#26313a", point: "#a9bccb", silent: "#45535f", accent: "#52b6d6", ground: "#1a2128" };
// Magma from light to dark (van der Walt & Smith): perceptually uniform, the strongest the darkest on a white ground.
const MAGMA = [[254, 207, 146], [254, 159, 109], [247, 112, 92], [222, 73, 104], [183, 55, 121], [140, 41, 129], [100, 26, 128], [59, 15, 112], [20, 14, 54]];
const STEPS = 18;

/** Colour of a share from 0 to 1; on a dark ground the strongest is the lightest. */
function magma(share, dark) {
  if (dark) share = 1 - share;
  const at = Math.min(0.9999, Math.max(0, share)) * (MAGMA.length - 1);
  const [low, high] = [MAGMA[Math.floor(at)], MAGMA[Math.floor(at) + 1]];
  return low.map((v, i) => Math.round(v + (at % 1) * (high[i] - v)));
}

/** Float32 or Int32 numbers from the bytes of a message. */
function numbers(bytes, Kind = Float32Array) {
  if (!bytes) return new Kind(0);
  return new Kind(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** Round tick values inside a range. */
function ticks([low, high], wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((v) => v >= raw * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0));
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) out.push([i * step, Math.abs(i * step) < 1e5 ? (i * step).toFixed(digits).replace("-", "\u2212") : (i * step).toExponential(0)]);
  return out;
}

/** A figure in its box; `draw(spec)` redraws it, `peek(row, show)` asks for the galaxy under the pointer. */
function figure({ tallest = 348, peek = null }) {
  let height = tallest;
  const svg = s("svg", { class: "sf-figure", role: "img", "font-family": "system-ui, sans-serif", "font-size": 11 });
  const tip = h("div", { class: "sf-tip", hidden: true });
  const save = saveButtons(() => {
    draw(spec, LIGHT); // a file is always as on paper
    const copy = svg.cloneNode(true);
    draw(spec);
    return copy;
  }, () => spec);
  const node = h("div", { class: "sf-plot" }, svg, save, tip);
  let spec = null;
  let place = null;
  let width = 0;
  let paint = LIGHT;
  new ResizeObserver(() => {
    if (node.clientWidth && Math.abs(node.clientWidth - width) > 1 && spec) draw(spec);
  }).observe(node);

  const again = () => spec && node.isConnected && draw(spec);
  document.addEventListener("sf-theme", again);

  // A file is always saved as on paper: dark on white.
  function draw(next, colours = isDark(node) ? DARK : LIGHT) {
    spec = next;
    paint = colours;
    width = node.clientWidth || 400;
    height = Math.round(Math.min(tallest, Math.max(250, 0.74 * width)));
    svg.setAttribute("height", height);
    svg.setAttribute("width", width);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", spec.title.join(", "));
    const box = { left: 54, right: width - 12, top: 40, bottom: height - 40 };
    const [[x0, x1], [y0, y1]] = spec.ranges;
    const X = (v) => box.left + ((v - x0) / (x1 - x0)) * (box.right - box.left);
    const Y = (v) => box.bottom - ((v - y0) / (y1 - y0)) * (box.bottom - box.top);
    const id = `clip-${Math.random().toString(36).slice(2)}`;
    const inner = s("g", { "clip-path": `url(#${id})` });
    const parts = [s("defs", {}, s("clipPath", { id }, s("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })))];
    const text = (x, y, words, more = {}) => s("text", { x, y, fill: paint.ink, ...more }, words);
    parts.push(text(box.left, 13, spec.title[0], { "font-size": 12, "font-weight": 650 }), text(box.left, 29, spec.title[1], { fill: paint.soft, "font-size": 11.5 }));
    for (const [value, words] of ticks([x0, x1], (box.right - box.left) / 70)) {
      parts.push(s("path", { d: `M${X(value)} ${box.top}V${box.bottom}`, stroke: paint.grid }), text(X(value), box.bottom + 14, words, { "text-anchor": "middle" }));
    }
    for (const [value, words] of ticks([y0, y1], (box.bottom - box.top) / 46)) {
      parts.push(s("path", { d: `M${box.left} ${Y(value)}H${box.right}`, stroke: paint.grid }), text(box.left - 6, Y(value) + 4, words, { "text-anchor": "end" }));
    }
    parts.push(text((box.left + box.right) / 2, height - 8, spec.xLabel, { "text-anchor": "middle", "font-size": 12 }));
    parts.push(text(0, 0, spec.yLabel, { "text-anchor": "middle", "font-size": 12, transform: `translate(13 ${(box.top + box.bottom) / 2}) rotate(-90)` }));
    parts.push(inner, s("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top, fill: "none", stroke: paint.frame }));
    if (spec.cells) inner.append(cellImage(spec, X, Y));
    else inner.append(...pointPaths(spec, X, Y));
    for (const line of spec.lines || []) inner.append(s("path", { d: line.x.map((v, i) => `${i ? "L" : "M"}${X(v).toFixed(1)} ${Y(line.y[i]).toFixed(1)}`).join(""), fill: "none", stroke: line.accent ? paint.accent : paint.ink, "stroke-width": line.width || 1.2, "stroke-dasharray": line.dash || null, "stroke-opacity": line.accent ? 1 : 0.75 }, s("title", {}, line.name)));
    for (const bar of spec.bars || []) inner.append(s("g", {}, s("title", {}, bar.words), s("path", { d: `M${X(bar.x)} ${Y(bar.low)}V${Y(bar.high)}`, stroke: "#8996a3", "stroke-width": 7, "stroke-opacity": 0.55 }), s("circle", { cx: X(bar.x), cy: Y(bar.middle), r: 4, fill: paint.ground, stroke: paint.ink, "stroke-width": 1.5 })));
    for (const mark of spec.marks || []) if (mark.x !== null && mark.y !== null) inner.append(s("circle", { cx: X(mark.x), cy: Y(mark.y), r: 7, fill: `${paint.ground}b0`, stroke: paint.ink, "stroke-width": 1.5 }), text(X(mark.x), Y(mark.y) + 3.5, mark.words, { "text-anchor": "middle", "font-size": 10, "font-weight": 650 }));
    if (spec.legend) parts.push(...legend(box.right - 118, box.top + 8, spec.legend));
    parts.push(s("circle", { class: "sf-hover", r: 7, fill: "none", stroke: paint.ink, "stroke-width": 2, visibility: "hidden" }));
    svg.replaceChildren(...parts);
    place = spec.cells ? null : { X, Y };
  }

  function pointPaths({ x, y, shade }, X, Y) {
    const dot = (i) => `M${X(x[i]).toFixed(1)} ${Y(y[i]).toFixed(1)}h0`;
    const path = (d, colour, size, opacity) => s("path", { d: d.join(""), fill: "none", stroke: colour, "stroke-width": size, "stroke-linecap": "round", "stroke-opacity": opacity });
    if (!shade) return [path(Array.from(x, (_, i) => dot(i)), paint.point, 5, 0.5)];
    const bins = Array.from({ length: STEPS + 1 }, () => []);
    for (let i = 0; i < x.length; i++) bins[shade[i] > 0 ? 1 + Math.min(STEPS - 1, Math.floor(shade[i] * STEPS)) : 0].push(dot(i));
    return bins.map((d, i) => (d.length ? path(d, i ? `rgb(${magma((i - 0.5) / STEPS, paint === DARK)})` : paint.silent, i ? 5.5 : 4, i ? 0.95 : 0.7) : "")).filter(Boolean);
  }

  function cellImage({ cells, grid: [columns, rows], ranges: [[x0, x1], [y0, y1]], shaded }, X, Y) {
    const canvas = h("canvas", { width: columns, height: rows });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(columns, rows);
    for (let i = 0; i < cells.length; i++) {
      if (Number.isNaN(cells[i])) continue;
      const [row, column] = [rows - 1 - Math.floor(i / columns), i % columns];
      const grey = paint === DARK ? Math.round(60 + 160 * cells[i]) : Math.round(205 - 160 * cells[i]);
      const colour = !shaded ? [grey, grey + 8, grey + 16] : cells[i] > 0 ? magma(cells[i], paint === DARK) : paint === DARK ? [69, 83, 95] : [195, 205, 214];
      pixels.data.set([...colour, 255], 4 * (row * columns + column));
    }
    context.putImageData(pixels, 0, 0);
    return s("image", { href: canvas.toDataURL(), x: X(x0), y: Y(y1), width: X(x1) - X(x0), height: Y(y0) - Y(y1), preserveAspectRatio: "none", style: "image-rendering:pixelated" });
  }

  function legend(x, y, words) {
    const swatches = Array.from({ length: STEPS }, (_, i) => s("rect", { x: x + (i * 110) / STEPS, y, width: 110 / STEPS + 0.5, height: 8, fill: `rgb(${magma((i + 0.5) / STEPS, paint === DARK)})` }));
    const end = (at, text, anchor) => s("text", { x: at, y: y + 19, fill: paint.ink, "font-size": 10, "text-anchor": anchor }, text);
    return [s("rect", { x: x - 4, y: y - 4, width: 118, height: 28, fill: `${paint.ground}d0` }), ...swatches, end(x, "0", "start"), end(x + 55, words, "middle"), end(x + 110, "1", "end")];
  }

  let under = -1;
  let timer = 0;
  let link = null;
  function leave() {
    under = -1;
    link = null;
    tip.hidden = true;
    svg.querySelector(".sf-hover")?.setAttribute("visibility", "hidden");
  }
  svg.addEventListener("mousemove", (event) => {
    if (!place || !peek) return;
    const bounds = svg.getBoundingClientRect();
    const [px, py] = [event.clientX - bounds.left, event.clientY - bounds.top];
    let [best, nearest] = [-1, 144];
    for (let i = spec.x.length - 1; i >= 0; i--) {
      const d = (place.X(spec.x[i]) - px) ** 2 + (place.Y(spec.y[i]) - py) ** 2;
      if (d < nearest) [best, nearest] = [i, d];
    }
    if (best < 0) return leave();
    if (best === under) return;
    under = best;
    link = null;
    const ring = svg.querySelector(".sf-hover");
    const [cx, cy] = [place.X(spec.x[best]), place.Y(spec.y[best])];
    for (const [name, value] of Object.entries({ cx, cy, visibility: "visible" })) ring.setAttribute(name, value);
    tip.replaceChildren(h("span", {}, `${spec.xName} ${spec.x[best].toPrecision(4)}`), h("span", {}, `${spec.yName} ${spec.y[best].toPrecision(4)}`));
    tip.hidden = false;
    tip.style.left = cx > width / 2 ? "" : `${cx + 12}px`;
    tip.style.right = cx > width / 2 ? `${width - cx + 12}px` : "";
    tip.style.top = `${Math.max(0, cy - 30)}px`;
    clearTimeout(timer);
    const at = best;
    timer = setTimeout(() => peek(spec.rows[at], (galaxy, url) => {
      if (under !== at) return;
      link = galaxy.link;
      tip.prepend(...[url ? h("img", { src: url, alt: "" }) : null, h("b", {}, galaxy.id)].filter(Boolean));
    }), 60);
  });
  svg.addEventListener("mouseleave", leave);
  svg.addEventListener("click", () => {
    if (SAVED && under >= 0) openGalaxy(spec.rows[under]);
    else if (link && IN_VOILA) location.href = link;
  });

  return { node, draw };
}
