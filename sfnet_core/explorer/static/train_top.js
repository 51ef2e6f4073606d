// The top of the training page: buttons, progress, messages. Marks the page ready (class sf-page), keeps the address.

function render({ model, el }) {
  const send = (message) => model.send(message);
  const action = (name, label, title) => h("button", { type: "button", class: name === "start" ? "sf-primary" : "", "data-action": name, title, onclick: () => send({ do: name }) }, label);
  const badge = h("span", { class: "sf-badge" });
  const about = h("p", { class: "sf-facts" });
  const start = action("start", "Start", "Train in a new folder");
  const stop = action("stop", "Stop", "End at this step; the run can be used as it is, and resumed");
  const resume = action("resume", "Resume", "Go on with the unfinished training in the folder");
  const bar = h("progress", { class: "sf-progress", max: "1", "aria-label": "Share of the training that is done" });
  const status = h("output", { class: "sf-status", "aria-live": "polite" });
  const link = h("button", { type: "button", "data-action": "copy-link", title: "Copy a link to these choices", onclick: () => copyLink(link, model.get("data").query) }, "copy link");
  const theme = h("button", { type: "button", "data-action": "theme", title: "Dark or light", "aria-label": "Dark or light", onclick: () => paint(!dark) }, "◐");
  const keys = keyList(KEYS);
  const help = h("button", { type: "button", title: "Keyboard", "aria-label": "Keyboard", onclick: () => { keys.hidden = !keys.hidden; } }, "?");
  const notice = h("div", { class: "sf-notice", role: "status" });

  el.classList.add("sf-header");
  el.replaceChildren(
    h("div", { class: "sf-title" }, h("h1", {}, "Train a network"), badge, about, pageLinks("train")),
    h("div", { class: "sf-bar" }, start, stop, resume, bar, status, h("span", { class: "sf-push" }), link, theme, help),
    notice,
    keys,
  );

  let dark = false;
  function paint(wanted) {
    dark = wanted;
    el.closest(".sf-root")?.classList.toggle("sf-dark", dark);
    document.body.classList.toggle("sf-dark-page", dark && IN_VOILA);
    send({ do: "theme", dark });
    try { localStorage.setItem("sfnet-dark", dark ? "1" : "0"); } catch { /* a page without storage stays light next time */ }
  }
  function remembered() {
    try { return localStorage.getItem("sfnet-dark") === "1"; } catch { return false; }
  }

  const deafen = listenToKeys(keys, KEYS);

  let ready = false;
  function update() {
    const data = model.get("data");
    badge.hidden = data.simulated === null;
    say(badge, data.simulated ? "simulated" : "observed");
    badge.className = `sf-badge ${data.simulated ? "sf-simulated" : "sf-observed"}`;
    badge.title = data.simulated ? "These galaxies are simulated: no number here says anything about real galaxies" : "These galaxies were observed";
    say(about, data.facts.join(" · "));
    about.title = data.facts.join("\n");
    start.disabled = !data.startable;
    stop.disabled = !data.stoppable;
    resume.disabled = !data.resumable;
    start.classList.toggle("sf-primary", data.startable);
    resume.classList.toggle("sf-primary", data.resumable);
    if (data.phase === "starting") bar.removeAttribute("value");
    else bar.value = data.share;
    say(status, data.status);
    status.dataset.phase = data.phase;
    notice.replaceChildren(...data.notices.map((text) => h("p", {}, text)));
    notice.hidden = data.notices.length === 0;
    if (data.notices.length) notice.append(h("button", { type: "button", "aria-label": "Dismiss messages", onclick: () => send({ do: "dismiss" }) }, "×"));
    if (IN_VOILA && ready) {
      const url = new URL(location.href);
      const token = url.searchParams.get("token");
      url.search = data.query;
      if (token) url.searchParams.set("token", token);
      if (url.href !== location.href) history.replaceState(null, "", url.href);
    }
    if (data.opened) waitForPlots();
  }

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
        if (IN_VOILA) root.setAttribute("role", "main");
        if (remembered() && !dark) paint(true);
        root.classList.add("sf-page");
        update();
      } else if (performance.now() - started < 60000) requestAnimationFrame(look);
    })();
  }

  // Under Voilà nobody can come back to a closed page's kernel: it must not train on, unseen (in JupyterLab one can).
  // The kernel ends with its tab (line.js), and the training with it. A browser that went without a word is missed by
  // the kernel after a while.
  const here = IN_VOILA ? setInterval(() => { if (model.get("data").stoppable) send({ do: "here" }); }, 15000) : 0;
  whenStale(send);
  model.on("change:data", update);
  update();
  if (IN_VOILA && location.search.length > 1) send({ do: "open-link", query: location.search });
  else waitForPlots();
  return () => { clearInterval(here); deafen(); model.off("change:data", update); };
}

export default { render };
