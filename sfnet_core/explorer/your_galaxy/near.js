// The nearest galaxies by code.

function render({ model, el }) {
  const send = (message) => model.send(message);
  const images = pictures();
  const inVoila = document.body.dataset.voila !== undefined;
  const heading = h("h2");
  const order = h("select", { "aria-label": "Order of the nearest galaxies", onchange: () => send({ do: "order", by: order.value }) });
  const by = h("label", {}, "by ", order);
  const total = h("span", { class: "sf-total" });
  const grid = h("div", { class: "sf-grid" });
  el.classList.add("sf-gallery", "sf-near");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Nearest galaxies");
  el.replaceChildren(h("div", { class: "sf-bar" }, heading, by, total), grid);

  function tile(galaxy, data) {
    const url = images.url(galaxy.jpeg);
    const picture = url ? h("img", { src: url, alt: "", width: 96, height: 96, draggable: "false" }) : h("span", { class: "sf-blank" }, "no image");
    const title = `${galaxy.id}\n${galaxy.likeness ? `cosine · shared features: ${galaxy.likeness}\n` : ""}${data.label}: predicted ${galaxy.prediction}, true ${galaxy.truth} ${data.unit}\nsplit: ${galaxy.split}`;
    return h("button", { type: "button", class: "sf-galaxy", "data-id": galaxy.id, title, "aria-label": `galaxy ${galaxy.id}`, onclick: () => send({ do: "focus", id: galaxy.id }) },
      picture,
      galaxy.likeness ? h("span", { class: "sf-value sf-likeness" }, galaxy.likeness) : null,
      h("span", { class: "sf-value" }, `${galaxy.prediction} | ${galaxy.truth}`),
      h("span", { class: "sf-split" }, galaxy.split));
  }

  function update() {
    const data = model.get("data");
    say(heading, data.near ? "Nearest galaxies" : "No image at hand? Try one of these");
    by.hidden = !data.near;
    options(order, data.orders, data.by);
    say(total, `${data.near ? `of ${data.n.toLocaleString("en")}: cosine · shared features, then ` : ""}${data.label}${data.unit ? ` [${data.unit}]` : ""} predicted | true, split${data.why ? ` · ${data.why}` : ""}`);
    total.title = total.textContent;
    images.turn();
    grid.replaceChildren(...data.galaxies.map((galaxy) => tile(galaxy, data)));
    grid.scrollTop = 0;
    if (!data.galaxies.length) grid.replaceChildren(h("p", { class: "sf-empty" }, data.near ? "No galaxy of these codes shares a feature with this one." : "There is no galaxy in these codes."));
  }
  model.on("change:data", update);
  update();
  return () => { images.turn(); model.off("change:data", update); };
}

export default { render };
