// The keyboard of a page: every key presses a control that is on it, so it does what the mouse does. `?` lists them.
// A key is [key, how it is shown, what it does, a control's selector or a function]; each page has a list of its own.

const SHARED_KEYS = [
  ["u", "u", "undo", "[aria-label='Undo']"],
  ["U", "U", "redo", "[aria-label='Redo']"],
  ["y", "y", "copy the link", "[data-action='copy-link']"],
  ["d", "d", "dark or light", "[data-action='theme']"],
];

/** Press a control, or go into it where it is a field; false where it is not there to be pressed. */
function press(selector) {
  const control = document.querySelector(`.sf-root ${selector}`);
  if (!control || control.disabled || !control.checkVisibility()) return false;
  if (control.matches("input:not([type=file], [type=checkbox], [type=range])")) control.focus();
  else control.click();
  return true;
}

/** Press the control after (or before) the one that is pressed now. */
function step(selector, by) {
  const all = [...document.querySelectorAll(`.sf-root ${selector}`)];
  const now = all.findIndex((control) => control.getAttribute("aria-pressed") === "true");
  const next = all[now < 0 ? 0 : now + by];
  next?.click();
  next?.scrollIntoView({ block: "nearest" });
}

/** Whether keys are letters of a text now. JupyterLab has keys of its own: there the page listens to none. */
function typing(event) {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && (target.matches("input:not([type=range], [type=checkbox], [type=file]), textarea, select") || target.isContentEditable);
}

/** Listen while no text is being typed; Escape leaves a field. `help` is the list. Returns the function that stops it. */
function listenToKeys(help, keys) {
  function onKey(event) {
    const { voila, saved } = document.body.dataset;
    if ((voila === undefined && saved === undefined) || event.defaultPrevented) return;
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key.toLowerCase() === "z" && !event.altKey && !typing(event)) {
        event.preventDefault();
        press(event.shiftKey ? "[aria-label='Redo']" : "[aria-label='Undo']");
      }
      return;
    }
    if (typing(event)) {
      if (event.key === "Escape") event.composedPath()[0].blur();
      return;
    }
    if (event.key === "?" || (event.key === "Escape" && !help.hidden)) {
      help.hidden = !help.hidden;
      return;
    }
    const action = keys.find(([key]) => key === event.key)?.[3];
    if (action === undefined) return;
    if (typeof action === "string" ? press(action) : action() !== false) event.preventDefault();
  }
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}

function keyList(keys) {
  const rows = keys.flatMap(([, shown, what]) => [h("dt", {}, shown), h("dd", {}, what)]);
  return h("div", { class: "sf-keys", hidden: true, role: "dialog", "aria-label": "Keyboard" }, h("h2", {}, "Keyboard"), h("dl", {}, ...rows, h("dt", {}, "?"), h("dd", {}, "this list")));
}
