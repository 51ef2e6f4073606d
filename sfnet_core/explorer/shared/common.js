// Shared by every view: elements from text (never from HTML, so a catalogue can't write into the page), images from bytes.

/** An element: h("button", {class: "a", onclick: f, "aria-label": "…"}, "text", child, …). */
function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || (value === false && !name.startsWith("aria-"))) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value; // a content policy refuses the attribute
    else element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set a text only where it differs, so that nothing is laid out anew for nothing. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Fill a <select> with [value, label] pairs and choose one. */
function options(select, pairs, chosen) {
  const key = JSON.stringify(pairs);
  if (select.dataset.key !== key) {
    select.replaceChildren(...pairs.map(([value, label]) => h("option", { value }, label)));
    select.dataset.key = key;
  }
  select.value = chosen;
}

/** An address for a picture's bytes; null without any. A saved page has its pictures as addresses already. */
function imageUrl(picture) {
  if (!picture || picture.byteLength === 0) return null;
  return typeof picture === "string" ? picture : URL.createObjectURL(new Blob([picture], { type: "image/jpeg" }));
}

/** Object URLs of JPEG bytes; the last page's are given back. */
function pictures() {
  let old = [];
  return {
    url(bytes) {
      const url = imageUrl(bytes);
      if (url) old.push(url);
      return url;
    },
    turn() {
      const gone = old;
      old = [];
      setTimeout(() => gone.forEach((url) => URL.revokeObjectURL(url)), 2000);
    },
  };
}

/** −0.1234 with a true minus sign. */
function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 ? "\u2212" : "+") + text;
}

/** Over a picture equation: its rows are in this unit. */
function equationTitle(unit) {
  return unit ? `Picture equation, ${unit}` : "Picture equation";
}

/** The choice whether maps are less an empty sky's; `show(on, why)`: without such a map, `why` says why not. */
function skyChoice(send) {
  const box = h("input", { type: "checkbox", onchange: () => send({ do: "sky", less: box.checked }) });
  const root = h("label", { class: "sf-sky" }, box, "minus empty sky");
  function show(on, why) {
    box.checked = on;
    box.disabled = Boolean(why);
    root.title = why || "Subtracts the map of an image that shows only the empty sky: what the network answers to its own bias, padding and borders. The rest is what the galaxies' light added.";
  }
  return { box, root, show };
}

/** Ask for the whole page again where its line to the kernel lost answers (line.js, on our served pages). */
function whenStale(send) {
  window.addEventListener("sfnet-stale", () => send({ do: "redraw" }));
}

const PAGES = [["explore", "Explore"], ["atlas", "Atlas"], ["your_galaxy", "Your galaxy"], ["train", "Train"]];

/** Links to the four pages, where they are pages (under Voilà); `query` goes along as a permalink. */
function pageLinks(current) {
  const links = PAGES.map(([name, label]) => h("a", { href: `${name}.ipynb`, "aria-current": name === current ? "page" : null }, label));
  return h("nav", { class: "sf-nav", "aria-label": "Pages", hidden: document.body.dataset.voila === undefined }, ...links);
}
