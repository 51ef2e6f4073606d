// The overview as tables: ρ beside weight with the signs that differ, and the features' correlations with each other.

function render({ model, el }) {
  const send = (message) => model.send(message);
  const caption = h("p", { class: "sf-caption" });
  const place = h("div", { class: "sf-table-place" });
  const csv = h("button", { type: "button", title: "Save this table as CSV", onclick: save }, "save CSV");
  const figure = saveButtons(() => matrixFigure("Correlations of the features' activations", model.get("data")), () => ({ name: "feature-correlations", caption: () => {
    const data = model.get("data");
    return figureCaption(data, "Pearson correlations of the features' activations with each other", data.n, [
      `Activations are 0 where a feature is silent; red together, blue apart, full colour \u03c1 = \u00b11`,
      `${data.features.length} of ${data.active} active features`,
    ]);
  } }));
  el.classList.add("sf-tables");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Features as a table");
  el.replaceChildren(h("div", { class: "sf-bar" }, caption, h("span", { class: "sf-push" }), figure, csv), place);

  const open = (feature, label) => h("button", { type: "button", class: "sf-name", title: `Open ${label}`, onclick: () => send({ do: "open", feature }) }, label);
  const ground = (share) => `rgba(${share < 0 ? "33,102,172" : "178,24,43"},${(0.55 * Math.min(1, Math.abs(share))).toFixed(3)})`;
  const cell = (value, digits, scale) => h("td", value === null ? {} : { style: `background:${ground(value / scale)}` }, signedOr(value, digits));

  function columns(data) {
    const unit = data.unit ? ` [${data.unit}]` : "";
    const out = [["feature", null], ["fires on", (r) => [percent(r.rate)]], ["n", (r) => [count(r.fires)]], [`weight${unit}`, "weight", 4], ["Pearson ρ", "pearson", 3], ["signs", (r) => [r.pearson === null ? "–" : !r.disagree ? "agree" : r.clear ? "differ" : "differ, in the noise"]], ["ρ where it fires", "pearson_fires", 3], [data.fixed ? `ρ at fixed ${data.fixed}` : "partial ρ", "partial", 3], [`mean contribution${unit}`, "mean", 4], ["share", (r) => [percent(r.share)]], [`ΔRMSE without it${unit}`, "without", 4], [`one at random instead${unit}`, "chance", 4]];
    if (data.steady) out.push(["stability", (r) => [r.steady.rho === null ? "–" : r.steady.rho.toFixed(3).replace("-", "\u2212")]], ["found again", (r) => [r.steady.rho === null ? "–" : r.steady.rare ? "too rare" : `${r.steady.found} of ${r.steady.of}`]], ["stability, shuffled", (r) => [r.steady.rho === null ? "–" : r.steady.null.toFixed(3).replace("-", "\u2212")]]);
    data.targets.forEach((target, t) => out.push([`ρ ${target}`, (r) => r.targets[t][0], 2], [`weight ${target}`, (r) => r.targets[t][1], 4]));
    return out;
  }

  const SORTED_BY = { "fires on": "rate", n: "rate", signs: "disagreement", share: "contribution", stability: "stability", weight: "weight", pearson: "pearson", partial: "partial", mean: "mean", without: "without" };

  /** A column's head; pressed, it sorts the features by the column, and pressed again the other way round. */
  function heading([title, key], data) {
    const by = key === null ? "feature" : SORTED_BY[typeof key === "string" ? key : title];
    if (!by) return h("th", { scope: "col" }, title);
    const sorted = by === data.sort && title !== "n"; // “fires on” and n are one
    return h("th", { scope: "col", "aria-sort": sorted ? (data.descending ? "descending" : "ascending") : null }, h("button", { type: "button", class: "sf-sort", "data-sort": title, title: "Sort by this column; again: reverse the order", onclick: () => send({ do: "sort", key: by }) }, title));
  }

  function signs(data) {
    const wanted = columns(data);
    const focused = document.activeElement?.dataset?.sort;
    const value = (r, key) => (typeof key === "function" ? key(r) : r[key]);
    const largest = (key) => Math.max(1e-12, ...data.rows.map((r) => Math.abs(value(r, key) ?? 0)));
    const one = (key) => (key === "without" || key === "chance" ? Math.max(largest("without"), largest("chance")) : largest(key)); // the two are read beside each other
    const scales = wanted.map(([, key, digits]) => (digits === 4 ? one(key) : 1));
    const rows = data.rows.map((r) => h("tr", { "data-feature": r.feature, class: r.disagree ? "sf-differ" : null }, ...wanted.map(([title, key, digits], i) => (key === null ? h("th", { scope: "row" }, open(r.feature, r.label)) : digits === undefined ? h("td", { class: title === "signs" ? "sf-soft" : null }, ...(value(r, key)[0] === "differ" ? [h("span", { class: "sf-flag" }, "differ")] : value(r, key))) : cell(value(r, key), digits, scales[i])))));
    place.replaceChildren(h("table", { class: "sf-signs" }, h("thead", {}, h("tr", {}, ...wanted.map((column) => heading(column, data)))), h("tbody", {}, ...rows)));
    if (focused) [...place.querySelectorAll(".sf-sort")].find((head) => head.dataset.sort === focused)?.focus({ preventScroll: true });
    const differ = data.rows.filter((r) => r.disagree);
    const lacks = data.missing.length ? ` Not in the catalogue, so not held fixed: ${data.missing.join(", ")}.` : "";
    say(caption, `${data.rows.length} of ${data.active} features · ${data.of}, n = ${count(data.n)} · bias ${data.bias.toFixed(4)} ${data.unit}. Correlation with the true ${data.target} and weight differ in sign for ${differ.length}, for ${differ.filter((r) => r.clear).length} of them by more than chance (|ρ| > 1.96/√n): such a feature goes with high values and still lowers the prediction, or the other way round. ΔRMSE: what leaving the feature out adds to the RMSE of these galaxies; beside it, one of the kept features drawn at random is left out where it fires.${lacks}${data.steady ? ` ${data.steady[0].toUpperCase()}${data.steady.slice(1)}; “found again”: in how many it is above 0.9; “shuffled”: 95 % of shuffled galaxies give less.` : ""}`);
  }

  function matrix(data) {
    const n = data.features.length;
    // As large as the place allows, so that a few features fill it and many still fit.
    const size = Math.max(13, Math.min(40, ...[place.clientHeight - 56, place.clientWidth - 80].map((room) => Math.floor(room / Math.max(1, n)) - 1)));
    const head = h("tr", {}, h("td"), ...data.features.map((feature, i) => h("th", { scope: "col", title: data.labels[i] }, h("span", {}, `f${feature}`))));
    const words = (i, j) => `${data.labels[i]} and ${data.labels[j]}: ρ = ${signedOr(data.cells[i][j], 2)}, both on ${count(data.both[i][j])}`;
    const rows = data.features.map((feature, i) => h("tr", {}, h("th", { scope: "row" }, open(feature, data.labels[i])), ...data.cells[i].map((value, j) => h("td", { title: words(i, j), style: value === null ? null : `background:rgb(${diverging(i === j ? 0 : value, isDark(el))})`, class: i === j ? "sf-diagonal" : Math.abs(value) > 0.6 ? "sf-strong" : null }, i === j || size < 24 ? "" : signedOr(value, 1).replace("0.", ".")))));
    const table = h("table", { class: "sf-matrix", style: `--cell:${size}px` }, h("thead", {}, head), h("tbody", {}, ...rows));
    const all = [];
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) if (data.cells[i][j] !== null) all.push([data.cells[i][j], i, j]);
    all.sort((a, b) => b[0] - a[0]);
    const pair = ([value, i, j]) => h("div", { class: "sf-pair", title: words(i, j) }, open(data.features[j], data.labels[j]), open(data.features[i], data.labels[i]), h("span", { class: "sf-number", style: `background:${ground(value)}` }, signed(value, 2)), h("span", { class: "sf-number sf-count" }, count(data.both[i][j])));
    const list = (title, pairs) => (pairs.length ? [h("h2", {}, title), h("div", { class: "sf-pair sf-columns" }, h("span", {}, ""), h("span", {}, ""), h("span", {}, "ρ"), h("span", {}, "both fire on")), ...pairs.map(pair)] : []);
    const side = h("div", { class: "sf-pairs" }, ...list("Most alike, together on 5 or more", all.filter(([v, i, j]) => v > 0 && data.both[i][j] >= 5).slice(0, 12)), ...list("Most opposed", all.filter(([v]) => v < 0).slice(-8).reverse()));
    place.replaceChildren(...(n ? [h("div", { class: "sf-matrix-place" }, table, side)] : [h("p", { class: "sf-empty" }, "No feature fits the search and the firing rate chosen.")]));
    say(caption, `Pearson ρ of the activations (0 where silent) over the ${data.of} galaxies, n = ${count(data.n)}; red together, blue apart. ${n < data.listed ? `The first ${n} of ${data.listed} listed features; ask for a higher firing rate or search to see others. ` : ""}Order as sorted above${data.sort === "likeness" ? "" : "; “alike side by side” shows groups"}.`);
  }

  /** A cell of a CSV file: a formula is made a text, commas and quotes are kept. */
  function csvCell(value) {
    const words = String(value ?? "").trim().replaceAll("\u2212", "-");
    const safe = /^[=@\t\r]|^[+-](?![\d.])/.test(words) ? `'${words}` : words.replace(/^\+/, "");
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  function save() {
    const rows = [...place.querySelectorAll("tr")].map((row) => [...row.children].map((node) => csvCell(node.textContent)).join(","));
    const data = model.get("data");
    if (data.view === "matrix") rows.splice(0, rows.length, ["", ...data.labels].map(csvCell).join(","), ...data.cells.map((row, i) => [data.labels[i], ...row].map(csvCell).join(",")));
    const link = h("a", { href: URL.createObjectURL(new Blob([`${rows.join("\r\n")}\r\n`], { type: "text/csv" })), download: data.view === "matrix" ? "feature-correlations.csv" : "features.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 5000);
  }

  function update() {
    const data = model.get("data");
    el.hidden = !data.view;
    el.classList.toggle("sf-drawn", Boolean(data.view));
    figure.hidden = data.view !== "matrix" || !data.features.length;
    if (data.view === "signs") signs(data);
    else if (data.view === "matrix") matrix(data);
    else place.replaceChildren();
  }
  model.on("change:data", update);
  document.addEventListener("sf-theme", update);
  update();
  return () => {
    document.removeEventListener("sf-theme", update);
    model.off("change:data", update);
  };
}

export default { render };
