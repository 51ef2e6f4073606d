// The top of the page. Marks the page ready (class sf-page), reads the permalink once and keeps the address current.

function render({ model, el }) {
  const inVoila = document.body.dataset.voila !== undefined;
  const send = (message) => model.send(message);
  const badge = h("span", { class: "sf-badge" });
  const title = h("h1");
  const facts = h("p", { class: "sf-facts" });
  const split = h("select", { "aria-label": "Galaxies in view, by split", title: "Which galaxies the page shows and its numbers are of", onchange: () => send({ do: "split", split: split.value }) });
  const target = h("select", { "aria-label": "Target", title: "Which of the network's targets the page explains", onchange: () => send({ do: "target", target: Number(target.value) }) });
  const targetLabel = h("label", { hidden: true }, "target ", target);
  const status = h("output", { class: "sf-status", "aria-live": "polite" });
  const box = filterBox(model);
  const warn = h("span", { class: "sf-warn", title: "Numbers over all splits include the galaxies that the network was trained on" }, "includes training galaxies");
  const selected = h("span", { class: "sf-selected" });
  const clear = h("button", { type: "button", "data-action": "clear-selection", onclick: () => send({ do: "clear-selection" }) }, "clear selection");
  const [undo, redo] = undoButtons(send);
  const link = h("button", { type: "button", "data-action": "copy-link", title: "Copy a link to exactly this view", onclick: () => copyLink(link, model.get("data").query) }, "copy link");
  const theme = themeButton(el, inVoila, (dark) => send({ do: "theme", dark }));
  const keys = keyboard(KEYS);
  const notice = h("div", { class: "sf-notice", role: "status" });

  el.classList.add("sf-header");
  el.replaceChildren(
    h("div", { class: "sf-title" }, title, badge, facts, box.element, pageLinks("explore")),
    h("div", { class: "sf-bar" }, h("label", {}, "galaxies ", split), targetLabel, status, warn, h("span", { class: "sf-push" }), selected, clear, undo, redo, link, theme.button, keys.button),
    notice,
    keys.list,
  );

  function update() {
    const data = model.get("data");
    showTop({ title, badge, facts, split, target, targetLabel, status, notice }, data, send);
    box.show(data);
    warn.hidden = !data.warn;
    say(selected, data.selected);
    clear.hidden = !data.selected;
    if (inVoila && ready) keepAddress(data.query);
    if (data.opened) waitForPlots();
  }

  let ready = false;
  const waitForPlots = showWhenDrawn(el, inVoila, theme, () => { ready = true; update(); });

  whenStale(send);
  model.on("change:data", update);
  update();
  if (inVoila && location.search.length > 1) send({ do: "open-link", query: location.search });
  else waitForPlots();
  return () => { keys.deafen(); box.leave(); model.off("change:data", update); };
}

export default { render };
