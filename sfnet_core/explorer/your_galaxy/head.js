// The top of the page. Marks the page ready (class sf-page), reads the permalink once and keeps the address current.

function render({ model, el }) {
  const inVoila = document.body.dataset.voila !== undefined;
  const send = (message) => model.send(message);
  const badge = h("span", { class: "sf-badge" });
  const title = h("h1");
  const facts = h("p", { class: "sf-facts" });
  const split = h("select", { "aria-label": "Galaxies in the plots, by split", title: "Which galaxies the plots show", onchange: () => send({ do: "split", split: split.value }) });
  const target = h("select", { "aria-label": "Target that the features explain", onchange: () => send({ do: "target", target: target.value }) });
  const status = h("output", { class: "sf-status", "aria-live": "polite" });
  const [undo, redo] = undoButtons(send);
  const link = h("button", { type: "button", "data-action": "copy-link", title: "Copy a link to exactly this view; an image of yours is not in it", onclick: () => copyLink(link, model.get("data").query) }, "copy link");
  const theme = themeButton(el, inVoila, (dark) => send({ do: "theme", dark }));
  const keys = keyboard(KEYS);
  const notice = h("div", { class: "sf-notice", role: "status" });
  const targetLabel = h("label", {}, "target ", target);

  el.classList.add("sf-header");
  el.replaceChildren(
    h("div", { class: "sf-title" }, title, badge, facts, pageLinks("your_galaxy")),
    h("div", { class: "sf-bar" }, status, h("span", { class: "sf-push" }), targetLabel, h("label", {}, "plots show ", split), undo, redo, link, theme.button, keys.button),
    notice,
    keys.list,
  );

  function update() {
    const data = model.get("data");
    showTop({ title, badge, facts, split, target, targetLabel, status, notice }, data, send, "The galaxies to compare with");
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
  return () => { keys.deafen(); model.off("change:data", update); };
}

export default { render };
