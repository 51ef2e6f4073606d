// Shared by the training page's views: dl lists, commands that can be copied, where the page is.

const IN_VOILA = document.body.dataset.voila !== undefined;

/** A list of [name, value] pairs. */
function facts(pairs) {
  return h("dl", { class: "sf-about" }, ...pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** A shell command with a button that copies it. */
function command(words, line) {
  const copy = h("button", { type: "button", class: "sf-copy", "aria-label": `Copy the command: ${words}`, onclick: put }, "copy");
  async function put() {
    try {
      await navigator.clipboard.writeText(line);
      say(copy, "copied");
    } catch {
      say(copy, "select it");
    }
    setTimeout(() => say(copy, "copy"), 1500);
  }
  return h("div", { class: "sf-command" }, h("span", { class: "sf-caption" }, words), copy, h("code", { tabindex: "0" }, line));
}
