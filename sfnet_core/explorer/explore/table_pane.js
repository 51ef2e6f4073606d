// A pane made of blocks: text, tables, bars about zero, pictures, buttons.

function render({ model, el }) {
  const send = (message) => model.send(message);
  const images = pictures();
  el.classList.add("sf-report");
  el.setAttribute("role", "tabpanel");
  el.tabIndex = 0;

  const featureButton = (feature, label, focus) =>
    h("button", { type: "button", class: "sf-name", "aria-pressed": feature === focus, title: `Show ${label} in the plots`, onclick: () => send({ do: "feature", feature }) }, label);

  const blocks = {
    heading: (b) => h("h3", {}, b.text),
    text: (b) => h("p", { class: "sf-caption" }, b.text),
    buttons: (b) => h("div", { class: "sf-bar sf-wrap" }, ...b.items.map((i) => h("button", { type: "button", title: i.title, "data-action": i.do, onclick: () => send({ do: i.do, link: pageAddress() }) }, i.text))),
    table: (b, focus) => h("table", {},
      h("thead", {}, h("tr", {}, ...b.columns.map((c) => h("th", { scope: "col" }, c)))),
      h("tbody", {}, ...b.rows.map((row, r) => h("tr", {}, ...row.map((cell, c) => h("td", {}, c === 0 && b.features.length ? featureButton(b.features[r], cell, focus) : cell)))))),
    bars: (b, focus) => {
      const largest = Math.max(1e-12, ...b.rows.filter((r) => r.feature >= 0).map((r) => Math.abs(r.value)));
      return h("div", { class: "sf-bars" }, ...b.rows.map((r) => {
        const fill = r.feature < 0 ? "" : h("span", { class: `sf-fill ${r.value < 0 ? "sf-minus" : "sf-plus"}` });
        if (fill) fill.style.width = `${(50 * Math.abs(r.value)) / largest}%`;
        const name = r.feature >= 0 ? featureButton(r.feature, r.label, focus) : h("span", { class: "sf-name" }, r.label);
        return h("div", { class: `sf-bar-row ${r.feature < 0 ? "sf-total-row" : ""}` }, name, h("span", { class: "sf-axis" }, fill), h("span", { class: "sf-number" }, r.text));
      }));
    },
    galaxies: (b) => h("div", { class: "sf-grid sf-small" }, ...b.items.map((g) => {
      const url = images.url(g.jpeg);
      return h("button", { type: "button", class: "sf-neighbour", "data-id": g.id, title: `${g.star ? "★ " : ""}${g.id}${g.label ? ` · ${g.label}` : ""}\n${g.text}`, "aria-label": `galaxy ${g.id}${g.label ? `, ${g.label}` : ""}${g.star ? ", with a star" : ""}, ${g.text}`, onclick: () => send({ do: "galaxy", id: g.id }) },
        g.star ? h("span", { class: "sf-tile-star", "aria-hidden": "true" }, "★") : "",
        url ? h("img", { src: url, alt: "", width: 72, height: 72 }) : h("span", { class: "sf-blank" }, "no image"), h("span", { class: "sf-value" }, g.text));
    })),
  };

  function update() {
    const data = model.get("data");
    el.hidden = !data.shown;
    if (!data.shown) return;
    images.turn();
    el.setAttribute("aria-label", data.tab);
    el.replaceChildren(...data.blocks.map((b) => blocks[b.kind](b, data.focus)));
  }

  function save(content, buffers) {
    if (content.download) saveFile(content.download, [buffers[0]], content.mime);
  }

  model.on("change:data", update);
  model.on("msg:custom", save);
  update();
  return () => { images.turn(); model.off("change:data", update); model.off("msg:custom", save); };
}

export default { render };
