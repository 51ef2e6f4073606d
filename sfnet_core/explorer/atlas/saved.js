// A saved atlas: what takes the kernel's place. It reads the data in this file and answers the views as Python does.

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

/** What a view sees as its model: values it reads, messages it sends, and answers to them. */
function model(values, actions) {
  const handlers = new Map();
  const tell = (event, ...what) => [...(handlers.get(event) || [])].forEach((handler) => handler(...what));
  return {
    get: (name) => values[name],
    on: (event, handler) => handlers.set(event, [...(handlers.get(event) || []), handler]),
    off: (event, handler) => handlers.set(event, (handlers.get(event) || []).filter((one) => one !== handler)),
    send: (message) => actions[message.do]?.(message),
    set(name, value) {
      values[name] = value;
      tell(`change:${name}`);
    },
    answer: (message, buffers) => tell("msg:custom", message, buffers),
  };
}

function start(index) {
  const { overview, cards, quantities } = index;
  const place = new Map(cards.map((card, i) => [card.feature, i]));
  const homes = unpack(index.homes, Int32Array);
  const background = unpack(index.background, Int32Array);
  const values = new Map(quantities.map((q) => [q.key, unpack(q.values, Float32Array)]));
  const pages = new Map();
  const albums = new Map();
  const kept = (memory, key, make) => memory.get(key) ?? memory.set(key, make()).get(key);
  const page = (feature) => kept(pages, feature, () => block(`f${feature}`));

  function picture(galaxy) {
    if (homes[galaxy] === -2) return "";
    return `data:image/jpeg;base64,${kept(albums, homes[galaxy], () => block(`p${homes[galaxy]}`))[galaxy]}`;
  }
  const galaxy = ([number, activation, more]) => ({ number, id: index.ids[number], unlike: number in index.unlike, activation, jpeg: picture(number), ...(Array.isArray(more) ? { place: more } : { caption: more }) });

  // -- the state, its undo list and its link -------------------------------------------------------------------

  const FIRST = { view: "cards", feature: -1, galaxy: -1, sort: "contribution", descending: true, find: "", least: "", against: index.against, sky: true };
  const ALLOWED = {
    view: ["cards", "signs", "matrix", "about"],
    sort: index.head.sorts.map(([key]) => key),
    least: index.head.leasts.map(([key]) => key),
    against: quantities.map((q) => q.key),
  };
  let state = { ...FIRST };
  let past = [];
  let future = [];
  let notices = index.head.notices;
  let opened = 0;

  function change(choices) {
    const before = state;
    move({ ...state, ...choices }, () => {
      past.push(before);
      future = [];
    });
  }
  function move(next, then = () => {}) {
    const changed = new Set(Object.keys(next).filter((name) => next[name] !== state[name]));
    if (!changed.size) return;
    then();
    state = next;
    draw(changed);
  }
  function travel(from, to) {
    if (!from.length) return;
    to.push(state);
    move(from.pop());
  }
  function open(feature) {
    if (feature < 0 || place.has(feature)) return change({ feature: Math.max(-1, feature), galaxy: -1 });
    notices = [`f${feature} is not on this page: it holds the ${cards.length} features with the largest mean contribution.`];
    return drawHead();
  }

  function query() {
    const words = (name) => (typeof FIRST[name] === "boolean" ? Number(state[name]) : name === "galaxy" ? index.ids[state.galaxy] : state[name]);
    const parts = Object.keys(FIRST).filter((name) => name !== "feature" && state[name] !== FIRST[name]).map((name) => `${name}=${encodeURIComponent(words(name))}`);
    return (state.feature < 0 ? parts : [`f${state.feature}`, ...parts]).join("&");
  }
  /** Read a link; what does not hold is said, and the page opens without it. */
  function follow(link) {
    const choices = { ...FIRST };
    notices = link.length > MAX_LINK ? [`The link's ${count(link.length)} characters are more than this page reads (${count(MAX_LINK)}).`] : [];
    for (const part of notices.length ? [] : link.split("&").filter(Boolean)) {
      const [name, ...rest] = part.split("=");
      let text = rest.join("=");
      try { text = decodeURIComponent(text); } catch { /* taken as it stands */ }
      const feature = /^f(\d{1,5})$/.exec(name);
      if (feature && place.has(Number(feature[1]))) choices.feature = Number(feature[1]);
      else if (name === "find" && text.length <= 80) choices.find = text;
      else if (name === "galaxy" && index.ids.includes(text)) choices.galaxy = index.ids.indexOf(text);
      else if (["descending", "sky"].includes(name) && /^[01]$/.test(text)) choices[name] = text === "1";
      else if (ALLOWED[name]?.includes(text)) choices[name] = text;
      else notices.push(`The link's “${part.slice(0, 60)}” was left out: this page has no such thing.`);
    }
    notices = notices.slice(0, 4);
    opened += 1;
    move(choices);
    drawHead();
  }

  // -- what is listed ------------------------------------------------------------------------------------------

  function shown() {
    const [, , least] = index.head.leasts.find(([key]) => key === state.least);
    const part = state.find.toLowerCase();
    const by = index.sorts[state.sort];
    const keep = cards.map((_, i) => i).filter((i) => cards[i].rate >= least && cards[i].label.toLowerCase().includes(part));
    const known = keep.filter((i) => by[i] !== null).sort((a, b) => (state.descending ? by[b] - by[a] : by[a] - by[b]));
    return [...known, ...keep.filter((i) => by[i] === null)];
  }

  // -- the views -----------------------------------------------------------------------------------------------

  const head = model({}, {
    view: ({ view }) => change({ view, feature: -1 }),
    sort: ({ sort }) => change({ sort }),
    order: () => change({ descending: !state.descending }),
    find: ({ find }) => change({ find: find.trim().slice(0, 80) }),
    least: ({ least }) => change({ least }),
    undo: () => travel(past, future),
    redo: () => travel(future, past),
    "open-link": ({ query: link }) => follow(link),
    dismiss: () => {
      notices = [];
      drawHead();
    },
  });
  const deck = model({}, { open: ({ feature }) => open(feature), pictures: ({ features }) => strips(features) });
  const leaf = model({ galaxies: {}, plot: {}, slow: {} }, {
    open: ({ feature }) => open(feature),
    against: ({ key }) => change({ against: key }),
    slow: () => leaf.set("slow", { ...page(state.feature).looks, less: state.sky, mean: pageMean(), coefficients: page(state.feature).numbers.coefficients }),
    sky: ({ less }) => change({ sky: less }),
    peek: ({ row }) => leaf.answer({ peek: row, galaxy: { id: index.ids[row], activation: 0 } }, [picture(row)]),
  });
  const tables = model({}, {
    open: ({ feature }) => open(feature),
    sort: ({ key }) => change(key === state.sort ? { descending: !state.descending } : { sort: key, descending: true }),
  });
  const about = model({}, {});
  const card = model({}, { close: () => change({ galaxy: -1 }), feature: ({ feature }) => open(feature) });
  document.addEventListener("sf-galaxy", (event) => change({ galaxy: event.detail }));

  function pageMean() {
    const { mean } = page(state.feature).looks;
    return mean && `data:image/jpeg;base64,${mean}`;
  }

  function strips(features) {
    const found = features.map((feature) => [feature, cards[place.get(feature)].strip.map(galaxy)]);
    deck.answer({ pictures: found, split: overview.split }, found.flatMap(([, strip]) => strip.map((one) => one.jpeg)));
  }

  function drawHead() {
    const { sort, descending, find, least, view, feature } = state;
    head.set("data", {
      ...index.head, simulated: index.simulated, splits: [[overview.split, overview.of]], split: overview.split, targets: [["0", overview.target]], target: "0",
      sort, descending, find, least, view, feature, leasts: index.head.leasts.map(([key, words]) => [key, words]), notices, query: query(), opened,
    });
  }

  function drawLists(order) {
    const free = state.feature < 0;
    deck.set("data", { ...overview, open: free && state.view === "cards", cards: order.map((i) => cards[i]), find: state.find, images: index.images, why: index.why, starred: index.starred });
    about.set("data", { open: free && state.view === "about", rows: index.about });
    if (!free || !["signs", "matrix"].includes(state.view)) return tables.set("data", { view: "" });
    return tables.set("data", { ...overview, view: state.view, sort: state.sort, descending: state.descending, bias: index.bias, ...(state.view === "signs" ? signs(order) : matrix(order.slice(0, 48), order.length)) });
  }

  function signs(order) {
    const rows = order.map((i) => index.rows.rows[i]);
    return { rows, targets: index.rows.targets, differ: rows.filter((r) => r.disagree).length, clear: rows.filter((r) => r.disagree && r.clear).length };
  }

  function matrix(order, listed) {
    const n = cards.length;
    const [cells, both] = [kept(pages, "matrix", () => unpack(index.matrix, Float32Array)), kept(pages, "both", () => unpack(index.both, Int32Array))];
    const at = (i, j) => (i < j ? i * n - (i * (i + 1)) / 2 + j - i - 1 : at(j, i)); // the part above the diagonal, row by row
    const known = (value) => (Number.isFinite(value) ? value : null);
    const table = (one) => order.map((i) => order.map((j) => one(i, j)));
    return {
      features: order.map((i) => cards[i].feature),
      labels: order.map((i) => cards[i].label),
      cells: table((i, j) => (i === j ? 1 : known(cells[at(i, j)]))),
      both: table((i, j) => (i === j ? cards[i].fires : both[at(i, j)])),
      listed,
    };
  }

  function drawLeaf(changed, order) {
    if (state.feature < 0) return leaf.set("data", { feature: -1 });
    const everything = changed.has("feature");
    const { groups } = page(state.feature);
    if (everything) {
      leaf.set("slow", {});
      leaf.set("galaxies", { feature: state.feature, images: index.images, why: index.why, groups: groups.map((group) => ({ ...group, galaxies: group.galaxies.map(galaxy) })) });
    }
    else if (changed.has("sky") && leaf.get("slow").coefficients) leaf.set("slow", { ...leaf.get("slow"), less: state.sky });
    if (everything || changed.has("against")) leaf.set("plot", plot());
    const at = order.indexOf(place.get(state.feature));
    const beside = (step) => {
      const card = at < 0 ? undefined : cards[order[at + step]];
      return card ? [card.feature, card.label] : [-1, ""];
    };
    const { numbers, said } = page(state.feature);
    return leaf.set("data", { ...numbers, said, before: beside(-1), after: beside(1), bpt: bpt(numbers.bpt) });
  }

  /** The galaxies drawn for the feature that is open: their numbers and its activations on them. */
  function drawn() {
    const { galaxies, activations } = page(state.feature).drawn;
    return [unpack(galaxies, Int32Array), unpack(activations, Float32Array)];
  }
  const columns = (rows, ...columnsOf) => columnsOf.map((column) => bytesOf(Float32Array.from(rows, column)));

  function plot() {
    const data = page(state.feature);
    const q = quantities.find((one) => one.key === state.against);
    const y = values.get(q.key);
    const [galaxies, activations] = drawn();
    const keep = Array.from(galaxies, (_, i) => i).filter((i) => Number.isFinite(y[galaxies[i]]));
    const [xs, ys] = columns(keep, (i) => activations[i], (i) => y[galaxies[i]]);
    const { n } = data.plots[q.key];
    return {
      ...data.plots[q.key], feature: state.feature, label: data.numbers.label, choices: quantities.map((one) => [one.key, one.name]), key: q.key, name: q.name, axis: q.axis, of: overview.of,
      ranges: [data.range, q.range], x: xs, y: ys, rows: bytesOf(Int32Array.from(keep, (i) => galaxies[i])),
      sampled: keep.length < n ? `Drawn: ${count(keep.length)} of the ${count(n)} galaxies, at random.` : "",
    };
  }

  /** The BPT diagram: the silent galaxies first, then by rising activation, so that the strongest is on top. */
  function bpt(data) {
    const nine = data.nine.map(galaxy);
    if (!data.mix) return { ...data, nine };
    const [x, y] = [values.get("n2_ha"), values.get("o3_hb")];
    const [galaxies, activations] = drawn();
    const fires = new Set(galaxies);
    const silent = Array.from(background).filter((g) => !fires.has(g)).map((g) => [g, 0]);
    const firing = Array.from(galaxies, (g, i) => [g, activations[i] / data.largest]).sort((a, b) => a[1] - b[1]);
    const points = [...silent, ...firing].filter(([g]) => Number.isFinite(x[g] + y[g]));
    const [xs, ys, shade] = columns(points, ([g]) => x[g], ([g]) => y[g], ([, share]) => share);
    const sampled = points.length < data.n ? `Drawn: ${count(points.length)} of the ${count(data.n)} galaxies, at random.` : "";
    return { ...data, nine, curves: index.curves, ranges: index.bpt, x: xs, y: ys, shade, rows: bytesOf(Int32Array.from(points, ([g]) => g)), sampled };
  }

  function draw(changed) {
    const order = shown();
    drawHead();
    if (["sort", "descending", "find", "least", "view", "feature"].some((name) => changed.has(name))) drawLists(order);
    if (changed.size > 1 || !changed.has("galaxy")) drawLeaf(changed, order);
    drawGalaxy();
  }

  /** The galaxy that is open: bias + Σ weight × activation, and its row of the catalogue. */
  function drawGalaxy() {
    if (state.galaxy < 0) return card.set("data", { open: false });
    const at = kept(pages, "coded", () => new Map(Array.from(unpack(index.codes.galaxies, Int32Array), (g, i) => [g, i]))).get(state.galaxy);
    const { k } = index.codes;
    const read = (name, Kind) => kept(pages, name, () => unpack(index.codes[name], Kind)).slice(at * k, at * k + k);
    const [features, activations] = at === undefined ? [[], []] : [read("features", Int32Array), read("activations", Float32Array)];
    const weights = kept(pages, "weights", () => unpack(index.codes.weights, Float64Array));
    const terms = Array.from(features, (feature, i) => ({ feature, label: cards[place.get(feature)]?.label ?? `f${feature}`, there: place.has(feature), weight: weights[feature], activation: activations[i], contribution: weights[feature] * activations[i] }))
      .filter((term) => term.feature >= 0)
      .sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
    const value = (key) => values.get(key)?.[state.galaxy];
    const minus = (text) => text.replace("-", "\u2212"); // a true minus
    const words = (number) => (Number.isFinite(number) ? minus(String(Number(number.toPrecision(6)))) : "–");
    const prediction = at === undefined ? value("prediction") : terms.reduce((sum, term) => sum + term.contribution, index.bias);
    const named = ["truth", "prediction", "residual"];
    const unit = overview.unit ? ` ${overview.unit}` : "";
    const [ra, dec] = [value("ra"), value("dec")];
    return card.set("data", {
      open: true, id: index.ids[state.galaxy], jpeg: picture(state.galaxy), terms, known: at !== undefined, prediction, bias: index.bias, unit: overview.unit,
      unlike: index.unlike[state.galaxy] ?? "",
      label: index.said[state.galaxy]?.[0] ?? "", note: index.said[state.galaxy]?.[1] ?? "",
      facts: quantities.filter((q) => named.includes(q.key)).map((q) => [q.name, q.key === "residual" ? `${signedOr(Number.isFinite(value(q.key)) ? value(q.key) : null, 4)}${unit}` : Number.isFinite(value(q.key)) ? `${value(q.key).toFixed(4)}${unit}` : "–"]),
      catalogue: quantities.filter((q) => !named.includes(q.key)).map((q) => [q.axis, ["ra", "dec"].includes(q.key) && Number.isFinite(value(q.key)) ? minus(value(q.key).toFixed(5)) : words(value(q.key))]),
      links: index.sky && Number.isFinite(ra) && Number.isFinite(dec) ? skyLinks(ra, dec, index.sky) : [],
    });
  }

  const root = document.getElementById("sf-atlas");
  const parts = [[atlasHead, head], [atlasCards, deck], [atlasLeaf, leaf], [atlasTables, tables], [{ render: renderAbout }, about], [{ render: renderGalaxy }, card]];
  draw(new Set(Object.keys(FIRST)));
  for (const [view, its] of parts) {
    const el = h("div");
    root.append(el);
    view.render({ model: its, el });
  }
  forPrint(root, () => strips(cards.map((card) => card.feature)));
}

/** What the page says of itself. */
function renderAbout({ model: its, el }) {
  el.classList.add("sf-about");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "About this page");
  function update() {
    const data = its.get("data");
    el.hidden = !data.open;
    el.classList.toggle("sf-drawn", data.open);
    if (data.open) el.replaceChildren(h("h2", {}, "About this page"), h("dl", {}, ...data.rows.flatMap(([term, words]) => [h("dt", {}, term), h("dd", {}, words)])));
  }
  its.on("change:data", update);
  update();
}

/** Paper is white, and has every picture. */
function forPrint(root, fillStrips) {
  let dark = false;
  addEventListener("beforeprint", () => {
    dark = root.classList.contains("sf-dark");
    root.classList.remove("sf-dark");
    document.dispatchEvent(new Event("sf-theme"));
    fillStrips();
  });
  addEventListener("afterprint", () => {
    root.classList.toggle("sf-dark", dark);
    document.dispatchEvent(new Event("sf-theme"));
  });
}

const found = block("index");
if (found) start(found);
else document.getElementById("sf-atlas").append(h("p", { class: "sf-notice", role: "alert" }, "This file is not whole: its end is missing. Copy it again or write it anew with sfnet export."));
