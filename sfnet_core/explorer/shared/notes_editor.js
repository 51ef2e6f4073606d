// The form for what is said of one feature or one galaxy. It is saved as it is written.

const PAUSE = 700; // ms without a key until what was typed is saved

/** `kind`: "features" or "galaxies"; `send` takes a message for Python. Gives {node, update(data, more), edit(), flush()}. */
function noteEditor(kind, send) {
  const what = kind === "features" ? "feature" : "galaxy";
  let key = null;
  let known = {};
  let sitting = 0; // one step of the undo list for what is typed between going into a field and leaving it
  let timer = 0;
  const dirty = new Set();

  const name = h("h3", { class: "sf-note-name" });
  const star = h("button", { type: "button", class: "sf-star", "data-action": `star-${kind}`, onclick: () => send({ do: "star", kind, key }) });
  const label = h("input", { type: "text", class: "sf-note-label", maxlength: 120, placeholder: `label of this ${what}`, "aria-label": `Label of the ${what} in focus`, title: "One line, shown wherever it is named; saved as you type", autocomplete: "off" });
  const note = h("textarea", { class: "sf-note-text", maxlength: 4000, rows: 2, placeholder: "note", "aria-label": `Note on the ${what} in focus`, title: "As many lines as you like; saved as you type" });
  const chips = h("span", { class: "sf-chips" });
  const knownLists = h("datalist", { id: `sf-lists-${kind}-${Math.random().toString(36).slice(2)}` });
  const list = h("input", { type: "text", class: "sf-note-list", list: knownLists.id, maxlength: 80, placeholder: "add to a list", "aria-label": `Add the ${what} in focus to a list`, title: "The name of a list, new or old; Enter adds", autocomplete: "off" });
  const selected = h("button", { type: "button", class: "sf-note-selected", onclick: () => join("join-selected") });
  const form = h("form", { class: "sf-note-lists", onsubmit: (event) => { event.preventDefault(); join("join"); } }, chips, list, knownLists, selected);
  const origin = h("p", { class: "sf-caption" });
  const node = h("section", { class: "sf-note", "data-kind": kind, "aria-label": `Notes on the ${what} in focus` }, h("div", { class: "sf-bar" }, star, name, origin), label, note, form);

  function join(action) {
    const wanted = list.value.trim();
    if (!wanted) return list.focus();
    send({ do: action, kind, key, list: wanted });
    list.value = "";
  }

  const fields = { label, note };
  function flush() {
    clearTimeout(timer);
    for (const field of dirty) send({ do: "write", kind, key, field, text: fields[field].value, sitting });
    dirty.clear();
  }
  for (const [field, box] of Object.entries(fields)) {
    box.addEventListener("focus", () => { sitting = Math.floor(Math.random() * 2 ** 48); });
    box.addEventListener("input", () => {
      dirty.add(field);
      clearTimeout(timer);
      timer = setTimeout(flush, PAUSE);
    });
    box.addEventListener("change", flush);
    box.addEventListener("blur", flush);
  }
  label.addEventListener("focus", () => label.select()); // typing names it anew, an arrow key goes on in the old name
  label.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    flush();
    label.blur();
  });

  function update(data, more = {}) {
    node.hidden = !data;
    const other = !data || data.key !== key;
    if (other) flush(); // what was typed belongs to the one before
    if (!data) {
      key = null;
      return;
    }
    key = data.key;
    say(name, `${what === "feature" ? "Feature" : "Galaxy"} ${data.name}`);
    name.title = data.name;
    starred(star, data.star, `${what} ${data.name}`);
    for (const [field, box] of Object.entries(fields)) {
      // A field that is being written in keeps its letters, unless the text came from elsewhere.
      const news = other || data[field] !== known[field];
      if (!dirty.has(field) && (document.activeElement !== box || (news && box.value.trim() !== data[field].trim()))) box.value = data[field];
    }
    known = data;
    const focused = chips.contains(document.activeElement);
    chips.replaceChildren(...data.on.map((one) => h("button", { type: "button", class: "sf-chip", title: `Remove it from the list ${one}`, "aria-label": `Remove it from the list ${one}`, onclick: () => send({ do: "leave", kind, key, list: one }) }, h("span", {}, one), " ×")));
    if (focused) list.focus();
    knownLists.replaceChildren(...data.lists.filter((one) => !data.on.includes(one)).map((one) => h("option", { value: one })));
    selected.hidden = !more.selected;
    say(selected, `+ the ${(more.selected || 0).toLocaleString("en")} selected`);
    selected.title = "Put all selected galaxies on the list named here";
    origin.hidden = !data.origin;
    say(origin, data.origin ? `carried over from ${data.origin}` : "");
  }

  return { node, update, edit: () => label.focus(), flush };
}

/** Ask Python now and then whether another page has written: on coming back to the tab, and while somebody is here.
 *  Nobody here, no question: a page that is left alone keeps no kernel busy. Gives {told(), stop()}. */
function watchLabels(look) {
  let stirred = Date.now();
  const stir = () => { stirred = Date.now(); };
  const ask = () => { if (!document.hidden) look(); };
  const timer = setInterval(() => { if (Date.now() - stirred < 60000) ask(); }, 4000);
  const channel = window.BroadcastChannel ? new BroadcastChannel("sfnet-labels") : null; // other tabs of this browser
  if (channel) channel.onmessage = ask;
  const events = [[window, "focus", ask], [document, "visibilitychange", ask], [document, "pointermove", stir], [document, "keydown", stir]];
  for (const [target, event, handler] of events) target.addEventListener(event, handler, { passive: true });
  return {
    told: () => channel?.postMessage("written"),
    stop() {
      clearInterval(timer);
      channel?.close();
      for (const [target, event, handler] of events) target.removeEventListener(event, handler);
    },
  };
}
