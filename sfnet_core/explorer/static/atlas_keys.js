// The keyboard of the atlas: every key presses a control that is on the page. `?` lists them.

const KEYS = [
  ["ArrowRight", "→", "next feature", "[data-action='after']"],
  ["ArrowLeft", "←", "previous feature", "[data-action='before']"],
  ["Escape", "Esc", "back to all features", "[data-action='back']"],
  ["g", "g", "draw other random galaxies", "[data-action='again']"],
  ["1", "1", "cards", "[data-view='cards']"],
  ["2", "2", "table of ρ and weight", "[data-view='signs']"],
  ["3", "3", "correlations of features", "[data-view='matrix']"],
  ["/", "/", "find a feature", ".sf-overview input"],
  ["u", "u", "undo", "[aria-label='Undo']"],
  ["U", "U", "redo", "[aria-label='Redo']"],
  ["y", "y", "copy the link", "[data-action='copy-link']"],
  ["d", "d", "dark or light", "[data-action='theme']"],
];

function keyList() {
  const rows = KEYS.flatMap(([, shown, what]) => [h("dt", {}, shown), h("dd", {}, what)]);
  return h("div", { class: "sf-keys", hidden: true, role: "dialog", "aria-label": "Keyboard" }, h("h2", {}, "Keyboard"), h("dl", {}, ...rows, h("dt", {}, "?"), h("dd", {}, "this list")));
}

/** Listen while no text is being typed (JupyterLab has keys of its own); returns the function that stops it. */
function listenToKeys(help) {
  function onKey(event) {
    const typing = event.target.matches?.("input, textarea, select");
    if (!IN_VOILA || event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
    if (typing) return event.target.blur();
    if (event.key === "?" || (event.key === "Escape" && !help.hidden)) {
      help.hidden = !help.hidden;
      return;
    }
    const selector = KEYS.find(([key]) => key === event.key)?.[3];
    const control = selector && document.querySelector(`.sf-root ${selector}`);
    if (!control || control.disabled || !control.checkVisibility()) return;
    event.preventDefault();
    if (control.matches("input")) control.focus();
    else control.click();
  }
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}
