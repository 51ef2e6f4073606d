// The top of the atlas. Marks the page ready (class sf-page), reads the permalink and keeps the address current.

const VIEWS = [["cards", "Cards"], ["signs", "ρ and weight"], ["matrix", "Correlations"], ...(SAVED ? [["about", "About"]] : [])];

function render({ model, el }) {
  const send = (message) => model.send(message);
  const badge = h("span", { class: "sf-badge" });
  const title = h("h1");
  const facts = h("p", { class: "sf-facts" });
  const menu = (action, label) => {
    const select = h("select", { "aria-label": label, title: label, onchange: () => send({ do: action, [action]: action === "target" ? Number(select.value) : select.value }) });
    return select;
  };
  const split = menu("split", "Galaxies in view, by split");
  const target = menu("target", "Target that the features explain");
  const sort = menu("sort", "Sort the features by");
  const least = menu("least", "Lowest firing rate of the features shown");
  const order = h("button", { type: "button", onclick: () => send({ do: "order" }) });
  const find = h("input", { type: "search", placeholder: "find a feature", "aria-label": "Find a feature by number or label", maxlength: 80 });
  const views = h("span", { class: "sf-modes", role: "group", "aria-label": "Overview" }, ...VIEWS.map(([key, name]) => h("button", { type: "button", "data-view": key, onclick: () => send({ do: "view", view: key }) }, name)));
  const status = h("output", { class: "sf-status", "aria-live": "polite" });
  const warn = h("span", { class: "sf-warn", title: "Numbers over all splits include the galaxies that the network was trained on" }, "includes training galaxies");
  const [undo, redo] = undoButtons(send);
  const link = h("button", { type: "button", "data-action": "copy-link", title: "Copy a link to exactly this view", onclick: () => copyLink(link, model.get("data").query, SAVED ? "hash" : "search") }, "copy link");
  const save = h("button", { type: "button", "data-action": "save-page", title: "Save this atlas as one HTML file that opens without a server", hidden: true, onclick: savePage }, "save as a page");
  const wished = SAVED && matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = themeButton(el, OWN_PAGE, () => document.dispatchEvent(new Event("sf-theme")), wished); // figures are drawn anew
  const keys = keyboard(KEYS);
  const notice = h("div", { class: "sf-notice", role: "status" });
  const targetLabel = h("label", {}, "target ", target);
  const splitLabel = h("label", {}, "galaxies ", split);
  const overview = h("span", { class: "sf-overview" }, h("label", {}, "sort by ", sort), order, h("label", {}, "fires on ", least), find);

  const bar = h("div", { class: "sf-bar" }, views, overview);

  let typing = 0;
  find.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => send({ do: "find", find: find.value }), 150);
  });

  // The page comes in pieces, no faster than a Jupyter server lets them through.
  let pieces = [];
  function savePage() {
    pieces = [];
    save.disabled = true;
    say(save, "saving …");
    send({ do: "save-page" });
  }
  function saveDone() {
    save.disabled = false;
    say(save, "save as a page");
  }
  function receive(message, buffers) {
    if (message.saving === null) return saveDone();
    if (message.saving) return say(save, `saving ${percent(message.saving[0] / message.saving[1])}`);
    if (message.piece === undefined) return;
    pieces.push(buffers[0]);
    const got = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
    if (got < message.of) return setTimeout(() => send({ do: "save-piece", from: got }), 300);
    const file = h("a", { href: URL.createObjectURL(new Blob(pieces, { type: "text/html" })), download: message.name });
    file.click();
    setTimeout(() => URL.revokeObjectURL(file.href), 60_000);
    pieces = [];
    saveDone();
  }

  el.classList.add("sf-header");
  el.replaceChildren(
    h("div", { class: "sf-title" }, title, badge, facts, pageLinks("atlas")),
    h("div", { class: "sf-bar" }, splitLabel, targetLabel, status, warn, h("span", { class: "sf-push" }), undo, redo, link, save, theme.button, keys.button),
    bar,
    keys.list,
    notice,
  );

  let ready = false;
  let before = -1;
  function address(data) {
    if (!IN_VOILA || !ready) return; // a saved page's choices are its address
    const href = addressOf(data.query);
    const step = before !== data.feature;
    before = data.feature;
    if (href === location.href) return;
    // Opening a feature is a step that the browser's own Back button takes back; sorting is not.
    if (step) history.pushState(null, "", href);
    else history.replaceState(null, "", href);
  }
  const back = () => send({ do: "open-link", query: linked() });
  const linked = () => location.search.slice(1);

  function update() {
    const data = model.get("data");
    showTop({ title, badge, facts, split, target, targetLabel, status, notice }, data, send);
    splitLabel.hidden = data.splits.length < 2;
    options(sort, data.sorts, data.sort);
    options(least, data.leasts, data.least);
    say(order, data.descending ? "high to low" : "low to high");
    if (document.activeElement !== find) find.value = data.find;
    warn.hidden = !data.warn;
    save.hidden = !data.savable;
    bar.hidden = data.feature >= 0;
    for (const button of views.children) button.setAttribute("aria-pressed", data.feature < 0 && button.dataset.view === data.view);
    address(data);
    if (data.opened) show();
  }

  function show() {
    if (ready) return;
    requestAnimationFrame(function look() {
      const root = el.closest(".sf-root");
      if (!root || !root.querySelector(".sf-drawn")) return requestAnimationFrame(look);
      ready = true;
      before = model.get("data").feature;
      showPage(root, IN_VOILA, theme);
      update();
    });
  }

  whenStale(send);
  model.on("change:data", update);
  model.on("msg:custom", receive);
  update();
  if (IN_VOILA) window.addEventListener("popstate", back);
  if (IN_VOILA && linked()) back();
  else show();
  return () => {
    keys.deafen();
    window.removeEventListener("popstate", back);
    model.off("change:data", update);
    model.off("msg:custom", receive);
  };
}

export default { render };
