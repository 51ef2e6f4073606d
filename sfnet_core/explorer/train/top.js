// The top of the training page: buttons, progress, messages. Marks the page ready (class sf-page), keeps the address.

function render({ model, el }) {
  const send = (message) => model.send(message);
  const action = (name, label, title) => h("button", { type: "button", class: name === "start" ? "sf-primary" : "", "data-action": name, title, onclick: () => send({ do: name }) }, label);
  const badge = h("span", { class: "sf-badge" });
  const about = h("p", { class: "sf-facts" });
  const start = action("start", "Start", "Train in a new folder");
  const stop = action("stop", "Stop", "End at this step; the run can be used as it is, and resumed");
  const resume = action("resume", "Resume", "Continue the unfinished training in the folder");
  const bar = h("progress", { class: "sf-progress", max: "1", "aria-label": "Share of the training that is done" });
  const status = h("output", { class: "sf-status", "aria-live": "polite" });
  const link = h("button", { type: "button", "data-action": "copy-link", title: "Copy a link to these choices", onclick: () => copyLink(link, model.get("data").query) }, "copy link");
  const theme = themeButton(el, IN_VOILA, (dark) => send({ do: "theme", dark }));
  const keys = keyboard(KEYS);
  const notice = h("div", { class: "sf-notice", role: "status" });

  el.classList.add("sf-header");
  el.replaceChildren(
    h("div", { class: "sf-title" }, h("h1", {}, "Train a network"), badge, about, pageLinks("train")),
    h("div", { class: "sf-bar" }, start, stop, resume, bar, status, h("span", { class: "sf-push" }), link, theme.button, keys.button),
    notice,
    keys.list,
  );

  let ready = false;
  const waitForPlots = showWhenDrawn(el, IN_VOILA, theme, () => { ready = true; update(); });

  function update() {
    const data = model.get("data");
    badge.hidden = data.simulated === null;
    showOrigin(badge, about, data);
    start.disabled = !data.startable;
    stop.disabled = !data.stoppable;
    resume.disabled = !data.resumable;
    start.classList.toggle("sf-primary", data.startable);
    resume.classList.toggle("sf-primary", data.resumable);
    if (data.phase === "starting") bar.removeAttribute("value");
    else bar.value = data.share;
    say(status, data.status);
    status.dataset.phase = data.phase;
    showNotices(notice, data.notices, send);
    if (IN_VOILA && ready) keepAddress(data.query);
    if (data.opened) waitForPlots();
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
  return () => { clearInterval(here); keys.deafen(); model.off("change:data", update); };
}

export default { render };
