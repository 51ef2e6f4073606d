// What somebody said of a feature or a galaxy: the star's button, and the way to the form.

/** A feature's name in two pieces: its number, and what somebody called it ("" where nobody did). */
function nameParts(label) {
  const [number, ...rest] = label.split(" · ");
  return [number, rest.join(" · ")];
}

/** Show on a star's button whether there is one. */
function starred(button, on, what) {
  say(button, on ? "★" : "☆");
  button.setAttribute("aria-pressed", Boolean(on));
  button.setAttribute("aria-label", `Star of ${what}`);
  button.title = on ? `Remove the star of ${what}` : `Add a star to ${what}`;
}

/** Go to the form of the feature ("features") or the galaxy ("galaxies") in focus, on the page that `from` is on. */
function editNotes(kind, from = document.querySelector(".sf-root")) {
  from?.dispatchEvent(new CustomEvent("sf-edit", { detail: kind, bubbles: true }));
}

/** Have the browser save a file that a view sent. */
function saveFile(content, buffers) {
  if (!content.download) return;
  const url = URL.createObjectURL(new Blob([buffers[0]], { type: content.mime }));
  h("a", { href: url, download: content.download }).click();
  setTimeout(() => URL.revokeObjectURL(url), 5000);
}
