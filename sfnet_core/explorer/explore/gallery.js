// The gallery: a page of galaxies.

function render({ model, el }) {
  const send = (message) => model.send(message);
  const images = pictures();
  const sort = h("select", { "aria-label": "Sort the galaxies by", onchange: () => send({ do: "sort", sort: sort.value }) });
  const order = h("button", { type: "button", onclick: () => send({ do: "order" }) });
  const find = h("input", { type: "search", placeholder: "identifier, or RA Dec radius", "aria-label": "Find galaxies by identifier or position", title: "An identifier or a part of it; or a position and a radius: 150.1 2.2 5', 10:00:24 +02:12:00 30\", 10h00m24s +02d12m00s 0.1 deg. Enter finds.", maxlength: 300 });
  const previous = h("button", { type: "button", "aria-label": "Previous page", title: "Previous page", onclick: () => send({ do: "page", page: model.get("data").page - 1 }) }, "‹");
  const next = h("button", { type: "button", "aria-label": "Next page", title: "Next page", onclick: () => send({ do: "page", page: model.get("data").page + 1 }) }, "›");
  const count = h("span", { class: "sf-count" });
  const total = h("span", { class: "sf-total" });
  const grid = h("div", { class: "sf-grid", tabindex: 0, role: "group", "aria-label": "Galaxies" });
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); if (find.value.trim()) send({ do: "find", id: find.value.trim() }); } }, find);
  let shown = "";

  el.classList.add("sf-gallery");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Gallery");
  el.replaceChildren(h("div", { class: "sf-bar" }, h("h2", {}, "Gallery"), h("label", {}, "sort by ", sort), order, form, total, h("span", { class: "sf-push" }), previous, count, next), grid);

  function tile(galaxy, data) {
    const url = images.url(galaxy.jpeg);
    const picture = url ? h("img", { src: url, alt: "", width: 96, height: 96, draggable: "false" }) : h("span", { class: "sf-blank" }, "no image");
    return h(
      "button",
      { type: "button", class: "sf-galaxy", "data-id": galaxy.id, title: `${galaxy.star ? "★ " : ""}${galaxy.id}${galaxy.label ? ` · ${galaxy.label}` : ""}\n${data.label}: ${galaxy.value} ${data.unit}${galaxy.unlike ? "\nNovel: unlike the training galaxies" : ""}`, "aria-label": `galaxy ${galaxy.id}${galaxy.label ? `, ${galaxy.label}` : ""}${galaxy.star ? ", with a star" : ""}${galaxy.unlike ? ", novel: unlike the training galaxies" : ""}`, onclick: () => send({ do: "focus", id: galaxy.id }) },
      picture,
      galaxy.star ? h("span", { class: "sf-tile-star", "aria-hidden": "true" }, "★") : null,
      galaxy.unlike ? h("span", { class: "sf-tile-unlike", "aria-hidden": "true" }, "≠") : null,
      galaxy.label ? h("span", { class: "sf-tile-label", "aria-hidden": "true" }, galaxy.label) : null,
      h("span", { class: "sf-value" }, galaxy.value),
    );
  }

  function update() {
    const data = model.get("data");
    const key = JSON.stringify([data.galaxies.map((g) => [g.id, g.value, g.star, g.label, g.unlike]), data.label]);
    if (key !== shown) {
      images.turn();
      grid.replaceChildren(...data.galaxies.map((galaxy) => tile(galaxy, data)));
      if (!data.galaxies.length) grid.replaceChildren(h("p", { class: "sf-empty" }, "No galaxy here: choose another split, or clear the filter or the selection."));
      shown = key;
    }
    for (const button of grid.querySelectorAll(".sf-galaxy")) button.setAttribute("aria-pressed", button.dataset.id === data.focus);
    options(sort, data.sorts, data.sort);
    say(order, data.descending ? "high to low" : "low to high");
    say(total, `${data.total.toLocaleString("en")} ${data.of} · values: ${data.label}${data.unit ? ` [${data.unit}]` : ""}${data.why ? " · " + data.why : ""}`);
    say(count, `${data.page + 1} / ${data.pages}`);
    previous.disabled = data.page === 0;
    next.disabled = data.page + 1 >= data.pages;
  }
  model.on("change:data", update);
  update();
  return () => { images.turn(); model.off("change:data", update); };
}

export default { render };
