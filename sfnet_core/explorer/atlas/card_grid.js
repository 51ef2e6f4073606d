// The cards: numbers at once, pictures as a card comes into sight.

const STRIP = 6;
const HISTOGRAM = [240, 40];

function render({ model, el }) {
  const caption = h("p", { class: "sf-caption" });
  const deck = h("div", { class: "sf-deck" });
  const empty = h("p", { class: "sf-empty" });
  const cards = new Map(); // feature → card
  let split = null;
  let urls = [];
  const waiting = new Set();
  let timer = 0;

  el.classList.add("sf-cards");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Features");
  el.replaceChildren(caption, empty, deck);

  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      sight.unobserve(entry.target);
      waiting.add(Number(entry.target.dataset.feature));
    }
    if (waiting.size && !timer) timer = setTimeout(ask, 30);
  }, { rootMargin: "300px" });

  function ask() {
    timer = 0;
    const features = [...waiting].slice(0, 24);
    features.forEach((f) => waiting.delete(f));
    if (features.length) model.send({ do: "pictures", features });
    if (waiting.size) timer = setTimeout(ask, 30);
  }

  function receive(message, buffers) {
    if (!message.pictures || message.split !== split) return;
    let at = 0;
    for (const [feature, strip] of message.pictures) {
      const tiles = strip.map((galaxy) => {
        const bytes = buffers[at++];
        const url = imageUrl(bytes);
        if (url) urls.push(url);
        return galaxyTile(galaxy, url);
      });
      cards.get(feature)?.strip.replaceChildren(...tiles);
    }
  }

  function card(feature) {
    const open = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      model.send({ do: "open", feature });
    };
    const number = (name, title) => {
      const value = h("dd");
      return [value, h("div", { title }, h("dt", {}, name), value)];
    };
    const name = OWN_PAGE ? h("a", { class: "sf-open", href: SAVED ? `#f${feature}` : `?feature=${feature}`, onclick: open }) : h("button", { type: "button", class: "sf-open", onclick: open });
    const weight = h("span", { class: "sf-weight", title: "Weight in the linear sum: target's unit per unit of activation" });
    const flag = h("span", { class: "sf-flag", title: "The correlation with the target and the weight have opposite signs, and the correlation is too large for chance" }, "signs differ");
    const [rate, rateBox] = number("fires on", "Share of the galaxies in view on which the feature passes the gate");
    const [mean, meanBox] = number("mean contribution", "Mean of weight × activation over all galaxies in view");
    const [pearson, pearsonBox] = number("Pearson ρ", "Activation against the true target, over all galaxies in view (0 where silent)");
    const [partial, partialBox] = number("partial", "");
    const axis = h("span", { class: "sf-rho-place" });
    const without = [h("span"), h("b", { class: "sf-number" }), h("span")];
    const steady = steadyLine();
    const path = s("path", {});
    const [width, height] = HISTOGRAM;
    const histogram = s("svg", { class: "sf-hist", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" }, path);
    const largest = h("span", { class: "sf-number" });
    const strip = h("div", { class: "sf-card-strip" }, ...Array.from({ length: STRIP }, () => h("span", { class: "sf-thumb" }, h("span", { class: "sf-blank" }))));
    const root = h(
      "article",
      { class: "sf-card", "data-feature": feature },
      h("div", { class: "sf-card-head" }, h("h2", {}, name), flag, h("span", { class: "sf-push" }), weight),
      histogram,
      h("div", { class: "sf-hist-axis" }, h("span", {}, "0"), h("span", {}, "activation where it fires"), largest),
      h("dl", { class: "sf-numbers" }, rateBox, meanBox, pearsonBox, partialBox),
      axis,
      h("div", { class: "sf-without-line", title: WITHOUT }, ...without),
      steady.root,
      strip,
    );
    return { root, name, weight, flag, rate, mean, pearson, partial, partialBox, axis, without, steady, path, histogram, largest, strip };
  }

  function fill(c, data, of) {
    const { unit } = of;
    say(c.name, data.label);
    c.name.title = data.label;
    c.name.classList.toggle("sf-starred", (of.starred || []).includes(data.feature));
    c.root.setAttribute("aria-label", `feature ${data.label}`);
    say(c.weight, `weight ${signed(data.weight, 4)}${unit ? ` ${unit}` : ""}`);
    c.weight.classList.toggle("sf-adds", data.weight > 0);
    c.weight.classList.toggle("sf-takes", data.weight < 0);
    c.flag.hidden = !(data.disagree && data.clear);
    say(c.rate, percent(data.rate));
    c.rate.title = `${count(data.fires)} of ${count(of.n)} galaxies`;
    say(c.mean, `${signed(data.mean, 4)}${unit ? ` ${unit}` : ""}`);
    say(c.pearson, signedOr(data.pearson, 2));
    say(c.partial, signedOr(data.partial, 2));
    c.partialBox.title = of.fixed ? `Correlation with the target at fixed ${of.fixed}` : `Not known: the catalogue has none of ${of.missing.join(", ")}`;
    c.axis.replaceChildren(correlationAxis(data.pearson, data.partial));
    const lost = withoutWords(data, ""); // the unit once, in the line's name: a card is narrow
    [`ΔRMSE without it${unit ? ` [${unit}]` : ""}`, ...lost].forEach((words, i) => say(c.without[i], words));
    c.steady.draw(data.steady);
    c.path.setAttribute("d", barsPath(data.bars, ...HISTOGRAM));
    c.path.setAttribute("class", data.weight < 0 ? "sf-takes" : "sf-adds");
    c.histogram.setAttribute("aria-label", `histogram of the activations of ${data.label} on ${count(data.fires)} galaxies`);
    say(c.largest, data.largest.toPrecision(3));
  }

  function update() {
    const data = model.get("data");
    el.hidden = !data.open;
    if (data.split !== split) {
      split = data.split;
      waiting.clear();
      urls.forEach((url) => URL.revokeObjectURL(url));
      urls = [];
      cards.forEach((c) => sight.unobserve(c.root));
      cards.clear();
    }
    const list = data.cards.map((one) => {
      let c = cards.get(one.feature);
      if (!c) {
        c = card(one.feature);
        cards.set(one.feature, c);
        if (data.images) sight.observe(c.root);
        else c.strip.replaceChildren();
      }
      fill(c, one, data);
      return c.root;
    });
    const same = deck.children.length === list.length && list.every((node, i) => deck.children[i] === node);
    if (!same) deck.replaceChildren(...list);
    const partial = data.fixed ? `◇ partial: at fixed ${data.fixed}` : `no partial correlation: the catalogue has none of ${data.missing.join(", ")}`;
    const steady = data.steady ? ` · ${data.steady}, the mark: 95 % of shuffled galaxies are below` : "";
    const truth = data.known ? `ρ and partial correlation with the true ${data.target} of ${count(data.known)} galaxies (0 where a feature is silent) · ● ρ, ${partial}` : `no correlations: no galaxy in view has a true ${data.target}`;
    say(caption, `${data.cards.length} of ${data.active} active features · ${data.of}, n = ${count(data.n)} · ${truth}${steady}${data.why ? ` · ${data.why}` : ""}`);
    empty.hidden = data.cards.length > 0;
    say(empty, data.active ? "No feature fits the search and the firing rate chosen: clear the search, or choose “any” after “fires on”." : "No feature fires on the galaxies in view: choose another split.");
    el.classList.add("sf-drawn");
  }

  model.on("change:data", update);
  model.on("msg:custom", receive);
  update();
  return () => {
    sight.disconnect();
    urls.forEach((url) => URL.revokeObjectURL(url));
    model.off("change:data", update);
    model.off("msg:custom", receive);
  };
}

export default { render };
