// Shared by the atlas's views: SVG elements, numbers, small figures.

const IN_VOILA = document.body.dataset.voila !== undefined;
const SAVED = document.body.dataset.saved !== undefined; // a file with no server behind it
const OWN_PAGE = IN_VOILA || SAVED; // the address and the keyboard are ours

/** An SVG element, as h() makes HTML ones. */
function s(tag, props = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A number with its sign and a true minus; no sign where it rounds to 0, a dash where it is not known. */
function signedOr(value, digits) {
  if (value === null || value === undefined) return "–";
  return Number(value.toFixed(digits)) === 0 ? (0).toFixed(digits) : signed(value, digits);
}

function percent(rate) {
  return rate >= 0.0995 || rate === 0 ? `${(100 * rate).toFixed(0)} %` : rate >= 0.00095 ? `${(100 * rate).toFixed(1)} %` : `${(100 * rate).toPrecision(1)} %`;
}

/** A name for a narrow place: cut, with an ellipsis. */
function brief(words, most = 32) {
  return words.length <= most ? words : `${words.slice(0, most - 1).trimEnd()}…`;
}

function count(n) {
  return n.toLocaleString("en");
}

/** A link to the explorer where the pages are served; plain text elsewhere (JupyterLab opens notebooks otherwise). */
function pageLink(href, props, ...children) {
  return IN_VOILA ? h("a", { href, ...props }, ...children) : h("span", props, ...children);
}

/** A galaxy's picture with its link; the size is kept before the picture is there. */
function galaxyTile(galaxy, url, caption) {
  const words = `galaxy ${galaxy.id}, activation ${galaxy.activation.toFixed(3)}${galaxy.unlike ? ", novel: unlike the training galaxies" : ""}`;
  const picture = url ? h("img", { src: url, alt: "", draggable: "false" }) : h("span", { class: "sf-blank sf-no-image" }, galaxy.id);
  const mark = galaxy.unlike ? h("span", { class: "sf-tile-unlike", "aria-hidden": "true" }, "≠") : null;
  const inside = [picture, mark, caption ? h("span", { class: "sf-value" }, caption) : null];
  if (SAVED) return h("button", { type: "button", class: "sf-thumb", "data-id": galaxy.id, "aria-label": words, title: words, onclick: () => openGalaxy(galaxy.number) }, ...inside);
  return pageLink(galaxy.link, { class: "sf-thumb", "data-id": galaxy.id, "aria-label": words, title: `${words}\n${IN_VOILA ? "open in Explore" : ""}`.trim() }, ...inside);
}

/** Ask a saved page for one of its galaxies. */
function openGalaxy(number) {
  document.dispatchEvent(new CustomEvent("sf-galaxy", { detail: number }));
}

/** Bars of a histogram as one path in a box of width × height. */
function barsPath(bars, width, height) {
  const most = Math.max(1, ...bars);
  const step = width / bars.length;
  return bars.map((n, i) => {
    if (!n) return "";
    const top = Math.min(height - 1, height * (1 - n / most));
    return `M${(i * step + 0.5).toFixed(2)} ${height}V${top.toFixed(2)}h${(step - 1).toFixed(2)}V${height}z`;
  }).join("");
}

/** Pearson ρ (disc) and the partial correlation (open diamond) on one axis from −1 to +1. */
function correlationAxis(pearson, partial, width = 300) {
  const x = (value) => 6 + ((value + 1) / 2) * (width - 12);
  const svg = s("svg", { class: "sf-rho", viewBox: `0 0 ${width} 16`, "aria-hidden": "true" });
  svg.append(s("path", { d: `M${x(-1)} 8H${x(1)}`, class: "sf-rho-axis" }), s("path", { d: `M${x(0)} 2V14`, class: "sf-rho-zero" }));
  if (pearson !== null && partial !== null) svg.append(s("path", { d: `M${x(pearson)} 8H${x(partial)}`, class: "sf-rho-link" }));
  if (partial !== null) svg.append(s("path", { d: `M${x(partial) - 4.5} 8l4.5 -4.5 4.5 4.5 -4.5 4.5z`, class: "sf-rho-partial" }));
  if (pearson !== null) svg.append(s("circle", { cx: x(pearson), cy: 8, r: 3.6, class: "sf-rho-pearson" }));
  return svg;
}

/** What leaving a feature out adds to the RMSE, and beside it leaving out one of the galaxies' kept features at random. */
const WITHOUT = "RMSE of the galaxies in view without this feature, minus their RMSE with all on. At random: on the galaxies on which it fires, one of their kept features drawn at random is left out instead";
function withoutWords(data, unit) {
  const known = data.without !== null && data.without !== undefined;
  const said = (value) => `${signedOr(value, 4)}${unit ? ` ${unit}` : ""}`;
  return known ? [said(data.without), `at random ${said(data.chance)}`] : ["–", ""];
}

/** A feature's stability in a few signs: 0.93 · 3 of 4. */
function steadyWords(steady) {
  if (steady.rho === null) return "–";
  if (steady.rare) return `too rare (${steady.fires})`;
  return `${steady.rho.toFixed(2).replace("-", "\u2212")} · ${steady.found} of ${steady.of}`;
}

/** How well a feature is found again in other trainings: a bar from 0 to 1, a mark at what shuffled galaxies give. */
function steadyLine() {
  const bar = h("span", { class: "sf-steady-bar" });
  const mark = h("span", { class: "sf-steady-mark" });
  const value = h("b", { class: "sf-number" });
  const root = h("div", { class: "sf-steady-line", hidden: true, title: "" }, h("span", {}, "stability"), h("span", { class: "sf-steady-axis" }, bar, mark), value);
  function draw(steady) {
    root.hidden = !steady;
    if (!steady) return;
    const share = (x) => `${(100 * Math.max(0, Math.min(1, x))).toFixed(1)}%`;
    root.title = steady.words;
    const known = steady.rho !== null && !steady.rare;
    say(value, steadyWords(steady));
    root.classList.toggle("sf-by-chance", Boolean(steady.chance || steady.rare));
    mark.hidden = !known;
    bar.style.width = known ? share(steady.rho) : "0";
    if (known) mark.style.left = share(steady.null);
  }
  return { root, draw };
}

/** Whether the page around an element is dark now. */
function isDark(element) {
  return Boolean(element.closest(".sf-root")?.classList.contains("sf-dark"));
}

/** Red for what adds, blue for what takes away, the ground's colour for 0; `share` from −1 to 1. */
function diverging(share, dark = false) {
  const ground = dark ? [26, 33, 40] : [255, 255, 255];
  const end = dark ? (share < 0 ? [84, 168, 255] : [255, 112, 84]) : share < 0 ? [33, 102, 172] : [178, 24, 43];
  return end.map((v, i) => Math.round(ground[i] + Math.min(1, Math.abs(share)) * (v - ground[i])));
}
