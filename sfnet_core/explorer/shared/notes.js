// The notes pane: a form for the feature and one for the galaxy in focus, what is named already, export and import.

function render({ model, el }) {
  const send = (message) => model.send(message);
  const editors = { features: noteEditor("features", send), galaxies: noteEditor("galaxies", send) };
  const empty = h("p", { class: "sf-empty" }, "Choose a feature on the left or a galaxy below: what you write about it here is saved beside the codes.");
  const saved = h("output", { class: "sf-saved", "aria-live": "polite" });
  const again = h("button", { type: "button", title: "Try to write the labels file again", onclick: () => send({ do: "save" }) }, "try again");
  const file = h("input", { type: "file", accept: ".json,application/json", class: "sf-note-file", "aria-label": "Import labels from a file", onchange: take });
  const trouble = h("p", { class: "sf-caption", role: "alert" });
  const foot = h("div", { class: "sf-bar sf-note-foot" }, saved, again,
    h("button", { type: "button", "data-action": "export-labels", title: "Save all labels, notes, stars and lists as a JSON file", onclick: () => send({ do: "export" }) }, "export"),
    h("label", { class: "sf-note-import", title: "Merge a labels file: of two versions the later stays, lists are united; undo reverts it" }, "import", file));
  const overview = h("div", { class: "sf-named" });
  el.classList.add("sf-notes");
  el.setAttribute("role", "tabpanel");
  el.setAttribute("aria-label", "Notes");
  el.replaceChildren(empty, editors.features.node, editors.galaxies.node, foot, trouble, overview);

  async function take() {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    const most = model.get("data").most;
    const large = chosen.size > most;
    say(trouble, large ? `The file has ${chosen.size.toLocaleString("en")} bytes; labels of up to ${most.toLocaleString("en")} are imported on the page.` : "");
    if (!large) model.send({ do: "import" }, {}, [await chosen.arrayBuffer()]);
  }

  let wanted = null; // the form to go to once the pane is in front
  function edit(event) {
    if (event.target.closest(".sf-root") !== el.closest(".sf-root")) return; // a JupyterLab may show several pages
    wanted = event.detail;
    if (model.get("data").shown) go();
    else send({ do: "show" });
  }
  function go() {
    if (wanted) editors[wanted].edit();
    wanted = null;
  }

  const featureButton = ([feature, label, star, note], focus) => h("button", { type: "button", class: `sf-named-feature${star ? " sf-starred" : ""}`, "aria-pressed": feature === focus, title: `${label}${note ? " (with a note)" : ""}: show it in the plots`, onclick: () => send({ do: "focus", feature }) }, label);
  const filterButton = (words, message, on, title) => h("button", { type: "button", "aria-pressed": on, title: on ? "Show all galaxies again" : title, onclick: () => send(message) }, words);
  const drop = (kind, list) => h("button", { type: "button", class: "sf-drop-list", title: `Delete the list ${list}; undo brings it back`, "aria-label": `Delete the list ${list}`, onclick: () => send({ do: "drop", kind, list }) }, "×");
  const count = (n) => n.toLocaleString("en");

  function drawOverview(data) {
    const parts = [];
    if (data.named.length) parts.push(h("h3", {}, "Named features"), h("div", { class: "sf-named-features" }, ...data.named.map((one) => featureButton(one, data.focus))));
    if (data.more) parts.push(h("p", { class: "sf-caption" }, `and ${data.more} more`));
    if (data.featureLists.length) parts.push(h("h3", {}, "Lists of features"));
    for (const [name, members] of data.featureLists) {
      parts.push(h("div", { class: "sf-named-list" }, h("span", { class: "sf-named-name", title: name }, name), h("span", { class: "sf-named-features" }, ...members.map((one) => featureButton(one, data.focus)), members.length ? null : "empty"), drop("features", name)));
    }
    if (data.starred || data.labelled || data.galaxyLists.length) parts.push(h("h3", {}, "Galaxies: show only"));
    const marks = [];
    if (data.starred) marks.push(filterButton(`★ ${count(data.starred)}`, { do: "filter", of: "star" }, data.filter === "star", "Show only the galaxies with a star"));
    if (data.labelled) marks.push(filterButton(`${count(data.labelled)} labelled`, { do: "filter", of: "label" }, data.filter === "label is known", "Show only the galaxies with a label"));
    for (const [name, n] of data.galaxyLists) {
      const on = data.filter === `list = "${name.replaceAll('"', '""')}"`;
      marks.push(h("span", { class: "sf-named-mark" }, filterButton(`${name} · ${count(n)}`, { do: "filter-list", list: name }, on, `Show only the galaxies on the list ${name}`), drop("galaxies", name)));
    }
    if (marks.length) parts.push(h("div", { class: "sf-bar sf-wrap" }, ...marks));
    overview.replaceChildren(...parts);
  }

  let written = model.get("data").written;
  function update() {
    const data = model.get("data");
    el.hidden = !data.shown;
    empty.hidden = Boolean(data.features || data.galaxies);
    editors.features.update(data.features);
    editors.galaxies.update(data.galaxies, data);
    if (data.written !== written) watch.told();
    written = data.written;
    if (!data.shown) return;
    say(saved, `${data.saved.ok && data.written ? "✓ " : ""}${data.saved.text}`);
    saved.classList.toggle("sf-unsaved", !data.saved.ok);
    again.hidden = data.saved.ok;
    drawOverview(data);
    go();
  }

  const watch = watchLabels(() => send({ do: "look" }));
  const flush = () => Object.values(editors).forEach((editor) => editor.flush());
  document.addEventListener("sf-edit", edit);
  document.addEventListener("visibilitychange", flush);
  window.addEventListener("sfnet-leaving", flush);
  window.addEventListener("pagehide", flush);
  model.on("change:data", update);
  model.on("msg:custom", saveFile);
  update();
  send({ do: "look" }); // a kernel kept ready may have read the file long ago
  return () => {
    flush();
    watch.stop();
    document.removeEventListener("sf-edit", edit);
    document.removeEventListener("visibilitychange", flush);
    window.removeEventListener("sfnet-leaving", flush);
    window.removeEventListener("pagehide", flush);
    model.off("change:data", update);
    model.off("msg:custom", saveFile);
  };
}

export default { render };
