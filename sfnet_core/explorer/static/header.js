// The top of the page. Marks the page ready (class sf-page), reads the permalink once and keeps the address current.

function painted(node) {
  if (node.querySelector?.("canvas")) return true;
  const all = node.querySelectorAll ? [node, ...node.querySelectorAll("*")] : [];
  return all.some((child) => child.shadowRoot && painted(child.shadowRoot));
}

function render({ model, el }) {
  const inVoila = document.body.dataset.voila !== undefined;
  const send = (message) => model.send(message);
  const badge = h("span", { class: "sf-badge" });
  const title = h("h1");
  const facts = h("p", { class: "sf-facts" });
  const split = h("select", { "aria-label": "Galaxies in view, by split", title: "Which galaxies the page shows and its numbers are of", onchange: () => send({ do: "split", split: split.value }) });
  const status = h("output", { class: "sf-status", "aria-live": "polite" });
  const names = h("datalist", { id: `sf-names-${Math.random().toString(36).slice(2)}` });
  const filter = h("input", { type: "text", class: "sf-filter", list: names.id, placeholder: "filter: oh_p50 > 9 and f61 > 0.3", "aria-label": "Filter the galaxies in view", maxlength: 500, spellcheck: "false", autocomplete: "off", title: "and, or, not, = != < <= > >=, between … and …, in (…), contains, is known; within 2 arcmin of RA Dec. Enter applies, empty shows all." });
  const sieve = h("form", { onsubmit: (event) => { event.preventDefault(); send({ do: "filter", filter: filter.value }); } }, filter, names);
  // Complete the word under the cursor: the list offers what is typed so far, followed by each name that fits.
  filter.addEventListener("input", () => {
    const word = filter.value.match(/[\w`]*$/)[0];
    const before = filter.value.slice(0, filter.value.length - word.length);
    const fits = word ? model.get("data").names.filter((name) => name.toLowerCase().startsWith(word.toLowerCase())) : [];
    names.replaceChildren(...fits.slice(0, 12).map((name) => h("option", { value: before + name })));
  });
  const warn = h("span", { class: "sf-warn", title: "Numbers over all splits include the galaxies that the network was trained on" }, "includes training galaxies");
  const selected = h("span", { class: "sf-selected" });
  const clear = h("button", { type: "button", "data-action": "clear-selection", onclick: () => send({ do: "clear-selection" }) }, "clear selection");
  const undo = h("button", { type: "button", title: "Undo the last change", "aria-label": "Undo", onclick: () => send({ do: "undo" }) }, "↶");
  const redo = h("button", { type: "button", title: "Redo", "aria-label": "Redo", onclick: () => send({ do: "redo" }) }, "↷");
  const link = h("button", { type: "button", "data-action": "copy-link", title: "Copy a link to exactly this view", onclick: copy }, "copy link");
  const theme = h("button", { type: "button", "data-action": "theme", title: "Dark or light", "aria-label": "Dark or light", onclick: () => paint(!dark) }, "◐");
  const keys = keyList(KEYS);
  const help = h("button", { type: "button", title: "Keyboard", "aria-label": "Keyboard", onclick: () => { keys.hidden = !keys.hidden; } }, "?");
  const notice = h("div", { class: "sf-notice", role: "status" });

  async function copy() {
    const url = new URL(location.href);
    url.search = model.get("data").query;
    try {
      await navigator.clipboard.writeText(url.href);
      say(link, "copied");
    } catch {
      say(link, "copy it from the address bar");
    }
    setTimeout(() => say(link, "copy link"), 1500);
  }

  el.classList.add("sf-header");
  el.replaceChildren(
    h("div", { class: "sf-title" }, title, badge, facts, pageLinks("explore")),
    h("div", { class: "sf-bar" }, h("label", {}, "galaxies ", split), status, warn, h("span", { class: "sf-push" }), sieve, selected, clear, undo, redo, link, theme, help),
    notice,
    keys,
  );

  function update() {
    const data = model.get("data");
    say(title, data.title);
    say(badge, data.simulated ? "simulated" : "observed");
    badge.className = `sf-badge ${data.simulated ? "sf-simulated" : "sf-observed"}`;
    badge.title = data.simulated ? "These galaxies are simulated: no number here says anything about real galaxies" : "These galaxies were observed";
    say(facts, data.facts.join(" · "));
    facts.title = data.facts.join("\n");
    options(split, data.splits, data.split);
    say(status, data.status);
    if (document.activeElement !== filter || data.filter) filter.value = data.filter || (document.activeElement === filter ? filter.value : "");
    filter.classList.toggle("sf-filtering", Boolean(data.filter));
    warn.hidden = !data.warn;
    say(selected, data.selected);
    clear.hidden = !data.selected;
    notice.replaceChildren(...data.notices.map((text) => h("p", {}, text)));
    notice.hidden = data.notices.length === 0;
    if (data.notices.length) notice.append(h("button", { type: "button", "aria-label": "Dismiss messages", onclick: () => send({ do: "dismiss" }) }, "×"));
    if (inVoila && ready) {
      const url = new URL(location.href);
      const token = url.searchParams.get("token");
      url.search = data.query;
      if (token && !document.cookie) url.searchParams.set("token", token);
      if (url.href !== location.href) history.replaceState(null, "", url.href);
    }
    if (data.opened) waitForPlots();
  }

  let dark = false;
  function paint(wanted) {
    dark = wanted;
    el.closest(".sf-root")?.classList.toggle("sf-dark", dark);
    document.body.classList.toggle("sf-dark-page", dark && inVoila);
    send({ do: "theme", dark });
    try { localStorage.setItem("sfnet-dark", dark ? "1" : "0"); } catch { /* a page without storage stays light next time */ }
  }
  function remembered() {
    try { return localStorage.getItem("sfnet-dark") === "1"; } catch { return false; }
  }
  const deafen = listenToKeys(keys, KEYS);

  let ready = false;
  let waiting = false;
  function waitForPlots() {
    if (waiting) return;
    waiting = true;
    const started = performance.now();
    (function look() {
      const root = el.closest(".sf-root");
      const plots = root?.querySelector(".sf-plots");
      if (root && plots && painted(plots)) {
        ready = true;
        root.classList.add("sf-page");
        if (inVoila) root.setAttribute("role", "main");
        if (remembered() && !dark) paint(true);
        update();
      } else if (performance.now() - started < 60000) requestAnimationFrame(look);
    })();
  }

  model.on("change:data", update);
  update();
  if (inVoila && location.search.length > 1) send({ do: "open-link", query: location.search });
  else waitForPlots();
  return () => { deafen(); model.off("change:data", update); };
}

export default { render };
