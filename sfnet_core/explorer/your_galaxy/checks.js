// Does it look like the training data?

const MARKS = { good: "✓", warn: "!", unknown: "?" };
const SAID = { good: "as in the training data", warn: "unlike the training data", unknown: "could not be checked" };

function render({ model, el }) {
  const heading = h("h2");
  const list = h("div", { class: "sf-check-list" });
  const foot = h("p", { class: "sf-caption" });
  el.classList.add("sf-checks");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Does it look like the training data?");
  el.tabIndex = 0;
  el.replaceChildren(heading, list, foot);

  function line(check) {
    return h("div", { class: `sf-check sf-check-${check.state}`, "data-state": check.state, "data-name": check.name, title: check.why || SAID[check.state] },
      h("span", { class: "sf-mark", role: "img", "aria-label": SAID[check.state] }, MARKS[check.state]),
      h("span", { class: "sf-check-name" }, check.name),
      h("span", { class: "sf-check-value" }, check.value),
      h("span", { class: "sf-check-trained" }, `training: ${check.trained}`),
      check.why ? h("span", { class: "sf-check-why" }, check.why) : null);
  }

  function update() {
    const data = model.get("data");
    say(heading, "Like the training data?");
    const order = { warn: 0, unknown: 1, good: 2 };
    list.replaceChildren(...[...data.checks].sort((a, b) => order[a.state] - order[b.state]).map(line));
    if (data.empty) list.replaceChildren(h("p", { class: "sf-empty" }, "Choose a galaxy: what differs from the training galaxies is listed here."));
    else if (data.checks.length) say(heading, data.warnings ? `Like the training data? ${data.warnings} warning${data.warnings > 1 ? "s" : ""}` : "Like the training data? Nothing unusual");
    el.classList.toggle("sf-has-warnings", data.warnings > 0);
    say(foot, data.empty ? "" : `Ranges: ${data.trained}.`);
  }
  model.on("change:data", update);
  update();
  return () => model.off("change:data", update);
}

export default { render };
