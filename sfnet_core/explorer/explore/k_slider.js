// k as a slider, with the error at each k drawn behind it.

function render({ model, el }) {
  const NS = "http://www.w3.org/2000/svg";
  const slider = h("input", { type: "range", min: 1, step: 1, "aria-label": "k: features the gate keeps" });
  const value = h("output");
  const plot = document.createElementNS(NS, "svg");
  const caption = h("p", { class: "sf-caption" });
  el.classList.add("sf-gate");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Gate");
  el.replaceChildren(h("div", { class: "sf-bar" }, h("label", { title: "How many features the gate keeps per galaxy" }, "gate "), value, slider), plot, caption);

  // A dragged slider sends its last value, at most one message at a time.
  let wanted = null;
  let asked = null;
  slider.addEventListener("input", () => {
    wanted = Number(slider.value);
    say(value, `k = ${wanted}`);
    if (asked === null) ask();
  });
  function ask() {
    asked = wanted;
    model.send({ do: "k", k: asked });
    setTimeout(() => { if (asked !== null) answered(); }, 1500);
  }
  function answered() {
    const last = asked;
    asked = null;
    if (wanted !== null && wanted !== last) ask();
    else wanted = null; // what comes now is another's change, such as an undo
  }

  function shape(tag, props, text) {
    const node = document.createElementNS(NS, tag);
    for (const [name, v] of Object.entries(props)) node.setAttribute(name, v);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function draw(data) {
    const [width, height, left, bottom] = [288, 74, 38, 16];
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("role", "img");
    plot.toggleAttribute("hidden", data.rmse.length === 0);
    if (!data.rmse.length) return plot.replaceChildren();
    const best = Math.min(...data.rmse);
    const worst = Math.max(...data.rmse);
    const x = (k) => left + ((k - 1) / Math.max(1, data.most - 1)) * (width - left - 8);
    const y = (r) => 8 + ((worst - r) / (worst - best || 1)) * (height - bottom - 14);
    const parts = [
      shape("polyline", { points: data.rmse.map((r, i) => `${x(i + 1)},${y(r)}`).join(" "), class: "sf-curve" }),
      ...data.rmse.map((r, i) => {
        const dot = shape("circle", { cx: x(i + 1), cy: y(r), r: i + 1 === data.k ? 4.5 : 2.5, class: i + 1 === data.k ? "sf-dot sf-here" : "sf-dot" });
        dot.append(shape("title", {}, `k = ${i + 1}: RMSE ${r.toFixed(4)} ${data.unit}`));
        return dot;
      }),
      shape("text", { x: left - 5, y: y(worst) + 4, "text-anchor": "end" }, worst.toFixed(3)),
      shape("text", { x: left - 5, y: y(best) + 4, "text-anchor": "end" }, best.toFixed(3)),
      ...[1, data.own, data.most].map((k) => shape("text", { x: x(k), y: height - 3, "text-anchor": "middle" }, k === data.own ? `k = ${k}` : String(k))),
    ];
    plot.setAttribute("aria-label", `RMSE against k, ${data.rmse.map((r, i) => `k ${i + 1}: ${r.toFixed(4)}`).join(", ")}`);
    plot.replaceChildren(...parts);
  }

  function update() {
    const data = model.get("data");
    slider.max = data.most;
    if (asked === null || asked === data.k) {
      if (asked === null || wanted === data.k) slider.value = data.k;
      say(value, `k = ${slider.value}`);
      answered();
    }
    draw(data);
    caption.title = data.note;
    say(caption, `${data.rmse.length ? `RMSE [${data.unit}], ${data.split}` : "No true values here: no error to draw"}${data.trained ? `; ${data.trained}` : ""}`);
  }
  model.on("change:data", update);
  update();
  return () => model.off("change:data", update);
}

export default { render };
