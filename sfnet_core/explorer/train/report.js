// The right-hand pane: what this training is; at its end the numbers, the folder, the commands, the way to the explorer.

function render({ model, el }) {
  const about = h("section", { class: "sf-this" });
  const end = h("section", { class: "sf-end", "aria-live": "polite" });
  el.classList.add("sf-report");
  el.replaceChildren(end, about);

  let key = "";
  function update() {
    const data = model.get("data");
    const now = JSON.stringify(data);
    if (now === key) return; // nothing is laid out anew while an epoch passes
    key = now;
    about.replaceChildren(h("h2", {}, "This training"), facts(data.rows), data.command ? command("the same in a shell", data.command) : null);
    end.hidden = !data.result;
    if (!data.result) return;
    end.replaceChildren(
      h("h2", { class: "sf-headline" }, data.result.headline),
      facts(data.result.rows),
      ...data.result.notes.map((note) => h("p", { class: "sf-caption" }, note)),
      way(data.explore),
      ...data.next.map(([words, line]) => command(words, line)),
    );
  }

  function way({ state, address }) {
    if (state === "open") return h("a", { class: "sf-primary sf-way", "data-action": "explore", href: address, target: "_blank", rel: "noopener" }, "Explore these codes ↗");
    if (!state) return "";
    const starting = state === "starting";
    return h("button", { type: "button", class: starting ? "sf-way" : "sf-primary sf-way", "data-action": "explore", disabled: starting, onclick: () => model.send({ do: "explore" }) }, starting ? "Starting the explorer …" : "Open in explore");
  }

  model.on("change:data", update);
  update();
  return () => model.off("change:data", update);
}

export default { render };
