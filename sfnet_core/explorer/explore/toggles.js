// The left pane: a switch per active feature.

const NEXT_STARS = { "": "first", first: "only", only: "" };

function render({ model, el }) {
  const send = (message) => model.send(message);
  const button = (action, text, title) => h("button", { type: "button", title, "data-action": action, onclick: () => send({ do: action }) }, text);
  const modes = ["ablate", "refill"].map((mode) =>
    h("button", { type: "button", role: "radio", "data-mode": mode, title: mode === "ablate" ? "A feature switched off leaves its place empty" : "The strongest runner-up takes the free place", onclick: () => send({ do: "mode", mode }) }, mode),
  );
  const caption = h("p", { class: "sf-caption" });
  const stars = h("button", { type: "button", class: "sf-stars", onclick: () => send({ do: "stars", stars: NEXT_STARS[model.get("data").stars] }) });
  const list = h("div", { class: "sf-list", tabindex: 0, role: "group", "aria-label": "Switches" });
  const rows = new Map();

  el.classList.add("sf-toggles");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Sparse features");
  el.replaceChildren(
    h("div", { class: "sf-bar sf-head" }, h("h2", {}, "Sparse features"), h("span", { class: "sf-push" }), stars),
    h("div", { class: "sf-bar" }, button("all", "all", "Switch all features on"), button("none", "none", "Switch all features off"), button("invert", "invert", "Swap on and off"), h("span", { class: "sf-push" }), h("span", { class: "sf-modes", role: "radiogroup", "aria-label": "What a switched-off feature's place becomes" }, ...modes)),
    h("div", { class: "sf-columns", "aria-hidden": "true" }, h("span", {}, "on"), h("span", {}, "feature"), h("span", { title: "Weight in the linear sum, target's unit per activation" }, "weight"), h("span", { title: "Share of the galaxies in view on which it fires" }, "fires"), h("span", { title: "Mean contribution over the galaxies in view" }, "mean contribution")),
    list,
    caption,
  );

  function row(data) {
    const toggle = h("button", { type: "button", class: "sf-toggle", role: "switch", "data-feature": data.feature, onclick: () => send({ do: "toggle", feature: data.feature }) });
    const name = h("button", { type: "button", class: "sf-name", onclick: () => send({ do: "focus", feature: data.feature }) });
    const cells = { toggle, name, weight: h("span", { class: "sf-number" }), rate: h("span", { class: "sf-number" }), bar: h("span", { class: "sf-fill" }), mean: h("span", { class: "sf-number" }) };
    // What somebody called it, on a line of its own; the button before it has the whole name for those who can't see.
    cells.said = h("span", { class: "sf-said", "aria-hidden": "true", onclick: () => send({ do: "focus", feature: data.feature }) });
    cells.root = h("div", { class: "sf-row" }, toggle, name, cells.weight, cells.rate, h("span", { class: "sf-share" }, cells.bar, cells.mean), cells.said);
    return cells;
  }

  function update() {
    const data = model.get("data");
    const off = new Set(data.off);
    const wanted = data.rows.map((r) => {
      if (!rows.has(r.feature)) rows.set(r.feature, row(r));
      const cells = rows.get(r.feature);
      const on = !off.has(r.feature);
      cells.toggle.setAttribute("aria-checked", on);
      cells.toggle.setAttribute("aria-label", `feature ${r.label}: ${on ? "on" : "off"}`);
      cells.toggle.title = on ? `Switch ${r.label} off` : `Switch ${r.label} on`;
      const number = `f${r.feature}`;
      say(cells.name, number);
      cells.name.classList.toggle("sf-starred", r.star);
      cells.name.setAttribute("aria-label", `${r.label}${r.star ? ", with a star" : ""}${r.steady ? `, stability ${r.steady.rho === null ? "not measured" : r.steady.rare ? "too rare to judge" : r.steady.rho.toFixed(2)}` : ""}`);
      // The line under a name: how well the feature is found again in other trainings.
      const found = r.steady && r.steady.rho !== null && !r.steady.rare;
      cells.name.classList.toggle("sf-steady", Boolean(found));
      cells.name.classList.toggle("sf-by-chance", Boolean(found && r.steady.chance));
      cells.name.classList.toggle("sf-too-rare", Boolean(r.steady && r.steady.rare));
      if (found) cells.name.style.setProperty("--steady", Math.max(0, Math.min(1, r.steady.rho)).toFixed(3));
      say(cells.said, r.label === number ? "" : r.label.slice(number.length + 3));
      cells.said.title = r.label;
      cells.said.hidden = r.label === number;
      cells.name.title = `Show ${r.label} in the plots; fires on ${r.fires.toLocaleString("en")} of ${data.n.toLocaleString("en")} galaxies${r.steady ? `\n${r.steady.words}${found ? "\nThe line under the name: full for ρ = 1" : r.steady.rare ? "\nDots under the name: too rare to judge" : ""}` : ""}`;
      cells.name.setAttribute("aria-pressed", r.feature === data.focus);
      say(cells.weight, signed(r.weight, 3));
      say(cells.rate, r.rate >= 0.0995 ? `${(100 * r.rate).toFixed(0)} %` : `${(100 * r.rate).toFixed(1)} %`);
      say(cells.mean, signed(r.mean, 3));
      cells.bar.className = `sf-fill ${r.mean < 0 ? "sf-minus" : "sf-plus"}`;
      cells.bar.style.width = `${Math.max(1, 100 * Math.abs(r.share))}%`;
      cells.root.classList.toggle("sf-focus", r.feature === data.focus);
      cells.root.classList.toggle("sf-off", !on);
      return cells.root;
    });
    const same = list.children.length === wanted.length && wanted.every((node, i) => list.children[i] === node);
    if (!same) list.replaceChildren(...wanted);
    for (const mode of modes) mode.setAttribute("aria-checked", mode.dataset.mode === data.mode);
    stars.hidden = !data.starred && !data.stars;
    say(stars, { "": "★ in order", first: "★ first", only: "★ alone" }[data.stars]);
    stars.setAttribute("aria-pressed", Boolean(data.stars));
    stars.title = `${data.starred} of the features here have a star: shown in their order, first, or alone`;
    const silent = data.features - data.active;
    if (data.stars === "only" && !data.starred) return say(caption, "No feature that fires here has a star. Press S to give one to the feature in focus.");
    say(caption, data.rows.length ? `n = ${data.n.toLocaleString("en")}, ${data.split}; contributions in ${data.unit || "the target's unit"}; ${silent} of ${data.features} features silent` : "No feature fires on the galaxies in view.");
  }
  model.on("change:data", update);
  update();
  return () => model.off("change:data", update);
}

export default { render };
