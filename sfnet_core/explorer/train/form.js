// What the user chooses. A field sends its value when it is left or entered; a refused value goes back to what it was.
// What is being typed, or was sent and has no answer yet, is left as it is: the answer may be to another field.

function render({ model, el }) {
  const typed = new Set(); // fields with something that was not sent yet
  const sent = {}; // a field's last message, by number
  let last = 0;
  function choose(name, value) {
    last = Math.max(last, model.get("data").answered) + 1;
    sent[name] = last;
    typed.delete(name);
    model.send({ do: "choose", name, value, number: last });
  }
  const whole = (input, empty) => (input.value.trim() === "" ? empty : Number.isInteger(Number(input.value)) ? Number(input.value) : input.value);
  const fields = {};
  function field(name, label, input, hint) {
    input.id = `sf-train-${name}`;
    input.dataset.choice = name;
    fields[name] = input;
    input.addEventListener("input", () => typed.add(name));
    input.addEventListener("blur", () => { if (typed.delete(name)) update(); });
    const note = h("p", { class: "sf-caption", id: `${input.id}-hint` }, hint ?? "");
    input.setAttribute("aria-describedby", note.id);
    return [h("div", { class: "sf-field" }, h("label", { for: input.id }, label), input, note), note];
  }
  const textbox = (name, placeholder) => h("input", { type: "text", spellcheck: "false", autocomplete: "off", maxlength: 4000, placeholder, onchange: (event) => choose(name, event.target.value) });
  const number = (name, empty, more) => h("input", { type: "number", step: 1, ...more, onchange: (event) => choose(name, whole(event.target, empty)) });

  const [dataset] = field("dataset", "Dataset folder", textbox("dataset", "embedded sample"), "A folder that sfnet pack wrote; empty: the embedded sample.");
  const [target, usable] = field("target", "Target", h("select", { onchange: (event) => choose("target", event.target.value) }));
  const [k] = field("k", "k", number("k", 0, { min: 1, max: 512 }), "kept per galaxy");
  const [width] = field("width", "Width", h("select", { onchange: (event) => choose("width", Number(event.target.value)) }), "the paper's network has 64");
  const [epochs] = field("epochs", "Epochs", number("epochs", 0, { min: 1, max: 10000 }), "empty: the recipe's");
  const [seed] = field("seed", "Seed", number("seed", 0, { min: 0 }), "same seed, same run");
  const [recipe] = field("recipe", "Recipe", h("select", { onchange: (event) => choose("recipe", event.target.value) }));
  const [validation] = field("validation", "Held out [%]", h("input", { type: "number", min: 5, max: 90, step: "any", onchange: (event) => choose("validation", event.target.value.trim() === "" ? 0.2 : Number(event.target.value) / 100) }), "of the objects");
  const [out, folder] = field("out", "Run's folder", textbox("out", "a new one"));
  const fresh = h("button", { type: "button", "data-action": "new-folder", onclick: () => model.send({ do: "new-folder" }) }, "new folder");
  out.append(fresh);
  const check = (name, words, more) => {
    const input = h("input", { type: "checkbox", id: `sf-train-${name}`, "data-choice": name, onchange: (event) => choose(name, event.target.checked) });
    fields[name] = input;
    return h("div", { class: "sf-check", title: more }, input, h("label", { for: input.id }, words));
  };
  const alive = check("alive", "keep more features in use", "Fewer features die in training: the gate is narrowed step by step and rare features are raised (--alive).");
  const taught = check("taught", "learn from photometry", "For a few hundred labels: a Gaussian process on photometry predicts the target of thousands of augmented images of the training galaxies, and the network learns those predictions (--taught). Takes several times as long.");
  const every = check("every_k", "every k at once", "The loss is a mean over gates of 1 to k + 8 features, so that the explorer's k slider is valid (--multi-k).");
  const codes = check("codes", "then write codes to explore", "When the training is done, the codes of all galaxies are written beside the run, and the explorer opens on them (sfnet infer).");
  const set = h("fieldset", {}, dataset, target, h("div", { class: "sf-pair" }, k, epochs), h("div", { class: "sf-pair" }, validation, seed), width, recipe, alive, taught, every, out, codes);

  el.classList.add("sf-form");
  el.replaceChildren(h("h2", {}, "Choose"), set);

  function update() {
    const data = model.get("data");
    const values = data.values;
    const ours = (name) => typed.has(name) || sent[name] > data.answered;
    const kept = (name) => (ours(name) ? fields[name].value : String(values[name]));
    options(fields.target, data.targets, kept("target"));
    options(fields.width, data.widths, kept("width"));
    options(fields.recipe, data.recipes, kept("recipe"));
    fields.epochs.placeholder = data.epochs;
    const shown = { dataset: values.dataset, k: values.k, seed: values.seed, epochs: values.epochs || "", validation: Math.round(values.validation * 1e4) / 100, out: values.out };
    for (const [name, value] of Object.entries(shown)) {
      const input = fields[name];
      if (!ours(name)) input.value = value;
      input.title = input.type === "text" ? input.value : "";
    }
    for (const name of ["alive", "taught", "every_k", "codes"]) if (!ours(name)) fields[name].checked = values[name];
    say(usable, data.usable);
    say(folder, data.folder);
    folder.hidden = !data.folder;
    fresh.hidden = !data.taken || data.busy;
    set.disabled = data.busy;
  }
  model.on("change:data", update);
  update();
  return () => model.off("change:data", update);
}

export default { render };
