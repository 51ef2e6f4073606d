// What the tops of all pages share: the theme, the list of keys, messages, whose numbers these are, the address.

/** A button for dark or light, remembered by the browser; `restore` brings back what was chosen (`wished` is for who has not). */
function themeButton(el, own, changed, wished = false) {
  let dark = false;
  function paint(wanted) {
    dark = wanted;
    el.closest(".sf-root")?.classList.toggle("sf-dark", dark);
    document.body.classList.toggle("sf-dark-page", dark && own);
    changed(dark);
    try { localStorage.setItem("sfnet-dark", dark ? "1" : "0"); } catch { /* a page without storage stays light next time */ }
  }
  function remembered() {
    try { return (localStorage.getItem("sfnet-dark") ?? (wished ? "1" : "0")) === "1"; } catch { return wished; }
  }
  const button = h("button", { type: "button", "data-action": "theme", title: "Dark or light", "aria-label": "Dark or light", onclick: () => paint(!dark) }, "◐");
  return { button, restore: () => { if (remembered() && !dark) paint(true); } };
}

/** The list of a page's keys, the button that shows it, and `deafen`, which stops listening to them. */
function keyboard(keys) {
  const list = keyList(keys);
  const button = h("button", { type: "button", title: "Keyboard", "aria-label": "Keyboard", onclick: () => { list.hidden = !list.hidden; } }, "?");
  return { list, button, deafen: listenToKeys(list, keys) };
}

/** Undo and redo. */
function undoButtons(send) {
  return [["undo", "Undo", "Undo the last change", "↶"], ["redo", "Redo", "Redo", "↷"]].map(([act, label, title, sign]) => h("button", { type: "button", title, "aria-label": label, onclick: () => send({ do: act }) }, sign));
}

/** Messages, and a button that takes them away. */
function showNotices(place, texts, send) {
  place.replaceChildren(...texts.map((text) => h("p", {}, text)));
  place.hidden = texts.length === 0;
  if (texts.length) place.append(h("button", { type: "button", "aria-label": "Dismiss messages", onclick: () => send({ do: "dismiss" }) }, "×"));
}

/** Whether galaxies are simulated or observed, and a line of facts about them. */
function showOrigin(badge, facts, data, words = "These galaxies") {
  say(badge, data.simulated ? "simulated" : "observed");
  badge.className = `sf-badge ${data.simulated ? "sf-simulated" : "sf-observed"}`;
  badge.title = data.simulated ? `${words} are simulated: no number here says anything about real galaxies` : `${words} were observed`;
  say(facts, data.facts.join(" · "));
  facts.title = data.facts.join("\n");
}

/** What the tops of all pages on codes show of what the kernel sends. */
function showTop(parts, data, send, words) {
  say(parts.title, data.title);
  showOrigin(parts.badge, parts.facts, data, words);
  options(parts.split, data.splits, data.split);
  options(parts.target, data.targets, data.target);
  parts.targetLabel.hidden = data.targets.length < 2;
  say(parts.status, data.status);
  showNotices(parts.notice, data.notices, send);
}

/** The address of this view: `query` in that part of it. The token goes along, for after the login's cookie is gone. */
function addressOf(query, part = "search") {
  const url = new URL(location.href);
  const token = url.searchParams.get("token");
  url[part] = query;
  if (token) url.searchParams.set("token", token);
  return url.href;
}

/** Have the address bar show this view. */
function keepAddress(query) {
  const href = addressOf(query);
  if (href !== location.href) history.replaceState(null, "", href);
}

/** Copy a link to the page as it is now: without the address's token no other browser is let in. */
async function copyLink(button, query, part = "search") {
  try {
    await navigator.clipboard.writeText(addressOf(query, part));
    say(button, "copied");
  } catch {
    say(button, "copy it from the address bar");
  }
  setTimeout(() => say(button, "copy link"), 1500);
}

function painted(node) {
  if (node.querySelector?.("canvas")) return true;
  const all = node.querySelectorAll ? [node, ...node.querySelectorAll("*")] : [];
  return all.some((child) => child.shadowRoot && painted(child.shadowRoot));
}

/** The page is there: in the theme that was chosen, and marked (class sf-page). */
function showPage(root, own, theme) {
  if (own) root.setAttribute("role", "main");
  theme.restore();
  root.classList.add("sf-page");
}

/** Show the page, once, when its figures are drawn, and call `shown`. Returns what begins to look. */
function showWhenDrawn(el, own, theme, shown) {
  let looking = false;
  return () => {
    if (looking) return;
    looking = true;
    const started = performance.now();
    (function look() {
      const root = el.closest(".sf-root");
      const plots = root?.querySelector(".sf-plots");
      if (root && plots && painted(plots)) {
        showPage(root, own, theme);
        shown();
      } else if (performance.now() - started < 60000) requestAnimationFrame(look);
    })();
  };
}
