// A feature's full page. What opens at once is drawn from `data`; what takes longer is asked for and arrives in `slow`.

const FACTS = {
  weight: "Weight in the linear sum: target's unit per unit of activation",
  "fires on": "Share and number of the galaxies in view on which the feature passes the gate",
  "mean contribution": "Mean of weight × activation over all galaxies in view",
  "where it fires": "Mean and scatter of weight × activation over the galaxies where it fires",
  share: "This feature's part of the sum of all features' |contribution| over the galaxies in view",
  rank: "Rank among the features by mean |contribution|",
  "ΔRMSE without it": WITHOUT,
  stability: "Mean correlation with its counterparts in other trainings, and in how many it is above 0.9",
};

function render({ model, el }) {
  const send = (message) => model.send(message);
  const examplePictures = pictures();
  const ninePictures = pictures();
  const slowPictures = pictures();
  const peeks = new Map();

  function peek(row, show) {
    if (peeks.has(row)) return show(...peeks.get(row));
    waitingPeeks.set(row, show);
    send({ do: "peek", row });
  }
  const waitingPeeks = new Map();
  function receive(message, buffers) {
    if (message.peek === undefined) return;
    const url = imageUrl(buffers[0]);
    peeks.set(message.peek, [message.galaxy, url]);
    waitingPeeks.get(message.peek)?.(message.galaxy, url);
    waitingPeeks.delete(message.peek);
  }
  function forgetPeeks() {
    for (const [, url] of peeks.values()) if (url) URL.revokeObjectURL(url);
    peeks.clear();
  }

  const section = (name, title, ...children) => h("section", { class: `sf-part sf-part-${name}`, "aria-label": title }, ...children);
  const caption = () => h("p", { class: "sf-caption" });
  const button = (action, text, title, onclick) => h("button", { type: "button", "data-action": action, title, onclick }, text);

  // the line with the feature's name
  const back = button("back", "‹ all features", "Back to all features (Esc); ← and → open the neighbours", () => send({ do: "open", feature: -1 }));
  const before = button("before", "", "", () => send({ do: "open", feature: model.get("data").before[0] }));
  const after = button("after", "", "", () => send({ do: "open", feature: model.get("data").after[0] }));
  const name = h("h2", { tabindex: -1 });
  const flag = h("span", { class: "sf-flag" });
  const toExplore = h("span");
  const stats = h("dl", { class: "sf-stats" });
  const silent = h("p", { class: "sf-empty" });
  const steadyNote = h("p", { class: "sf-caption sf-steady-note" });
  const said = h("p", { class: "sf-feature-note" }); // in a saved page; a served one has a form for it

  // galaxies
  const groups = h("div", { class: "sf-groups" });
  const galaxiesNote = caption();
  const again = button("again", "draw again", "Draw other random galaxies", () => send({ do: "again" }));

  // plots
  const against = h("select", { "aria-label": "Draw the activation against", onchange: () => send({ do: "against", key: against.value }) });
  const scatter = figure({ tallest: 348, peek });
  const scatterNote = caption();
  const bpt = figure({ tallest: 380, peek });
  const bptEmpty = h("p", { class: "sf-empty" });
  const mix = caption();
  const nine = h("div", { class: "sf-nine" });

  // numbers
  const forest = h("div", { class: "sf-forest" });
  const forestNote = caption();
  const looks = h("div", { class: "sf-looks" });
  const looksNote = caption();
  const choice = skyChoice(send);
  const fellows = h("div", { class: "sf-fellows" });
  const fellowsNote = caption();

  const body = h(
    "div",
    { class: "sf-leaf-grid" },
    section("galaxies", "Galaxies of this feature", h("div", { class: "sf-part-head" }, h("h3", {}, "Galaxies"), galaxiesNote), groups),
    section("scatter", "Activation against a quantity", h("div", { class: "sf-part-head" }, h("h3", {}, "Activation against"), against), scatter.node, scatterNote),
    section("forest", "Correlations with intervals", h("h3", {}, "Correlation with the target"), forest, forestNote),
    section("bpt", "BPT diagram", h("h3", {}, "BPT diagram"), bpt.node, bptEmpty, mix),
    section("nine", "Nine of its galaxies", h("h3", {}, "Nine of its strongest galaxies"), nine),
    section("looks", "Where it looks", h("h3", {}, "Where it looks"), looks, looksNote),
    section("fellows", "Features that fire with it", fellows, fellowsNote),
  );
  el.classList.add("sf-leaf");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Feature");
  el.replaceChildren(h("div", { class: "sf-bar sf-leaf-head" }, back, before, name, after, flag, toExplore, h("span", { class: "sf-push" }), stats), said, steadyNote, silent, body);
  function step(node, [feature, label], arrow) {
    node.hidden = feature < 0;
    say(node, arrow === "‹" ? `‹ ${brief(label, 24)}` : `${brief(label, 24)} ›`);
    node.title = `Open ${label}`;
  }

  let opened = -1;
  function drawNumbers() {
    const data = model.get("data");
    el.hidden = data.feature === undefined || data.feature < 0;
    if (el.hidden) {
      opened = -1;
      el.classList.remove("sf-drawn");
      return;
    }
    const unit = data.unit ? ` ${data.unit}` : "";
    step(before, data.before, "‹");
    step(after, data.after, "›");
    say(name, data.label);
    name.title = data.label;
    toExplore.replaceChildren(pageLink(data.link, { class: "sf-to-explore" }, IN_VOILA ? "open in Explore" : ""));
    say(said, [data.said?.note, data.said?.lists.length ? `On the list ${data.said.lists.map((list) => `“${list}”`).join(", ")}.` : ""].filter(Boolean).join("\n"));
    said.hidden = !said.textContent;
    name.classList.toggle("sf-starred", Boolean(data.said?.star));
    flag.hidden = !(data.disagree && data.clear);
    say(flag, "ρ and weight differ in sign");
    silent.hidden = data.fires > 0;
    body.hidden = data.fires === 0;
    const facts = [["weight", `${signed(data.weight, 4)}${unit}`, data.weight < 0 ? "sf-takes" : "sf-adds"]];
    if (data.fires) {
      facts.push(["fires on", `${percent(data.rate)} · ${count(data.fires)}`], ["mean contribution", `${signed(data.mean, 4)}${unit}`], ["where it fires", `${signed(data.mean_fires, 4)} ± ${data.std_fires.toFixed(4)}${unit}`], ["share", percent(data.share)], ["rank", `${data.rank} of ${data.active}`], ["ΔRMSE without it", withoutWords(data, data.unit).filter(Boolean).join(", ")]);
    } else say(silent, data.elsewhere ? `${data.label} does not fire on the ${data.of} galaxies; it fires on ${count(data.elsewhere)} of other splits: choose “all” above to see them.` : `${data.label} fires on no galaxy of this table. Go back to all features for those that do.`);
    if (data.steady) facts.push(["stability", steadyWords(data.steady), data.steady.chance || data.steady.rare ? "sf-soft" : ""]);
    say(steadyNote, data.steadyLine);
    steadyNote.hidden = SAVED && !data.steady; // how to measure it is of no use in a file
    stats.replaceChildren(...facts.map(([key, value, kind]) => h("div", { title: FACTS[key] }, h("dt", {}, key), h("dd", { class: kind }, value))));
    el.classList.add("sf-drawn");
    if (!data.fires) return;
    const later = model.get("slow");
    drawForest(later.feature === data.feature && later.coefficients ? later.coefficients : data.coefficients, data);
    drawBpt(data);
    drawFellows(data);
    if (opened !== data.feature) {
      el.scrollTop = 0;
      if (!el.contains(document.activeElement)) name.focus({ preventScroll: true }); // where reading goes on
    }
    opened = data.feature;
    if (!model.get("slow").coefficients) {
      looks.replaceChildren(h("p", { class: "sf-empty" }, "averaging maps and images …"));
      say(looksNote, "");
      send({ do: "slow" });
    }
  }

  function drawGalaxies() {
    const data = model.get("galaxies");
    if (!data.groups) return;
    examplePictures.turn();
    say(galaxiesNote, data.images ? `activation below each${IN_VOILA ? "; click to open in Explore" : SAVED ? "; click for all of a galaxy" : ""}` : data.why);
    const focused = document.activeElement === again;
    groups.replaceChildren(...data.groups.map((group) => {
      const tiles = group.galaxies.map((galaxy) => galaxyTile(galaxy, examplePictures.url(galaxy.jpeg), galaxy.caption));
      const strip = tiles.length ? h("div", { class: "sf-row8" }, ...tiles) : h("p", { class: "sf-empty" }, group.empty || "none here");
      return h("div", { class: "sf-group", "data-group": group.key }, h("div", { class: "sf-group-head" }, h("b", {}, group.title), h("span", { class: "sf-caption" }, group.hint), group.key === "random" && !SAVED ? again : null), strip);
    }));
    if (focused) again.focus({ preventScroll: true });
  }

  function drawScatter() {
    const data = model.get("plot");
    if (!data.choices) return;
    options(against, data.choices, data.key);
    const rho = data.rho === null ? "" : `Pearson ρ where it fires ${signed(data.rho, 2)} · `;
    const lines = data.running.x ? [["low", 1, "3 3"], ["median", 2, ""], ["high", 1, "3 3"]].map(([key, width, dash]) => ({ x: data.running.x, y: data.running[key], width, dash, accent: true, name: key === "median" ? "running median" : "16th and 84th percentile" })) : [];
    const bars = data.silent ? [{ x: 0, low: data.silent[0], middle: data.silent[1], high: data.silent[2], words: `silent on ${count(data.silent[3])} galaxies: median and 16th to 84th percentile` }] : [];
    scatter.draw({
      ...data,
      name: `f${data.feature}-${data.key}`,
      caption: () => figureCaption(model.get("data"), `Activation of ${data.label} against ${data.name}`, data.n, [
        `x: activation of ${data.label}; y: ${data.axis}`,
        `Galaxies where ${data.label} fires${rho ? `; ${rho.replace(" · ", "")}` : ""}`,
        `${data.cells ? "Grey: galaxies per cell, logarithmic scale. " : ""}Line: running median with 16th and 84th percentiles`,
        data.silent ? `Grey bar at 0: the same of the ${count(data.silent[3])} silent galaxies` : "",
        data.sampled || "",
      ]),
      title: [`${brief(data.label, 22)} against ${data.name}`, `${rho}n = ${count(data.n)} · ${data.of}`],
      xLabel: `activation of ${brief(data.label)}`,
      yLabel: data.axis,
      xName: "activation",
      yName: data.name,
      x: numbers(data.x),
      y: numbers(data.y),
      rows: numbers(data.rows, Int32Array),
      cells: data.cells ? numbers(data.cells) : null,
      lines,
      bars,
    });
    say(scatterNote, `${data.cells ? "Darker: more galaxies (log scale). " : ""}Line: running median with 16th and 84th percentiles.${data.silent ? ` Grey bar at 0: the same of the ${count(data.silent[3])} silent galaxies.` : ""}${data.sampled ? ` ${data.sampled}` : ""}`);
  }

  function drawForest(rows, data) {
    const unknown = rows.every((r) => r.value === null);
    const width = innerWidth > 1240 ? 200 : 96; // about the place there is, so that the marks keep their size
    const x = (v) => 6 + ((v + 1) / 2) * (width - 12);
    forest.replaceChildren(...rows.map((r) => {
      const svg = s("svg", { viewBox: `0 0 ${width} 18`, class: "sf-rho", "aria-hidden": "true" }, s("path", { d: `M${x(-1)} 9H${x(1)}`, class: "sf-rho-axis" }), s("path", { d: `M${x(0)} 1V17`, class: "sf-rho-zero" }));
      if (r.low !== null) svg.append(s("path", { d: `M${x(r.low)} 9H${x(r.high)}M${x(r.low)} 5v8M${x(r.high)} 5v8`, class: "sf-rho-interval" }));
      if (r.value !== null) svg.append(r.key === "pearson" || r.key === "fires" ? s("circle", { cx: x(r.value), cy: 9, r: 4, class: "sf-rho-pearson" }) : s("path", { d: `M${x(r.value) - 5} 9l5 -5 5 5 -5 5z`, class: "sf-rho-partial" }));
      const digits = r.high - r.low < 0.1 ? 3 : 2;
      const interval = r.low !== null ? `[${signed(r.low, digits)}, ${signed(r.high, digits)}]` : r.value === null ? "" : "…";
      return h("div", { class: "sf-forest-row", "data-key": r.key }, h("span", {}, r.name), svg, h("b", { class: "sf-number" }, signedOr(r.value, 3)), h("span", { class: "sf-number sf-interval" }, interval), h("span", { class: "sf-number sf-count" }, `n = ${count(r.n)}`));
    }));
    const drawn = Math.min(...rows.map((r) => r.resamples || Infinity));
    const missing = data.missing.length ? ` Not in the catalogue, so not held fixed: ${data.missing.join(", ")}.` : "";
    say(forestNote, unknown ? `No correlation: ${rows.some((r) => r.n) ? "too few galaxies, or nothing varies" : `no true ${data.target} is known here`} (${data.of}).${missing}` : `With the true ${data.target}; ● Pearson, ◇ partial (of residuals of linear fits). Intervals: 95 % bootstrap${Number.isFinite(drawn) ? `, ${count(drawn)} resamples or more` : ""}. Galaxies: ${data.of}.${missing}`);
  }

  function drawBpt(data) {
    const d = data.bpt;
    ninePictures.turn();
    nine.replaceChildren(...d.nine.map((galaxy, i) => galaxyTile(galaxy, ninePictures.url(galaxy.jpeg), `${d.curves ? `${i + 1} · ` : ""}${galaxy.activation.toFixed(2)}`)));
    bpt.node.hidden = !d.curves;
    bptEmpty.hidden = Boolean(d.curves);
    mix.hidden = !d.curves;
    if (!d.curves) return say(bptEmpty, `The catalogue has no line fluxes. The diagram needs the columns ${d.missing.join(", ")}: pack the catalogue with them.`);
    bpt.draw({
      ...d,
      name: `f${data.feature}-bpt`,
      caption: () => figureCaption(data, `BPT diagram coloured by the activation of ${data.label}`, d.n, [
        "x: log([NII]λ6584 / Hα); y: log([OIII]λ5007 / Hβ)",
        `Colour: activation / max, ${d.cells ? "each cell its strongest galaxy" : "the strongest on top"}; grey: silent`,
        "Solid line: Kauffmann et al. 2003; dashed: Kewley et al. 2001",
        d.nine.length ? `Numbers: its ${d.nine.length} strongest galaxies` : "",
        d.sampled || "",
      ]),
      title: [`BPT, colour: activation of ${brief(data.label, 24)} / max`, `n = ${count(d.n)} · ${data.of} · ${d.cells ? "each cell its strongest galaxy" : "strongest on top"}`],
      xLabel: "log([NII]λ6584 / Hα)",
      yLabel: "log([OIII]λ5007 / Hβ)",
      xName: "log NII/Hα",
      yName: "log OIII/Hβ",
      x: numbers(d.x),
      y: numbers(d.y),
      rows: numbers(d.rows, Int32Array),
      shade: d.shade ? numbers(d.shade) : null,
      cells: d.cells ? numbers(d.cells) : null,
      shaded: true,
      lines: d.curves,
      marks: d.nine.map((galaxy, i) => ({ x: galaxy.place[0], y: galaxy.place[1], words: String(i + 1) })),
      legend: "activation / max",
    });
    const [here, all] = [1, 2].map((i) => d.mix.reduce((sum, row) => sum + row[i], 0));
    say(mix, `Solid: Kauffmann+03, dashed: Kewley+01; grey: silent. The ${count(here)} where it fires: ${d.mix.map(([kind, n, of]) => `${kind} ${here ? percent(n / here) : "–"} (of all ${all ? percent(of / all) : "–"})`).join(", ")}.${d.sampled ? ` ${d.sampled}` : ""}`);
  }

  function drawFellows(data) {
    const list = data.companions;
    const width = 150;
    const x = (lift) => width / 2 + (Math.max(-3, Math.min(3, Math.log2(Math.max(lift, 1e-9)))) / 3) * (width / 2 - 6);
    const line = (c) => h(
      "div",
      { class: "sf-fellow", "data-feature": c.feature },
      h("button", { type: "button", class: "sf-name", title: `Open ${c.label}`, onclick: () => send({ do: "open", feature: c.feature }) }, c.label),
      s("svg", { viewBox: `0 0 ${width} 16`, "aria-hidden": "true" }, s("path", { d: `M${width / 2} 0V16`, class: "sf-rho-zero" }), s("path", { d: `M${x(c.low)} 8H${x(c.high)}`, class: "sf-rho-interval" }), s("circle", { cx: x(c.lift), cy: 8, r: 3.6, class: "sf-rho-pearson" })),
      h("b", { class: "sf-number" }, `${c.lift.toFixed(2)}×`),
      h("span", { class: "sf-number sf-interval" }, `${c.low.toFixed(2)}–${c.high.toFixed(2)}`),
      h("span", { class: "sf-number" }, count(c.both)),
      h("span", { class: "sf-number sf-count" }, c.expected < 100 ? c.expected.toFixed(1) : count(Math.round(c.expected))),
      h("span", { class: "sf-number" }, signedOr(c.pearson, 2)),
    );
    const block = (title, hint, some) => h("div", {}, h("h3", {}, title), some.length ? h("div", { class: "sf-fellow sf-columns" }, ...["feature", "⅛× … 8×", "lift", "95 %", "both", "by chance", "ρ"].map((words) => h("span", {}, words))) : h("p", { class: "sf-empty" }, hint), ...some.map(line));
    const more = list.filter((c) => c.lift > 1);
    const less = list.filter((c) => c.lift <= 1).reverse();
    fellows.replaceChildren(block("Fires with", "no feature more often than by chance", more.slice(0, 8)), block("Fires without", "no feature less often than by chance", less.slice(0, 8)));
    say(fellowsNote, `Lift: how often both fire over how often they would by chance, with Wilson's 95 % interval; ρ of the two activations. Of the ${data.seen ?? list.length} features seen or expected together with it at least 5 times, up to 8 each way · ${data.of}, n = ${count(data.n)}.`);
  }

  function drawSlow() {
    const data = model.get("slow");
    if (!data.coefficients || data.feature !== model.get("data").feature) return;
    drawForest(data.coefficients, model.get("data"));
    slowPictures.turn();
    const focused = document.activeElement === choice.box;
    const parts = [];
    const url = slowPictures.url(data.mean);
    const share = data.crop && data.size.length ? [data.crop / data.size[1], data.crop / data.size[0]] : [1, 1];
    const inside = `width:${100 * share[0]}%;height:${100 * share[1]}%;left:${50 * (1 - share[0])}%;top:${50 * (1 - share[1])}%`;
    if (data.map) {
      const less = Boolean(data.less && data.sky);
      const cells = less ? data.map.map((row, i) => row.map((value, j) => value - data.sky[i][j])) : data.map;
      const flat = cells.flat();
      const sum = (values) => signed(values.reduce((a, b) => a + b, 0), 4);
      const largest = Math.max(1e-12, ...flat.map(Math.abs));
      const canvas = h("canvas", { class: "sf-mean-map", width: data.map[0].length, height: data.map.length, style: inside });
      const context = canvas.getContext("2d");
      const pixels = context.createImageData(data.map[0].length, data.map.length);
      flat.forEach((value, i) => pixels.data.set([...diverging(value / largest, isDark(el)), 255], 4 * i));
      context.putImageData(pixels, 0, 0);
      const unit = model.get("data").unit;
      const { label } = model.get("data");
      const used = `${data.used < data.fires ? `${count(data.used)} of the ` : ""}${count(data.fires)} galaxies where it fires`;
      const saveMap = saveButtons(() => mapFigure(`Where ${brief(label)} looks`, cells, share), () => ({ name: `f${data.feature}-mean-map`, caption: () => figureCaption(model.get("data"), `Mean contribution map of ${label}`, data.used, [
        less ? `Minus the feature's map of an empty sky: the light gives ${sum(flat)} ${unit}, an empty sky ${sum(data.sky.flat())} ${unit}` : "",
        `Mean over ${used}, ${data.map.length}×${data.map[0].length} cells; red raises the prediction, blue lowers it, full colour ${largest.toFixed(4)} ${unit} a cell`,
        "Frame: the stored image",
      ]) }));
      choice.show(less, data.skywhy);
      const ends = less ? `the light gives ${sum(flat)} ${unit}, an empty sky ${sum(data.sky.flat())} ${unit}` : `sum ${sum(flat)} ${unit}`;
      parts.push(h("figure", {}, saveMap, h("div", { class: "sf-square", role: "img", "aria-label": "mean contribution map" }, canvas), choice.root, h("figcaption", {}, `mean contribution map, ${data.map.length}×${data.map[0].length} cells; full colour ${signed(flat.find((v) => Math.abs(v) === largest) ?? 0, 4)} ${unit}; ${ends}`)));
    }
    const savePicture = () => saveButtons(() => pictureFigure(`The ${data.stack} strongest galaxies of ${brief(model.get("data").label)}`, data.mean, share), () => ({ name: `f${data.feature}-mean-picture`, caption: () => figureCaption(model.get("data"), `Mean image of the ${data.stack} strongest galaxies of ${model.get("data").label}`, data.stack, ["Averaged as stored (display values); dashed: what the network sees"]) }));
    if (url) parts.push(h("figure", {}, savePicture(), h("div", { class: "sf-square sf-night" }, h("img", { src: url, alt: `mean image of the ${data.stack} strongest galaxies` }), h("span", { class: "sf-crop", style: inside })), h("figcaption", {}, `mean image of its ${data.stack} strongest galaxies; dashed: what the network sees`)));
    looks.replaceChildren(...(parts.length ? parts : [h("p", { class: "sf-empty" }, "These codes hold no maps and there are no images: run sfnet infer with maps, and name the dataset.")]));
    const lacks = [data.map ? "" : data.maps ? "" : "These codes hold no maps.", data.why].filter(Boolean).join(" ");
    say(looksNote, data.map ? `Mean over ${data.used < data.fires ? `${count(data.used)} of the ` : ""}${count(data.fires)} galaxies where it fires; red raises the prediction, blue lowers it. Images are averaged as stored (display values). ${lacks}` : lacks);
    if (focused) choice.box.focus({ preventScroll: true });
    el.dataset.slow = data.feature;
  }

  const handlers = [["change:data", drawNumbers], ["change:galaxies", drawGalaxies], ["change:plot", drawScatter], ["change:slow", drawSlow], ["change:data", forgetPeeks], ["msg:custom", receive]];
  for (const [event, handler] of handlers) model.on(event, handler);
  document.addEventListener("sf-theme", drawSlow);
  drawNumbers();
  if (!el.hidden) {
    drawGalaxies();
    drawScatter();
    drawSlow();
  }
  return () => {
    for (const [event, handler] of handlers) model.off(event, handler);
    document.removeEventListener("sf-theme", drawSlow);
    forgetPeeks();
    for (const some of [examplePictures, ninePictures, slowPictures]) some.turn();
  };
}

export default { render };
