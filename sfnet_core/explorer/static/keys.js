// The keyboard: every key presses a control that is on the page, so it does what the mouse does. `?` lists them.

const KEYS = [
  ["ArrowRight", "→", "next galaxy in the gallery", () => step(".sf-galaxy", 1)],
  ["ArrowLeft", "←", "previous galaxy", () => step(".sf-galaxy", -1)],
  ["n", "n", "next page of the gallery", () => press("[aria-label='Next page']")],
  ["p", "p", "previous page", () => press("[aria-label='Previous page']")],
  ["ArrowDown", "↓", "next feature", () => step(".sf-row .sf-name", 1)],
  ["ArrowUp", "↑", "previous feature", () => step(".sf-row .sf-name", -1)],
  ["t", "t", "toggle the feature in focus", () => press(".sf-row.sf-focus .sf-toggle")],
  ["a", "a", "all features on", () => press("[data-action='all']")],
  ["x", "x", "no feature on", () => press("[data-action='none']")],
  ["i", "i", "invert the switches", () => press("[data-action='invert']")],
  ["r", "r", "ablate or refill", () => press(".sf-modes [aria-checked='false']")],
  ["[", "[", "smaller k", () => slide(-1)],
  ["]", "]", "larger k", () => slide(1)],
  ["m", "m", "next contribution map", () => step(".sf-maps button", 1)],
  ["c", "c", "clear the selection", () => press("[data-action='clear-selection']")],
  ["/", "/", "find a galaxy", () => document.querySelector(".sf-gallery input[type=search]")?.focus()],
  ["u", "u", "undo", () => press("[aria-label='Undo']")],
  ["U", "U", "redo", () => press("[aria-label='Redo']")],
  ["y", "y", "copy the link", () => press("[data-action='copy-link']")],
  ["d", "d", "dark or light", () => press("[data-action='theme']")],
];

function press(selector) {
  const control = document.querySelector(`.sf-root ${selector}`);
  if (control && !control.disabled && !control.hidden) control.click();
}

/** Press the control after (or before) the one that is pressed now. */
function step(selector, by) {
  const all = [...document.querySelectorAll(`.sf-root ${selector}`)];
  const now = all.findIndex((control) => control.getAttribute("aria-pressed") === "true");
  const next = all[now < 0 ? 0 : now + by];
  next?.click();
  next?.scrollIntoView({ block: "nearest" });
}

function slide(by) {
  const slider = document.querySelector(".sf-gate input[type=range]");
  if (!slider) return;
  slider.value = Number(slider.value) + by;
  slider.dispatchEvent(new Event("input"));
}

/** Listen to the keys while no text is being typed; returns the function that stops it. `help` toggles the list. */
function listenToKeys(help) {
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key.toLowerCase() === "z" && !event.altKey && !typing(event)) {
        event.preventDefault();
        press(event.shiftKey ? "[aria-label='Redo']" : "[aria-label='Undo']");
      }
      return;
    }
    if (typing(event)) return;
    if (event.key === "?" || (event.key === "Escape" && !help.hidden)) {
      help.hidden = !help.hidden;
      return;
    }
    const found = KEYS.find(([key]) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found[3]();
  }
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}

function typing(event) {
  const target = event.composedPath()[0];
  if (!document.querySelector(".sf-root") || document.body.dataset.voila === undefined) return true; // JupyterLab has keys of its own
  return target instanceof HTMLElement && (target.matches("input:not([type=range]), textarea, select") || target.isContentEditable);
}

function keyList() {
  return h("div", { class: "sf-keys", hidden: true, role: "dialog", "aria-label": "Keyboard" }, h("h2", {}, "Keyboard"), h("dl", {}, ...KEYS.flatMap(([, shown, what]) => [h("dt", {}, shown), h("dd", {}, what)]), h("dt", {}, "?"), h("dd", {}, "this list")));
}
