// The right pane: the galaxy in focus and its picture equation.

// Bright forms of the bars' red and blue, to be seen on a dark sky without hiding the galaxy.
const POSITIVE = [255, 112, 84];
const NEGATIVE = [84, 168, 255];

function render({ model, el }) {
  const send = (message) => model.send(message);
  const images = pictures();
  let pictured = "";
  const image = h("img", { alt: "" });
  const canvas = h("canvas", { class: "sf-map" });
  const frame = h("div", { class: "sf-frame" }, image, canvas);
  const heading = h("h2");
  // What somebody said of the galaxy; the form for it is behind the Notes tab.
  const star = h("button", { type: "button", class: "sf-star", onclick: () => send({ do: "star", kind: "galaxies", key: model.get("data").id }) });
  const said = h("button", { type: "button", class: "sf-said", onclick: () => editNotes("galaxies", el) });
  const head = h("div", { class: "sf-bar sf-head" }, star, heading, said);
  const facts = h("dl");
  const legend = h("p", { class: "sf-caption" });
  const buttons = h("div", { class: "sf-maps", role: "group", "aria-label": "Contribution map drawn over the image" });
  const sky = skyChoice(send);
  const unlike = h("p", { class: "sf-unlike", title: "Its activations are further from the training galaxies' than 99 % of theirs are from each other: the prediction may not hold for it" });
  const equation = h("h3");
  const bars = h("div", { class: "sf-bars" });
  const sum = h("output", { class: "sf-sum" });
  const more = h("div", { class: "sf-more" });
  const empty = h("p", { class: "sf-empty" });
  const body = h("div", { class: "sf-body" }, h("div", { class: "sf-top" }, frame, facts, h("div", { class: "sf-mapping" }, buttons, sky.root)), unlike, legend, equation, bars, sum, more);
  el.classList.add("sf-inspector");
  el.setAttribute("role", "region");
  el.tabIndex = 0;
  el.setAttribute("aria-label", "Galaxy in focus");
  el.replaceChildren(head, empty, body);

  function drawMap(data) {
    const cells = data.cells;
    canvas.hidden = !cells.length;
    if (!cells.length) return;
    const [rows, columns] = [cells.length, cells[0].length];
    canvas.width = columns;
    canvas.height = rows;
    const [height, width] = data.size.length ? data.size : [1, 1];
    const share = data.crop ? [data.crop / width, data.crop / height] : [1, 1];
    canvas.style.width = `${100 * share[0]}%`;
    canvas.style.height = `${100 * share[1]}%`;
    canvas.style.left = `${50 * (1 - share[0])}%`;
    canvas.style.top = `${50 * (1 - share[1])}%`;
    const largest = Math.max(1e-12, ...cells.flat().map(Math.abs));
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(columns, rows);
    cells.flat().forEach((value, i) => {
      const colour = value < 0 ? NEGATIVE : POSITIVE;
      pixels.data.set([...colour, Math.round((128 * Math.abs(value)) / largest)], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
  }

  function bar(name, text, value, largest, extra = {}) {
    const fill = h("span", { class: `sf-fill ${value < 0 ? "sf-minus" : "sf-plus"}` });
    fill.style.width = `${(50 * Math.abs(value)) / largest}%`;
    return h("div", { class: `sf-bar-row ${extra.class || ""}`, title: extra.title }, extra.button || h("span", { class: "sf-name" }, name), h("span", { class: "sf-axis" }, fill), h("span", { class: "sf-number" }, text));
  }

  /** The number, its state and its label: what is cut in a narrow pane is the label's end. */
  function equationName(term) {
    const [number, called] = nameParts(term.label);
    return `${number}${term.state === "on" ? "" : ` ${term.state}`}${called ? ` · ${called}` : ""}`;
  }

  function update() {
    const data = model.get("data");
    el.hidden = !data.shown;
    if (!data.shown) return;
    body.hidden = !data.id;
    empty.hidden = Boolean(data.id);
    say(heading, data.id ? data.id : "Inspector");
    star.hidden = said.hidden = !data.id || !data.said;
    if (!data.id) return say(empty, data.empty);
    if (data.said) {
      starred(star, data.said.star, `galaxy ${data.id}`);
      say(said, data.said.label || (data.said.note ? "note" : "label …"));
      said.classList.toggle("sf-unsaid", !data.said.label);
      said.title = [data.said.label, data.said.note, "Write a label or a note (L)"].filter(Boolean).join("\n");
    }
    if (pictured !== data.id) {
      images.turn();
      const url = images.url(data.jpeg);
      if (url) image.src = url;
      image.hidden = !url;
      image.alt = `cutout of galaxy ${data.id}`;
      pictured = data.id;
    }
    frame.title = data.scale ? `${data.size[1]}×${data.size[0]} px, ${data.scale}″ per px, as stored` : "as stored; the pixel scale is not known";
    facts.replaceChildren(...data.facts.flatMap(([name, value, title]) => [h("dt", { title }, name), h("dd", { title }, value)]));
    say(unlike, data.unlike || "");
    unlike.hidden = !data.unlike;
    drawMap(data);
    const choices = [["none", "no map"], ["sum", "sum"], ...data.terms.filter((t) => t.state === "on").map((t) => [String(t.feature), t.label])];
    buttons.replaceChildren(...choices.map(([value, label]) => h("button", { type: "button", "aria-pressed": value === data.map, onclick: () => send({ do: "map", map: value }), title: `Map of ${label}` }, nameParts(label)[0], nameParts(label)[1] ? h("span", { class: "sf-called" }, ` · ${nameParts(label)[1]}`) : null)));
    const peak = data.cells.length ? Math.max(...data.cells.flat().map(Math.abs)) : 0;
    sky.root.hidden = !data.cells.length;
    sky.show(data.sky === "on", data.skywhy);
    say(legend, data.why || (data.cells.length ? `Map of ${data.mapnote}, colour to ±${peak.toFixed(4)} ${data.unit}`.trimEnd() : data.mapnote));
    legend.title = "Contribution map: red cells raise the prediction, blue ones lower it; " + (data.sky === "on" ? "minus the empty sky they sum to what the galaxy's light gives" : "the number is the sum over the cells");
    say(equation, equationTitle(data.unit));
    const largest = Math.max(1e-12, ...data.terms.map((t) => Math.abs(t.contribution)));
    bars.replaceChildren(
      h("div", { class: "sf-bar-row sf-bias" }, h("span", { class: "sf-name" }, "bias"), h("span", { class: "sf-axis" }), h("span", { class: "sf-number" }, data.bias)),
      ...data.terms.map((t) => bar(t.label, t.text, t.contribution, largest, {
        class: `sf-term-${t.state}`,
        title: `${t.label}: weight ${signed(t.weight, 4)} × activation ${t.activation.toFixed(4)} = ${signed(t.contribution, 4)} ${data.unit}${t.state === "off" ? " (off, not counted)" : t.state === "refill" ? " (runner-up in a free place)" : ""}`,
        button: h("button", { type: "button", class: "sf-name", "aria-pressed": t.feature === data.focus, onclick: () => send({ do: "feature", feature: t.feature }) }, equationName(t)),
      })),
      h("div", { class: "sf-bar-row sf-total-row" }, h("span", { class: "sf-name" }, "prediction"), h("span", { class: "sf-axis" }), h("span", { class: "sf-number" }, `${data.prediction} ${data.unit}`)),
    );
    say(sum, data.sum);
    const parts = [h("p", { class: "sf-caption" }, data.runners.length ? `Runners-up behind the gate (activation): ${data.runners.map(([name, a]) => `${name} ${a}`).join(", ")}` : "No runner-up: nothing else was active."), ...withoutTables(data.without, data.unit)];
    if (data.links.length) parts.push(h("p", { class: "sf-links" }, "See it in ", ...data.links.flatMap(([name, url, title]) => [h("a", { href: url, title, target: "_blank", rel: "noopener noreferrer" }, name), " "])));
    if (data.catalogue.length) parts.push(h("h3", {}, "Catalogue"), h("dl", {}, ...data.catalogue.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
    more.replaceChildren(...parts);
  }
  model.on("change:data", update);
  update();
  return () => { images.turn(); model.off("change:data", update); };
}

export default { render };
