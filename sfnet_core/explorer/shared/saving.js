// The menu "save figure": a line for each figure of the page, a button for each format.

const KINDS = [["png", "PNG", "as a picture, twice its size"], ["svg", "SVG", "as vectors"], ["pdf", "PDF", "as vectors, for a paper"], ["txt", "caption", "its caption as text"]];
const TYPES = { png: "image/png", svg: "image/svg+xml", pdf: "application/pdf", txt: "text/plain" };

function render({ model, el }) {
  const list = h("div", { class: "sf-figures-list" });
  const menu = h("div", { class: "sf-figures-menu", role: "dialog", "aria-label": "Save a figure", hidden: true }, h("h3", {}, "Save a figure with its caption"), list);
  const open = h("button", { type: "button", "data-action": "figures", "aria-expanded": "false", "aria-haspopup": "dialog", title: "Save a figure as PNG, SVG or PDF, with its caption, units, split and provenance", onclick: () => toggle(menu.hidden) }, "save", h("span", { class: "sf-wide" }, " figure"));
  el.classList.add("sf-figures");
  el.replaceChildren(open, menu);

  function toggle(wanted) {
    menu.hidden = !wanted;
    open.setAttribute("aria-expanded", String(wanted));
    if (wanted) list.querySelector("button")?.focus();
  }
  function escape(event) {
    if (event.key !== "Escape" || menu.hidden) return;
    event.stopPropagation();
    toggle(false);
    open.focus();
  }
  function outside(event) {
    if (!menu.hidden && !event.composedPath().includes(el)) toggle(false);
  }
  const save = (figure, format) => model.send({ do: "save", figure, format, link: pageAddress() });

  function update() {
    const figures = model.get("data").figures;
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.save : null;
    list.replaceChildren(...figures.flatMap(([key, words]) => [
      h("span", { title: words }, words),
      ...KINDS.map(([kind, text, what]) => h("button", { type: "button", "data-save": `${key}.${kind}`, "aria-label": `${text}: ${words}`, title: `Save ${words}: ${what}`, onclick: () => save(key, kind) }, text)),
    ]));
    if (focused) [...list.querySelectorAll("button")].find((one) => one.dataset.save === focused)?.focus();
  }

  function receive(message, buffers) {
    if (message.file) saveFile(message.file, [buffers[0]], TYPES[message.file.split(".").at(-1)]);
  }

  el.addEventListener("keydown", escape);
  document.addEventListener("pointerdown", outside, true);
  model.on("change:data", update);
  model.on("msg:custom", receive);
  update();
  return () => {
    document.removeEventListener("pointerdown", outside, true);
    model.off("change:data", update);
    model.off("msg:custom", receive);
  };
}

export default { render };
