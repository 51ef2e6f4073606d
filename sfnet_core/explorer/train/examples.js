// Galaxies with their true value (ring) and what the network says now (dot) and said one epoch ago (faint), on one axis.

function render({ model, el }) {
  const jpegs = pictures();
  const caption = h("p", { class: "sf-caption" });
  const legend = h("p", { class: "sf-caption sf-legend" }, h("span", { class: "sf-ring" }), "true ", h("span", { class: "sf-point" }), "predicted ", h("span", { class: "sf-point sf-ago" }), "one epoch ago");
  const strip = h("div", { class: "sf-strip-of" });
  el.classList.add("sf-examples");
  el.replaceChildren(h("div", { class: "sf-bar" }, caption, h("span", { class: "sf-push" }), legend), strip);
  let cards = [];
  let shown = "";

  function card(id, image) {
    const place = h("div", { class: "sf-place" }, h("i", { class: "sf-point sf-ago" }), h("i", { class: "sf-point" }), h("i", { class: "sf-ring" }));
    const truth = h("span", { class: "sf-number" });
    const now = h("span", { class: "sf-number sf-now" });
    const root = h("figure", { class: "sf-example", title: id }, image ? h("img", { src: image, alt: `galaxy ${id}` }) : h("span", { class: "sf-blank" }), place, h("figcaption", {}, truth, now));
    return { root, truth, now, ago: place.children[0], point: place.children[1], ring: place.children[2] };
  }

  function redraw() {
    const data = model.get("data");
    const images = model.get("pictures");
    jpegs.turn();
    cards = data.ids.map((id, i) => card(id, jpegs.url(images[i])));
    strip.replaceChildren(...cards.map((each) => each.root));
    update();
  }

  function update() {
    const data = model.get("data");
    const ids = JSON.stringify(data.ids);
    if (ids !== shown) {
      shown = ids;
      return redraw();
    }
    say(caption, data.caption);
    legend.hidden = data.now.length === 0;
    const [low, high] = data.range;
    const at = (element, value) => {
      element.hidden = value === undefined;
      if (value !== undefined) element.style.left = `${Math.max(0, Math.min(100, (100 * (value - low)) / (high - low)))}%`;
    };
    cards.forEach((each, i) => {
      say(each.truth, data.truth[i].toFixed(2));
      say(each.now, data.now.length ? data.now[i].toFixed(2).replace("-", "\u2212") : "");
      at(each.ring, data.truth[i]);
      at(each.point, data.now[i]);
      at(each.ago, data.before[i]);
    });
  }

  model.on("change:data", update);
  model.on("change:pictures", redraw);
  redraw();
  return () => { model.off("change:data", update); model.off("change:pictures", redraw); jpegs.turn(); };
}

export default { render };
