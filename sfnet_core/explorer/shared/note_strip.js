// The form for the feature in focus, in one strip.

function render({ model, el }) {
  const send = (message) => model.send(message);
  const editor = noteEditor("features", send);
  const saved = h("output", { class: "sf-saved", "aria-live": "polite" });
  const again = h("button", { type: "button", title: "Try to write the labels file again", onclick: () => send({ do: "save" }) }, "try again");
  el.classList.add("sf-note-strip");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Notes");
  el.replaceChildren(editor.node);
  editor.node.append(h("div", { class: "sf-note-saved" }, saved, again));

  let written = model.get("data").written;
  function update() {
    const data = model.get("data");
    el.hidden = !data.features;
    editor.update(data.features);
    if (data.written !== written) watch.told();
    written = data.written;
    say(saved, `${data.saved.ok && data.written ? "✓ " : ""}${data.saved.text}`);
    saved.classList.toggle("sf-unsaved", !data.saved.ok);
    again.hidden = data.saved.ok;
  }

  const watch = watchLabels(() => send({ do: "look" }));
  document.addEventListener("visibilitychange", editor.flush);
  window.addEventListener("sfnet-leaving", editor.flush);
  window.addEventListener("pagehide", editor.flush);
  model.on("change:data", update);
  update();
  send({ do: "look" }); // a kernel kept ready may have read the file long ago
  return () => {
    editor.flush();
    watch.stop();
    document.removeEventListener("visibilitychange", editor.flush);
    window.removeEventListener("sfnet-leaving", editor.flush);
    window.removeEventListener("pagehide", editor.flush);
    model.off("change:data", update);
  };
}

export default { render };
