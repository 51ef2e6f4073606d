// One galaxy of a saved atlas: its picture, its picture equation, what the catalogue says of it.

/** Terms rounded so that what is shown adds up to the total that is shown: the largest remainders take the difference. */
function roundToSum(terms, total, digits) {
  const unit = 10 ** digits;
  const whole = terms.map((term) => Math.floor(term * unit));
  let left = Math.round(total * unit) - whole.reduce((a, b) => a + b, 0);
  const order = terms.map((term, i) => i).sort((a, b) => terms[b] * unit - whole[b] - (terms[a] * unit - whole[a]));
  for (let i = 0; left > 0 && order.length; i++, left--) whole[order[i % order.length]] += 1;
  return whole.map((value) => value / unit);
}

/** Plain links to viewers of the sky, on a field of a cutout's size; a simulated galaxy has no place there. */
function skyLinks(ra, dec, { zoom, scale }) {
  const at = `ra=${ra.toFixed(6)}&dec=${dec.toFixed(6)}`;
  const simbad = encodeURIComponent(`${ra.toFixed(6)} ${dec < 0 ? "" : "+"}${dec.toFixed(6)}`);
  return [
    ["Legacy Survey", `https://www.legacysurvey.org/viewer?${at}&layer=ls-dr10&zoom=${zoom}&mark=${ra.toFixed(6)},${dec.toFixed(6)}`],
    ["SDSS", `https://skyserver.sdss.org/dr18/VisualTools/navi?opt=G&${at}&scale=${scale}`],
    ["SIMBAD", `https://simbad.cds.unistra.fr/simbad/sim-coo?Coord=${simbad}&CooFrame=ICRS&Radius=10&Radius.unit=arcsec`],
  ].map(([name, href]) => h("a", { href, target: "_blank", rel: "noopener noreferrer" }, name));
}

function renderGalaxy({ model, el }) {
  const send = (message) => model.send(message);
  const close = h("button", { type: "button", "aria-label": "Close", title: "Close (Esc)", onclick: () => send({ do: "close" }) }, "×");
  const heading = h("h2", { id: "sf-galaxy-name" });
  const said = h("p", { class: "sf-feature-note" });
  const unlike = h("p", { class: "sf-unlike" });
  const image = h("img", {});
  const noImage = h("p", { class: "sf-empty" });
  const links = h("p", { class: "sf-links" });
  const facts = h("dl");
  const equation = h("h3");
  const bars = h("div", { class: "sf-bars" });
  const catalogue = h("dl");
  const dialog = h(
    "dialog",
    { class: "sf-galaxy-card", "aria-labelledby": "sf-galaxy-name" },
    h("div", { class: "sf-bar" }, heading, h("span", { class: "sf-push" }), close),
    said,
    unlike,
    h("div", { class: "sf-galaxy-top" }, h("div", {}, image, noImage, links), h("div", {}, facts, equation, bars)),
    h("div", { class: "sf-more" }, h("h3", {}, "Catalogue"), catalogue),
  );
  el.replaceChildren(dialog);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) send({ do: "close" }); }); // beside it
  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the page's keys wait
    if (event.key !== "Escape") return;
    event.preventDefault();
    send({ do: "close" });
  });

  function row(name, value, text, largest, kind = "") {
    const fill = h("span", { class: `sf-fill ${value < 0 ? "sf-minus" : "sf-plus"}`, style: `width:${largest ? (50 * Math.abs(value)) / largest : 0}%` });
    return h("div", { class: `sf-bar-row ${kind}` }, name, h("span", { class: "sf-axis" }, largest ? fill : null), h("span", { class: "sf-number" }, text));
  }

  function update() {
    const data = model.get("data");
    if (!data.open) {
      if (dialog.open) dialog.close();
      return;
    }
    say(heading, data.label ? `${data.id} · ${data.label}` : data.id);
    say(said, data.note);
    said.hidden = !data.note;
    say(unlike, data.unlike);
    unlike.hidden = !data.unlike;
    image.hidden = !data.jpeg;
    if (data.jpeg) image.src = data.jpeg;
    image.alt = `cutout of galaxy ${data.id}`;
    noImage.hidden = Boolean(data.jpeg);
    say(noImage, "This page has no image of it.");
    links.replaceChildren(...data.links.flatMap((link) => [link, " "]));
    const lines = (pairs) => pairs.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]);
    facts.replaceChildren(...lines(data.facts));
    catalogue.replaceChildren(...lines(data.catalogue));
    say(equation, equationTitle(data.unit));
    const unit = data.unit ? ` ${data.unit}` : "";
    const largest = Math.max(1e-12, ...data.terms.map((term) => Math.abs(term.contribution)));
    const plain = (words) => h("span", { class: "sf-name" }, words);
    const [total, bias] = [data.prediction, data.bias].map((value) => value.toFixed(4));
    const shown = roundToSum(data.terms.map((term) => term.contribution), total - bias, 4);
    bars.replaceChildren(
      row(plain("bias"), 0, bias, 0, "sf-bias"),
      ...data.terms.map((term, i) => row(h("button", { type: "button", class: "sf-name", disabled: !term.there, title: `${term.label}: weight ${signed(term.weight, 4)} × activation ${term.activation.toFixed(4)}`, onclick: () => send({ do: "feature", feature: term.feature }) }, term.label), term.contribution, signed(shown[i], 4), largest)),
      row(plain("prediction"), 0, `${total}${unit}`, 0, "sf-total-row"),
    );
    if (!data.terms.length) bars.append(h("p", { class: "sf-empty" }, data.known ? "No feature fires on it." : "This page does not hold its code: it was written for the galaxies that are examples."));
    if (!dialog.open) dialog.showModal();
  }
  model.on("change:data", update);
  update();
}
