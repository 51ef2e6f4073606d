// The strip above the plots.

function render({ model, el }) {
  const menu = (action, label) => {
    const select = h("select", { "aria-label": label, title: label, onchange: () => model.send({ do: action, plot: select.value }) });
    return select;
  };
  const third = menu("third", "Lower left plot");
  const fourth = menu("fourth", "Lower right plot");
  el.classList.add("sf-chooser");
  el.replaceChildren(h("span", { class: "sf-hint" }, "lasso or box: select everywhere · tap: focus a galaxy"), h("span", { class: "sf-push" }), h("label", {}, h("span", { class: "sf-place-word" }, "lower left"), third), h("label", {}, h("span", { class: "sf-place-word" }, "lower right"), fourth));
  function update() {
    const data = model.get("data");
    options(third, data.plots, data.third);
    options(fourth, data.plots, data.fourth);
  }
  model.on("change:data", update);
  update();
  return () => model.off("change:data", update);
}

export default { render };
