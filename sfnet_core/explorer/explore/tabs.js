// The tabs of the right side.

function render({ model, el }) {
  el.classList.add("sf-tabs");
  el.setAttribute("role", "tablist");
  el.setAttribute("aria-label", "Right pane");
  function update() {
    const data = model.get("data");
    const focused = el.contains(document.activeElement) ? document.activeElement.dataset.tab : null;
    el.replaceChildren(...data.tabs.map(([key, words, marked]) =>
      h("button", { type: "button", role: "tab", "data-tab": key, "aria-selected": key === data.tab, class: marked ? "sf-marked" : "", onclick: () => model.send({ do: "tab", tab: key }) }, words)));
    if (focused) el.querySelector(`[data-tab='${focused}']`)?.focus();
  }
  model.on("change:data", update);
  update();
  return () => model.off("change:data", update);
}

export default { render };
