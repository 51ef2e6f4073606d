// The filter box of the header: a combobox whose list, errors and examples come from Python, where the grammar is.

let filterBoxes = 0;

/** The box; `show(data)` brings it up to the state. */
function filterBox(model) {
  const send = (message) => model.send(message);
  const name = `sf-filter-${++filterBoxes}`;
  let asked = 0; // number of the last question
  let answer = null; // what came back for the text as it stands
  let active = -1;
  let open = false;
  let refused = false; // the text was applied and could not be read
  let applied = "";
  let sent = null; // what was sent to be applied, until its answer comes
  let waiting = 0;
  let slow = 0;

  const list = h("ul", { id: `${name}-list`, role: "listbox", "aria-label": "Possible next words", class: "sf-options" });
  const said = h("p", { id: `${name}-said`, class: "sf-filter-said", role: "status" });
  const panel = h("div", { class: "sf-filter-panel", hidden: true }, said, list);
  const input = h("input", {
    type: "text", class: "sf-filter", role: "combobox", "aria-label": "Filter the galaxies in view", "aria-autocomplete": "list", "aria-expanded": "false",
    "aria-controls": list.id, "aria-describedby": said.id, maxlength: 500, spellcheck: "false", autocomplete: "off",
    title: "Which galaxies are in view. ↓ lists possible next words, Tab inserts one, Enter applies, Esc closes.",
  });
  const clear = h("button", { type: "button", class: "sf-filter-clear", "aria-label": "Clear the filter", title: "Clear the filter: all galaxies of the split", onclick: () => apply("") }, "×");
  const more = h("button", { type: "button", class: "sf-filter-more", "aria-label": "Examples of filters", title: "Examples of filters, and the whole grammar", "aria-expanded": "false", onclick: help }, "e.g.");
  const examples = h("div", { class: "sf-filter-examples" });
  const popover = h("div", { class: "sf-filter-help", role: "dialog", "aria-label": "How to filter", hidden: true },
    h("div", { class: "sf-bar" }, h("h2", {}, "Filters of this table"), h("span", { class: "sf-push" }), h("span", { class: "sf-caption" }, "galaxies, all splits")), examples, h("h2", {}, "The whole grammar"), h("dl", {}, ...GRAMMAR.flatMap(([what, means]) => [h("dt", {}, what), h("dd", {}, means)])));
  const form = h("form", { class: "sf-sieve", role: "search", "aria-label": "Filter", onsubmit: (event) => { event.preventDefault(); apply(input.value); } }, h("span", { class: "sf-filter-field" }, input, clear), more, panel, popover);

  // -- asking Python

  function ask(now = false) {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const serial = ++asked;
      send({ do: "filter-ask", text: input.value, cursor: [...input.value.slice(0, input.selectionStart)].length, serial });
      clearTimeout(slow);
      slow = setTimeout(() => { if (serial === asked) tell("checking…"); }, 200);
    }, now ? 0 : 120);
  }

  function receive(content) {
    if (content.filterExamples) return showExamples(content.filterExamples);
    const found = content.filter;
    if (found?.refused && found.text.trim() === sent) sent = null;
    if (!found || found.text !== input.value || (found.serial && found.serial !== asked)) return;
    clearTimeout(slow);
    if (found.refused) {
      refused = true;
      answer = { ...found, options: [], start: 0, end: 0 };
    } else answer = found;
    active = -1;
    draw();
  }

  function apply(text) {
    input.value = text;
    sent = text.trim() === applied ? null : text.trim();
    refused = false;
    open = false;
    answer = null;
    clearTimeout(waiting);
    asked += 1; // an answer that is still on its way is no longer wanted
    draw();
    send({ do: "filter", filter: text });
  }

  // -- the list

  function accept(index) {
    const { options: words, text, start, end } = answer;
    if (!words[index] || text !== input.value) return;
    const characters = [...text];
    const before = characters.slice(0, start).join("");
    const word = words[index].text;
    const gap = before && !/[\s(`"']$/.test(before) && /^[\w"`]/.test(word) ? " " : "";
    const after = characters.slice(end).join("");
    const head = before + gap + word + (word.endsWith("(") || after.startsWith(" ") ? "" : " ");
    input.value = head + after;
    input.setSelectionRange(head.length, head.length);
    answer = null;
    draw();
    ask(true);
  }

  function move(by) {
    const count = answer?.options.length ?? 0;
    if (!open || !count) {
      open = true;
      ask(true);
      return;
    }
    active = (active + by + count + 1) % (count + 1);
    if (active === count) active = by > 0 ? -1 : count - 1;
    draw();
  }

  function onKey(event) {
    const shown = open && answer?.options.length > 0;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter" && shown && active >= 0) {
      event.preventDefault();
      accept(active);
    } else if (event.key === "Tab" && !event.shiftKey && shown && (active >= 0 || answer.end > answer.start)) {
      event.preventDefault();
      accept(Math.max(active, 0));
    } else if (event.key === "Escape" && (open || refused)) {
      event.preventDefault();
      open = refused = false;
      draw();
    } else if (event.key === "Escape") input.value = applied;
  }

  input.addEventListener("keydown", onKey);
  input.addEventListener("input", () => {
    refused = false;
    open = true;
    active = -1;
    clear.hidden = !input.value;
    ask();
  });
  form.addEventListener("focusout", (event) => {
    if (form.contains(event.relatedTarget)) return;
    open = false;
    close();
    draw();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || popover.hidden) return;
    event.preventDefault();
    close();
    more.focus();
  });

  // -- drawing

  function tell(...parts) {
    said.replaceChildren(...parts);
  }

  /** The text with the place in question marked, the sentence, and what could stand there. */
  function complaint(found) {
    const characters = [...found.text];
    const marked = characters.slice(found.from, Math.max(found.to, found.from + 1)).join("") || " ";
    const text = h("code", {}, characters.slice(0, found.from).join(""), h("mark", {}, marked), characters.slice(Math.max(found.to, found.from + 1)).join(""));
    const instead = found.suggestions.map((word) => h("button", { type: "button", onmousedown: (event) => event.preventDefault(), onclick: () => {
      input.value = characters.slice(0, found.from).join("") + word + characters.slice(found.to).join("");
      refused = false;
      input.focus();
      open = true;
      ask(true);
    } }, word));
    return [text, h("span", { class: "sf-filter-error" }, found.error), ...(instead.length ? [" Instead:", ...instead] : [])];
  }

  function draw() {
    const found = answer;
    const words = open ? found?.options ?? [] : [];
    list.replaceChildren(...words.map((word, i) => h("li", { id: `${name}-${i}`, role: "option", "aria-selected": String(i === active), onmousedown: (event) => event.preventDefault(), onclick: () => accept(i) }, h("b", {}, word.text), h("span", {}, word.hint))));
    list.hidden = words.length === 0;
    input.setAttribute("aria-expanded", String(words.length > 0));
    if (active >= 0) input.setAttribute("aria-activedescendant", `${name}-${active}`);
    else input.removeAttribute("aria-activedescendant");
    list.children[active]?.scrollIntoView({ block: "nearest" });
    const wrong = Boolean(found?.error) && (refused || !found.unfinished);
    input.setAttribute("aria-invalid", String(wrong));
    if (!found) tell();
    else if (wrong) tell(...complaint(found));
    else if (found.error) tell(words.length ? "Not a whole filter yet" : `Not a whole filter yet. ${found.error}`);
    else if (found.count === null) tell("Enter applies it.");
    else tell(`${found.count.toLocaleString("en")} of ${found.of.toLocaleString("en")} galaxies, ${found.where}${found.text.trim() === applied ? "" : "; Enter applies it"}`);
    said.hidden = !said.textContent;
    panel.hidden = !(open || refused) || (said.hidden && list.hidden);
    clear.hidden = !input.value;
    input.classList.toggle("sf-unapplied", input.value.trim() !== applied);
  }

  // -- examples

  function help() {
    if (!popover.hidden) return close();
    popover.hidden = false;
    more.setAttribute("aria-expanded", "true");
    open = refused = false;
    draw();
    if (!examples.childElementCount) examples.append(h("p", { class: "sf-caption" }, "reading the table…"));
    send({ do: "filter-examples" });
  }

  function close() {
    popover.hidden = true;
    more.setAttribute("aria-expanded", "false");
  }

  function showExamples(found) {
    examples.replaceChildren(...found.map((one) => h("button", { type: "button", class: "sf-example-filter", title: "Apply this filter", onclick: () => { close(); apply(one.filter); input.focus(); } },
      h("code", {}, one.filter), h("span", {}, one.words), h("span", { class: "sf-number" }, one.count.toLocaleString("en")))));
    if (!found.length) examples.replaceChildren(h("p", { class: "sf-caption" }, "This table has no column to make an example from."));
  }

  model.on("msg:custom", receive);
  return {
    element: form,
    show(data) {
      input.placeholder = `filter, such as ${data.hint}`;
      input.classList.toggle("sf-filtering", Boolean(data.filter));
      if (data.filter !== applied) {
        applied = data.filter;
        const later = sent !== null && (applied !== sent || input.value.trim() !== sent); // what stands here is newer
        if (applied === sent) sent = null;
        if (!later) {
          input.value = applied;
          refused = false;
          answer = null;
        }
      }
      draw();
    },
    leave: () => model.off("msg:custom", receive),
  };
}

const GRAMMAR = [
  ["oh_p50 > 9", "also = != < <= >=, and 8.5 < oh_p50 < 9"],
  ["and, or, not, ( )", "join conditions"],
  ["between 8.5 and 9", "both ends included"],
  ["in (\"SF\", \"AGN\")", "one of a list; not in (…)"],
  ["contains \"abc\"", "a part of a text"],
  ["is known", "there is a value; is unknown"],
  ["star, list = \"odd\"", "what was written about a galaxy: star, label, note, list"],
  ["f61, c61", "activation and contribution of feature 61; f61 alone: it fires"],
  ["abs(residual)", "absolute value"],
  ["within 2 arcmin of 150.1 2.2", "a cone: RA, Dec in deg or 10:00:24 +02:12:00, or an identifier in quotes"],
];
