// The atlas's figures as files: buttons, captions, and the pictures that are no plot as an SVG of their own.

const SAVED_AS = [["png", "PNG", "this figure as a picture with its caption"], ["svg", "SVG", "this figure as vectors with its caption"], ["txt", "caption", "the caption of this figure as text"]];

/** Buttons that save a figure: `make()` gives its SVG as on paper, `about()` its file's `name` and its `caption`. */
function saveButtons(make, about) {
  const save = (kind) => {
    const { name, caption } = about();
    const words = caption();
    const svg = make();
    svg.querySelectorAll(".sf-hover").forEach((node) => node.remove());
    const file = `sfnet-${name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 80)}`;
    return saveSvg(file, kind, withCaption(svg, words), words);
  };
  return h("span", { class: "sf-save" }, ...SAVED_AS.map(([kind, words, what]) => h("button", { type: "button", "data-save": kind, title: `Save ${what}`, onclick: () => save(kind) }, words)));
}

/** What a figure is of, a fact a line; `facts` say whose data and weights these are. */
function figureCaption(data, what, n, more) {
  const kind = data.simulated ? "simulated" : "observed";
  const part = data.of === "all splits" ? data.of : `${data.of} split`;
  return [what, `${count(n)} ${kind} ${n === 1 ? "galaxy" : "galaxies"}, ${part}`, ...more, ...data.facts, `SFNet, ${new Date().toISOString().slice(0, 10)}`, pageAddressNow()].filter(Boolean).join("\n");
}

const PAPER = { ink: "#1c2733", frame: "#9aa7b3" };
const words = (x, y, text, more = {}) => s("text", { x, y, fill: PAPER.ink, ...more }, text);

function paperFigure(width, height, title, ...parts) {
  return s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "system-ui, sans-serif", "font-size": 11 }, words(10, 18, title, { "font-size": 12, "font-weight": 650 }), ...parts);
}

/** A square of 360 px with cells over the share of its sides that the network sees. */
function mapFigure(title, cells, share) {
  const largest = Math.max(1e-12, ...cells.flat().map(Math.abs));
  const [wide, high] = [360 * share[0], 360 * share[1]];
  const [left, top] = [10 + (360 - wide) / 2, 30 + (360 - high) / 2];
  const [w, t] = [wide / cells[0].length, high / cells.length];
  const boxes = cells.flatMap((row, i) => row.map((value, j) => s("rect", { x: left + j * w, y: top + i * t, width: w, height: t, fill: `rgb(${diverging(value / largest)})` })));
  return paperFigure(600, 400, title, s("g", { "shape-rendering": "crispEdges" }, ...boxes), s("rect", { x: 10, y: 30, width: 360, height: 360, fill: "none", stroke: PAPER.frame }));
}

/** A JPEG's bytes or its address as an address that holds it. */
function inlined(jpeg) {
  if (typeof jpeg === "string") return jpeg;
  const bytes = new Uint8Array(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength);
  return `data:image/jpeg;base64,${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}

/** A picture with the part that the network sees inside dashes. */
function pictureFigure(title, jpeg, share) {
  const [wide, high] = [360 * share[0], 360 * share[1]];
  return paperFigure(600, 400, title, s("image", { href: inlined(jpeg), x: 10, y: 30, width: 360, height: 360, preserveAspectRatio: "xMidYMid meet" }), s("rect", { x: 10 + (360 - wide) / 2, y: 30 + (360 - high) / 2, width: wide, height: high, fill: "none", stroke: "#ffffff", "stroke-dasharray": "4 3" }));
}

/** The features' correlations with each other: a cell a pair, its number where there is room. */
function matrixFigure(title, data) {
  const n = data.features.length;
  const size = Math.max(12, Math.min(34, Math.floor(560 / Math.max(1, n))));
  const [left, top] = [52, 66];
  const middle = (i) => (i + 0.5) * size;
  const cells = data.cells.flatMap((row, i) => row.map((value, j) => (value === null || i === j ? null : s("rect", { x: left + j * size, y: top + i * size, width: size - 1, height: size - 1, fill: `rgb(${diverging(value)})` }, s("title", {}, `${data.labels[i]} and ${data.labels[j]}: \u03c1 = ${signed(value, 2)}`))))).filter(Boolean);
  const numbers = size < 24 ? [] : data.cells.flatMap((row, i) => row.map((value, j) => (value === null || i === j ? null : words(left + middle(j), top + middle(i) + 3, signed(value, 1).replace("0.", "."), { "text-anchor": "middle", "font-size": 9, fill: Math.abs(value) > 0.6 ? "#ffffff" : PAPER.ink })))).filter(Boolean);
  const names = data.features.flatMap((feature, i) => [words(left - 5, top + middle(i) + 4, `f${feature}`, { "text-anchor": "end" }), words(0, 0, `f${feature}`, { transform: `translate(${left + middle(i) + 4} ${top - 5}) rotate(-90)` })]);
  return paperFigure(Math.max(600, left + n * size + 12), top + n * size + 8, title, ...cells, ...numbers, ...names);
}
