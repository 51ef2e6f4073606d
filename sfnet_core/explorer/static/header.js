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
  const target = h("select", { "aria-label": "Target", title: "Which of the network's targets the page explains", onchange: () => send({ do: "target", target: Number(target.value) }) });
  const targetLabel = h("label", { hidden: true }, "target ", target);
  const status = h("output", { class: "sf-status", "aria-live": "polite" });
  const box = filterBox(model);
  const warn = h("span", { class: "sf-warn", title: "Numbers over all splits include the galaxies that the network was trained on" }, "includes training galaxies");
  const selected = h("span", { class: "sf-selected" });
  const clear = h("button", { type: "button", "data-action": "clear-selection", onclick: () => send({ do: "clear-selection" }) }, "clear selection");
  const undo = h("button", { type: "button", title: "Undo the last change", "aria-label": "Undo", onclick: () => send({ do: "undo" }) }, "↶");
  const redo = h("button", { type: "button", title: "Redo", "aria-label": "Redo", onclick: () => send({ do: "redo" }) }, "↷");
  const link = h("button", { type: "button", "data-action": "copy-link", title: "Copy a link to exactly this view", onclick: () => copyLink(link, model.get("data").query) }, "copy link");
  const theme = h("button", { type: "button", "data-action": "theme", title: "Dark or light", "aria-label": "Dark or light", onclick: () => paint(!dark) }, "◐");
  const keys = keyList(KEYS);
  const help = h("button", { type: "button", title: "Keyboard", "aria-label": "Keyboard", onclick: () => { keys.hidden = !keys.hidden; } }, "?");
  const notice = h("div", { class: "sf-notice", role: "status" });

  el.classList.add("sf-header");
  el.replaceChildren(
    h("div", { class: "sf-title" }, title, badge, facts, box.element, pageLinks("explore")),
    h("div", { class: "sf-bar" }, h("label", {}, "galaxies ", split), targetLabel, status, warn, h("span", { class: "sf-push" }), selected, clear, undo, redo, link, theme, help),
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
    options(target, data.targets, data.target);
    targetLabel.hidden = data.targets.length < 2;
    say(status, data.status);
    box.show(data);
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
      if (token) url.searchParams.set("token", token); // the address opens again, after the login's cookie too
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

  whenStale(send);
  model.on("change:data", update);
  update();
  if (inVoila && location.search.length > 1) send({ do: "open-link", query: location.search });
  else waitForPlots();
  return () => { deafen(); box.leave(); model.off("change:data", update); };
}

export default { render };
