// What is under the pointer in the plots: a galaxy with its picture, or how many galaxies a cell of a density holds.

const KEPT = 300; // pictures the browser keeps
const REST = 70; // ms the pointer rests before a picture is asked for

function render({ model, el }) {
  const send = (message) => model.send(message);
  const tip = h("div", { class: "sf-tip", hidden: true, "aria-hidden": "true" });
  el.classList.add("sf-hover-layer");
  el.replaceChildren(tip);
  const kept = new Map(); // identifier → address of its picture, or null where there is none
  let shown = null;
  let timer = 0;
  let frame = 0;
  let heard = [];
  let pointer = [0, 0];

  /** "log SFR [M☉/yr]" → ["log SFR", "M☉/yr"]. */
  function parts(label) {
    const found = /^(.*?)(?: \[([^\]]*)\])?$/s.exec(label.replaceAll("\u200b", ""));
    return [found[1], found[2] || ""];
  }

  function number(value, unit) {
    if (!Number.isFinite(value)) return "not known";
    const size = Math.abs(value);
    const text = size !== 0 && (size >= 1e6 || size < 1e-4) ? value.toExponential(3) : value.toFixed(size >= 1000 ? 1 : size >= 100 ? 2 : size >= 10 ? 3 : 4);
    return `${text.replace(/-/g, "\u2212")}${unit ? ` ${unit}` : ""}`;
  }

  function row(label, value) {
    const [name, unit] = parts(label);
    const words = Array.isArray(value) ? `${number(value[0], "")} to ${number(value[1], unit)}` : number(value, unit);
    return [h("dt", {}, name), h("dd", {}, words)];
  }

  function picture(id) {
    if (!model.get("data").images || kept.get(id) === null) return null;
    return h("span", { class: "sf-tip-picture" }, kept.has(id) ? h("img", { src: kept.get(id), alt: "" }) : null);
  }

  function show({ found, xLabel, yLabel }) {
    const values = h("dl", {}, ...row(xLabel, found.x), ...row(yLabel, found.y));
    if (found.id !== undefined) {
      const more = found.more ? h("span", { class: "sf-tip-more" }, `and ${found.more} more under the pointer`) : null;
      tip.replaceChildren(...[picture(found.id), h("b", {}, found.id), values, more].filter(Boolean));
      ask(found.id);
    } else {
      const chosen = found.selected ? `, ${found.selected.toLocaleString("en")} selected` : "";
      tip.replaceChildren(h("b", {}, `${found.count.toLocaleString("en")} ${found.count === 1 ? "galaxy" : "galaxies"} drawn in this cell${chosen}`), values, h("span", { class: "sf-tip-more" }, "the wheel zooms in until there are points"));
    }
    tip.hidden = false;
    place();
  }

  function ask(id) {
    clearTimeout(timer);
    if (!model.get("data").images || kept.has(id)) return;
    timer = setTimeout(() => send({ do: "peek", id }), REST);
  }

  function place() {
    const box = el.getBoundingClientRect();
    const [x, y] = [pointer[0] - box.left, pointer[1] - box.top];
    const right = x + 16 + tip.offsetWidth < box.width;
    tip.style.left = `${Math.max(0, right ? x + 14 : x - 14 - tip.offsetWidth)}px`;
    tip.style.top = `${Math.max(0, Math.min(y - 20, box.height - tip.offsetHeight - 4))}px`;
  }

  function hide() {
    clearTimeout(timer);
    shown = null;
    tip.hidden = true;
  }

  /** Bokeh speaks of each layer by itself: a point before a cell, and nothing only where no layer has anything. */
  function look() {
    frame = 0;
    const all = heard;
    heard = [];
    const best = all.find((one) => one.found?.id !== undefined) || all.find((one) => one.found);
    if (!best) return hide();
    const key = JSON.stringify([best.number, best.found]);
    if (key === shown) return place();
    shown = key;
    show(best);
  }

  function hear({ detail }) {
    if (detail.key !== model.get("data").key) return;
    heard.push(detail);
    frame ||= requestAnimationFrame(look);
  }

  function receive(message, buffers) {
    if (message.peek === undefined) return;
    const bytes = buffers[0];
    kept.set(message.peek, bytes?.byteLength ? URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })) : null);
    if (kept.size > KEPT) {
      const [oldest, url] = kept.entries().next().value;
      kept.delete(oldest);
      if (url) URL.revokeObjectURL(url);
    }
    const place = tip.querySelector(".sf-tip-picture");
    if (!place || tip.querySelector("b").textContent !== message.peek) return;
    if (kept.get(message.peek)) place.replaceChildren(h("img", { src: kept.get(message.peek), alt: "" }));
    else place.remove();
  }

  const move = (event) => { pointer = [event.clientX, event.clientY]; };
  const plots = () => el.parentElement?.querySelector(".sf-plots");
  const leave = () => { heard = []; hide(); };
  let watched = null;
  requestAnimationFrame(function watch() {
    watched = plots();
    if (!watched) return void (el.isConnected && requestAnimationFrame(watch));
    watched.addEventListener("pointermove", move, true);
    watched.addEventListener("pointerleave", leave);
    watched.addEventListener("pointerdown", leave);
    watched.addEventListener("wheel", leave, { passive: true });
  });
  document.addEventListener("sf-plot-hover", hear);
  model.on("msg:custom", receive);
  return () => {
    document.removeEventListener("sf-plot-hover", hear);
    model.off("msg:custom", receive);
    for (const [name, listener] of [["pointerleave", leave], ["pointerdown", leave], ["wheel", leave]]) watched?.removeEventListener(name, listener);
    watched?.removeEventListener("pointermove", move, true);
    for (const url of kept.values()) if (url) URL.revokeObjectURL(url);
  };
}

export default { render };
