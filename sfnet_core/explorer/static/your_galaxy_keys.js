// The keyboard of this page: every key presses a control that is on it. `?` lists them.

const KEYS = [
  ["o", "o", "choose an image", ".sf-file"],
  ["/", "/", "type an identifier or a path", ".sf-what"],
  ["m", "m", "next contribution map", ".sf-maps [aria-pressed='true'] + button"],
  ["n", "n", "open the nearest galaxy", ".sf-near .sf-galaxy"],
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
    const typing = event.composedPath()[0].matches?.("input:not([type=file], [type=checkbox]), textarea, select");
    if (document.body.dataset.voila === undefined || event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (event.key === "?" || (event.key === "Escape" && !help.hidden)) {
      help.hidden = !help.hidden;
      return;
    }
    const selector = KEYS.find(([key]) => key === event.key)?.[3];
    const control = selector && document.querySelector(`.sf-root ${selector}`);
    if (!control || control.disabled) return;
    event.preventDefault();
    if (control.matches("input[type=text]")) control.focus();
    else control.click();
  }
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}
