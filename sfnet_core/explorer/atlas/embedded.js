// A saved atlas: the same views as on the served page; where those have a kernel's model, these have the data in this file.
// What the user has chosen is the address, after the #: each change is a step of the browser's history, so Back is undo.

const MAX_LINK = 8192;

/** One of the file's data blocks, by name. */
function block(name) {
  const node = document.getElementById(`sf-${name}`);
  return node && JSON.parse(node.textContent);
}

function unpack(text, Kind) {
  return new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

function bytesOf(array) {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** A view's model: values it reads, messages it sends (`actions`), answers to them. */
function embedded(actions = {}) {
  const handlers = new Map();
  const values = {};
  const tell = (event, ...what) => [...(handlers.get(event) || [])].forEach((handler) => handler(...what));
  return {
    get: (name) => values[name] ?? {},
    on: (event, handler) => handlers.set(event, [...(handlers.get(event) || []), handler]),
    off: (event, handler) => handlers.set(event, (handlers.get(event) || []).filter((one) => one !== handler)),
    send: (message) => actions[message.do]?.(message),
    set: (name, value) => { values[name] = value; tell(`change:${name}`); },
    answer: (message, buffers) => tell("msg:custom", message, buffers),
  };
}

/** The choices in the address. `known`: name → its first value, how its text is read (undefined: it does not hold), and written. */
function choicesInAddress(known, drawn) {
  const first = Object.fromEntries(Object.entries(known).map(([name, { value }]) => [name, value]));
  let now = {};
  const steps = () => history.state?.steps ?? 0; // changes that can be undone
  function query() {
    const parts = Object.keys(known).filter((name) => now[name] !== first[name]).map((name) => (name === "feature" ? `f${now.feature}` : `${name}=${encodeURIComponent(known[name].write?.(now[name]) ?? now[name])}`));
    return parts.join("&");
  }
  function address() {
    const url = new URL(location.href);
    url.hash = query();
    return url.href;
  }
  function move(next, left = []) {
    const changed = new Set(Object.keys(first).filter((name) => next[name] !== now[name]));
    now = next;
    return () => drawn(changed, left);
  }
  function change(choices) {
    const next = { ...now, ...choices };
    if (Object.keys(first).every((name) => next[name] === now[name])) return;
    const draw = move(next);
    history.pushState({ steps: steps() + 1 }, "", address());
    draw();
  }
  function read() {
    const [next, left] = [{ ...first }, []];
    for (const [name, text] of new URLSearchParams(location.hash.slice(1, MAX_LINK))) {
      const [key, words] = /^f\d{1,5}$/.test(name) ? ["feature", name.slice(1)] : [name, text];
      const value = Object.hasOwn(known, key) ? known[key].read(words) : undefined;
      if (value !== undefined) next[key] = value;
      else left.push(`The link's “${(text ? `${name}=${text}` : name).slice(0, 60)}” was left out: this page does not know it.`);
    }
    const draw = move(next, left.slice(0, 4));
    history.replaceState({ steps: steps() }, "", address());
    draw();
  }
  window.addEventListener("popstate", read);
  return { get: (name) => now[name], change, read, query, undo: () => steps() && history.back(), redo: () => history.forward() };
}

function start(index) {
  const { overview, cards, quantities } = index;
  const place = new Map(cards.map((card, i) => [card.feature, i]));
  const values = new Map(quantities.map((q) => [q.key, unpack(q.values, Float32Array)]));
  const memory = new Map();
  const once = (key, make) => memory.get(key) ?? memory.set(key, make()).get(key);
  const page = (feature) => once(`f${feature}`, () => block(`f${feature}`));
  const packed = (name, Kind, from = index) => once(name, () => unpack(from[name], Kind));

  function picture(galaxy) {
    const home = packed("homes", Int32Array)[galaxy];
    return home === -2 ? "" : `data:image/jpeg;base64,${once(`p${home}`, () => block(`p${home}`))[galaxy]}`;
  }
  const galaxy = ([number, activation, more]) => ({ number, id: index.ids[number], unlike: number in index.unlike, activation, jpeg: picture(number), ...(Array.isArray(more) ? { place: more } : { caption: more }) });

  // -- what is chosen ------------------------------------------------------------------------------------------

  const oneOf = (value, texts) => ({ value, read: (text) => (texts.includes(text) ? text : undefined) });
  const yes = { value: true, read: (text) => ({ 0: false, 1: true })[text], write: Number };
  let notices = index.head.notices;
  const choices = choicesInAddress({
    feature: { value: -1, read: (text) => (place.has(Number(text)) ? Number(text) : undefined) },
    view: oneOf("cards", ["cards", "signs", "matrix", "about"]),
    galaxy: { value: -1, read: (text) => (index.ids.includes(text) ? index.ids.indexOf(text) : undefined), write: (number) => index.ids[number] },
    sort: oneOf("contribution", index.head.sorts.map(([key]) => key)),
    descending: yes,
    find: { value: "", read: (text) => text.slice(0, 80) },
    least: oneOf("", index.head.leasts.map(([key]) => key)),
    against: oneOf(index.against, quantities.map((q) => q.key)),
    sky: yes,
  }, draw);
  const { get, change } = choices;
  function open({ feature }) {
    if (feature < 0 || place.has(feature)) return change({ feature, galaxy: -1 });
    notices = [`f${feature} is not on this page: it holds the ${cards.length} features with the largest mean contribution.`];
    return drawHead();
  }

  // -- the views' models ---------------------------------------------------------------------------------------

  const head = embedded({
    view: ({ view }) => change({ view, feature: -1 }),
    sort: ({ sort }) => change({ sort }),
    order: () => change({ descending: !get("descending") }),
    find: ({ find }) => change({ find: find.trim().slice(0, 80) }),
    least: ({ least }) => change({ least }),
    undo: choices.undo,
    redo: choices.redo,
    dismiss: () => { notices = []; drawHead(); },
  });
  const grid = embedded({ open, pictures: ({ features }) => strips(features) });
  const leaf = embedded({
    open,
    against: ({ key }) => change({ against: key }),
    slow: () => drawSlow(),
    sky: ({ less }) => change({ sky: less }),
    peek: ({ row }) => leaf.answer({ peek: row, galaxy: { id: index.ids[row], activation: 0 } }, [picture(row)]),
  });
  const tables = embedded({ open, sort: ({ key }) => change(key === get("sort") ? { descending: !get("descending") } : { sort: key, descending: true }) });
  const about = embedded();
  const card = embedded({ close: () => change({ galaxy: -1 }), feature: open });
  document.addEventListener("sf-galaxy", (event) => change({ galaxy: event.detail }));

  function draw(changed, left) {
    if (left.length) notices = left;
    const least = index.head.leasts.find(([key]) => key === get("least"))[2];
    const part = get("find").toLowerCase();
    const order = index.orders[get("sort")][get("descending") ? 0 : 1].filter((i) => cards[i].rate >= least && cards[i].label.toLowerCase().includes(part));
    const some = (...names) => names.some((name) => changed.has(name));
    drawHead();
    if (some("sort", "descending", "find", "least", "view", "feature")) drawOverview(order);
    if (some("feature", "against", "sky", "sort", "descending", "find", "least")) drawFeature(some, order);
    drawGalaxy();
  }

  function drawHead() {
    const leasts = index.head.leasts.map(([key, words]) => [key, words]);
    const chosen = Object.fromEntries(["sort", "descending", "find", "least", "view", "feature"].map((name) => [name, get(name)]));
    head.set("data", { ...index.head, ...chosen, leasts, simulated: index.simulated, splits: [[overview.split, overview.of]], split: overview.split, targets: [["0", overview.target]], target: "0", notices, query: choices.query(), opened: 1 });
  }

  function drawOverview(order) {
    const view = get("feature") < 0 ? get("view") : "";
    grid.set("data", { ...overview, open: view === "cards", cards: order.map((i) => cards[i]), find: get("find"), images: index.images, why: index.why, starred: index.starred });
    about.set("data", { open: view === "about", rows: index.about });
    const part = { signs, matrix }[view];
    tables.set("data", part ? { ...overview, view, sort: get("sort"), descending: get("descending"), bias: index.bias, ...part(order) } : { view: "" });
  }

  function strips(features) {
    const found = features.map((feature) => [feature, cards[place.get(feature)].strip.map(galaxy)]);
    grid.answer({ pictures: found, split: overview.split }, found.flatMap(([, strip]) => strip.map((one) => one.jpeg)));
  }

  const signs = (order) => ({ rows: order.map((i) => index.rows.rows[i]), targets: index.rows.targets });

  function matrix(listed) {
    const n = cards.length;
    const order = listed.slice(0, 48);
    const [cells, both] = [packed("matrix", Float32Array), packed("both", Int32Array)];
    const at = (i, j) => (i < j ? i * n - (i * (i + 1)) / 2 + j - i - 1 : at(j, i)); // the part above the diagonal, row by row
    const table = (diagonal, one) => order.map((i) => order.map((j) => (i === j ? diagonal(i) : one(at(i, j)))));
    return {
      features: order.map((i) => cards[i].feature),
      labels: order.map((i) => cards[i].label),
      cells: table(() => 1, (k) => (Number.isFinite(cells[k]) ? cells[k] : null)),
      both: table((i) => cards[i].fires, (k) => both[k]),
      listed: listed.length,
    };
  }

  function drawFeature(some, order) {
    const feature = get("feature");
    if (feature < 0) return leaf.set("data", { feature });
    const { groups, numbers, said } = page(feature);
    if (some("feature")) {
      leaf.set("slow", {});
      leaf.set("galaxies", { feature, images: index.images, why: index.why, groups: groups.map((group) => ({ ...group, galaxies: group.galaxies.map(galaxy) })) });
    } else if (some("sky")) drawSlow();
    if (some("feature", "against")) leaf.set("plot", plot());
    const beside = (step) => {
      const card = cards[order[order.indexOf(place.get(feature)) + step]];
      return card && order.includes(place.get(feature)) ? [card.feature, card.label] : [-1, ""];
    };
    return leaf.set("data", { ...numbers, said, before: beside(-1), after: beside(1), bpt: bpt(numbers.bpt) });
  }

  function drawSlow() {
    const { looks, numbers } = page(get("feature"));
    leaf.set("slow", { ...looks, less: get("sky"), mean: looks.mean && `data:image/jpeg;base64,${looks.mean}`, coefficients: numbers.coefficients });
  }

  /** The galaxies drawn for the feature that is open: their numbers and its activations on them. */
  function drawn() {
    const { galaxies, activations } = page(get("feature")).drawn;
    return [unpack(galaxies, Int32Array), unpack(activations, Float32Array)];
  }
  const columns = (rows, ...columnsOf) => columnsOf.map((column) => bytesOf(Float32Array.from(rows, column)));
  const sampled = (shown, of) => (shown < of ? `Drawn: ${count(shown)} of the ${count(of)} galaxies, at random.` : "");

  function plot() {
    const data = page(get("feature"));
    const q = quantities.find((one) => one.key === get("against"));
    const y = values.get(q.key);
    const [galaxies, activations] = drawn();
    const keep = Array.from(galaxies, (_, i) => i).filter((i) => Number.isFinite(y[galaxies[i]]));
    const [xs, ys] = columns(keep, (i) => activations[i], (i) => y[galaxies[i]]);
    return {
      ...data.plots[q.key], feature: get("feature"), label: data.numbers.label, choices: quantities.map((one) => [one.key, one.name]), key: q.key, name: q.name, axis: q.axis, of: overview.of,
      ranges: [data.range, q.range], x: xs, y: ys, rows: bytesOf(Int32Array.from(keep, (i) => galaxies[i])), sampled: sampled(keep.length, data.plots[q.key].n),
    };
  }

  /** The BPT diagram: the silent galaxies first, then by rising activation, so that the strongest is on top. */
  function bpt(data) {
    const nine = data.nine.map(galaxy);
    if (!data.mix) return { ...data, nine };
    const [x, y] = [values.get("n2_ha"), values.get("o3_hb")];
    const [galaxies, activations] = drawn();
    const fires = new Set(galaxies);
    const silent = Array.from(packed("background", Int32Array)).filter((g) => !fires.has(g)).map((g) => [g, 0]);
    const firing = Array.from(galaxies, (g, i) => [g, activations[i] / data.largest]).sort((a, b) => a[1] - b[1]);
    const points = [...silent, ...firing].filter(([g]) => Number.isFinite(x[g] + y[g]));
    const [xs, ys, shade] = columns(points, ([g]) => x[g], ([g]) => y[g], ([, share]) => share);
    return { ...data, nine, curves: index.curves, ranges: index.bpt, x: xs, y: ys, shade, rows: bytesOf(Int32Array.from(points, ([g]) => g)), sampled: sampled(points.length, data.n) };
  }

  /** The galaxy that is open: bias + Σ weight × activation, and its row of the catalogue. */
  function drawGalaxy() {
    const number = get("galaxy");
    if (number < 0) return card.set("data", { open: false });
    const { codes, bias } = index;
    const at = packed("galaxies", Int32Array, codes).indexOf(number);
    const kept = (name, Kind) => (at < 0 ? [] : Array.from(packed(name, Kind, codes).slice(at * codes.k, (at + 1) * codes.k)));
    const [weights, activations] = [packed("weights", Float64Array, codes), kept("activations", Float32Array)];
    const terms = kept("features", Int32Array)
      .map((feature, i) => ({ feature, label: cards[place.get(feature)]?.label ?? `f${feature}`, there: place.has(feature), weight: weights[feature], activation: activations[i], contribution: weights[feature] * activations[i] }))
      .filter((term) => term.feature >= 0)
      .sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
    const value = (key) => (Number.isFinite(values.get(key)?.[number]) ? values.get(key)[number] : null);
    const words = (key, write) => (value(key) === null ? "–" : write(value(key)).replace("-", "\u2212")); // a true minus
    const unit = overview.unit ? ` ${overview.unit}` : "";
    const named = { truth: (v) => v.toFixed(4) + unit, prediction: (v) => v.toFixed(4) + unit, residual: (v) => signed(v, 4) + unit };
    const degrees = { ra: (v) => v.toFixed(5), dec: (v) => v.toFixed(5) };
    const [label, note] = index.said[number] ?? ["", ""];
    return card.set("data", {
      open: true, id: index.ids[number], jpeg: picture(number), unlike: index.unlike[number] ?? "", label, note, unit: overview.unit, bias, terms, known: at >= 0,
      prediction: at < 0 ? value("prediction") : terms.reduce((sum, term) => sum + term.contribution, bias),
      facts: quantities.filter((q) => q.key in named).map((q) => [q.name, words(q.key, named[q.key])]),
      catalogue: quantities.filter((q) => !(q.key in named)).map((q) => [q.axis, words(q.key, degrees[q.key] ?? ((v) => String(Number(v.toPrecision(6)))))]),
      links: index.sky && value("ra") !== null && value("dec") !== null ? skyLinks(value("ra"), value("dec"), index.sky) : [],
    });
  }

  const root = document.getElementById("sf-atlas");
  choices.read();
  for (const [view, model] of [[atlasHead, head], [atlasCards, grid], [atlasFeature, leaf], [atlasTables, tables], [aboutPage, about], [{ render: renderGalaxy }, card]]) {
    const el = h("div");
    root.append(el);
    view.render({ model, el });
  }
  forPrint(root, () => strips(cards.map((card) => card.feature)));
}

/** What the page says of itself. */
const aboutPage = {
  render({ model, el }) {
    el.classList.add("sf-about");
    el.setAttribute("role", "region");
    el.setAttribute("aria-label", "About this page");
    function update() {
      const data = model.get("data");
      el.hidden = !data.open;
      el.classList.toggle("sf-drawn", data.open);
      if (data.open) el.replaceChildren(h("h2", {}, "About this page"), h("dl", {}, ...data.rows.flatMap(([term, words]) => [h("dt", {}, term), h("dd", {}, words)])));
    }
    model.on("change:data", update);
    update();
  },
};

/** Paper is white, and has every picture. */
function forPrint(root, fillStrips) {
  let dark = false;
  const paint = (on) => {
    root.classList.toggle("sf-dark", on);
    document.dispatchEvent(new Event("sf-theme"));
  };
  addEventListener("beforeprint", () => {
    dark = root.classList.contains("sf-dark");
    paint(false);
    fillStrips();
  });
  addEventListener("afterprint", () => paint(dark));
}

const found = block("index");
if (found) start(found);
else document.getElementById("sf-atlas").append(h("p", { class: "sf-notice", role: "alert" }, "This file is incomplete: its end is missing. Copy it again or write it again with sfnet export."));
