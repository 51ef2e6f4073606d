// The served page's line to its kernel, watched before anything else on the page: a banner says when it is lost, when a
// session is over and when a page can't open; the kernel ends as the tab closes. Connecting again is Jupyter's own.

(() => {
  const { base, patience, end } = document.currentScript.dataset;
  const Native = window.WebSocket;
  const CHANNELS = /\/api\/kernels\/([\w-]+)\/channels/;
  const SLOW = 6000; // ms without an answer after which we ask the server what is the matter
  const LOOK = 20000; // ms between two looks at the server of a page in view
  const OVER = {
    4001: () => "The session ended: its process on the server stopped.",
    4002: (limit) => `The session needed more than ${limit} MB of memory and was ended.`,
    4003: () => "The session was ended after a long time without use, to make room for another visitor.",
  };
  const GO_ON = "Reload to continue where you were: the address keeps your choices.";
  const lines = new Map(); // line → what waits for its answers
  const kernels = new Set(); // that this page was connected to
  const text = new TextDecoder();
  let leaving = false, over = false, asking = false, looked = 0;

  // anywidget gives each widget 2 s to begin; all that is sent to one that took longer is lost. A busy browser takes longer.
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (ms) => timeout(ms === 2000 ? 120000 : ms);

  // -- what the visitor is told --------------------------------------------------------------------------------------

  let shown = null;
  function tell(kind, words, button) {
    if (!document.body || leaving) return;
    shown ??= document.body.appendChild(Object.assign(document.createElement("div"), { id: "sf-banner" }));
    shown.setAttribute("role", kind === "wait" ? "status" : "alert");
    shown.dataset.kind = kind;
    const message = Object.assign(document.createElement("span"), { textContent: words });
    shown.replaceChildren(message);
    if (button) shown.append(Object.assign(document.createElement("button"), { type: "button", textContent: "Reload", onclick: () => location.reload() }));
  }
  function hush(...kinds) {
    if (!shown || !kinds.includes(shown.dataset.kind)) return;
    shown.remove();
    shown = null;
  }
  function still(quiet) {
    const cells = document.getElementById("rendered_cells");
    if (cells) cells.inert = quiet;
    document.body?.classList.toggle("sf-still", quiet);
  }

  /** A thin line at the page's top while the oldest question has waited for more than 200 ms. */
  let later = 0;
  function busy() {
    clearTimeout(later);
    const asked = Math.min(...[...lines.values()].flatMap((unanswered) => unanswered.slice(0, 1).map((message) => message.at)));
    const age = performance.now() - asked; // of none: −∞
    document.body?.classList.toggle("sf-busy", age >= 200);
    document.getElementById("rendered_cells")?.setAttribute("aria-busy", String(age >= 200));
    if (age < 200 && age > -Infinity) later = setTimeout(busy, 201 - age);
  }

  // -- messages in the protocol v1.kernel.websocket.jupyter.org --------------------------------------------------------

  function part(data, index) {
    const view = new DataView(data);
    const at = (i) => Number(view.getBigUint64(8 * (i + 1), true));
    return JSON.parse(text.decode(new Uint8Array(data, at(index), at(index + 1) - at(index))));
  }
  function read(data, index, name) {
    try {
      return part(data, index)[name];
    } catch {
      return undefined; // not a message that we know
    }
  }

  /** Watch a line to a kernel: what waits for an answer, whether the line is up, and why it ended. */
  function watch(line, kernel) {
    const unanswered = []; // {id, at}, oldest first
    lines.set(line, unanswered);
    const send = line.send.bind(line);
    line.send = (data) => {
      if (line.readyState > Native.OPEN) return lost(); // it is closing, and the client has not heard of it yet
      const id = data instanceof ArrayBuffer ? read(data, 1, "msg_id") : undefined;
      if (id) unanswered.push({ id, at: performance.now() });
      send(data);
      busy();
    };
    line.addEventListener("open", () => {
      const back = kernels.has(kernel);
      kernels.add(kernel);
      if (!back || over) return;
      hush("lost", "wait");
      still(false);
      window.dispatchEvent(new Event("sfnet-stale")); // answers may have been lost: the views ask for all they show
    });
    line.addEventListener("message", (event) => {
      const { data } = event;
      if (!(data instanceof ArrayBuffer) || data.byteLength >= 4096 || read(data, 1, "msg_type") !== "status") return;
      const state = read(data, 4, "execution_state");
      if (["dead", "restarting", "autorestarting"].includes(state)) {
        event.stopImmediatePropagation(); // Jupyter's client would connect to what is left
        finish(4001);
      } else if (state === "idle") {
        const index = unanswered.findIndex((message) => message.id === read(data, 2, "msg_id"));
        unanswered.splice(0, index + 1); // the kernel answers in order
        busy();
        if (index >= 0) hush("wait");
      }
    });
    line.addEventListener("close", ({ code, reason }) => {
      lines.delete(line);
      busy();
      if (OVER[code]) finish(code, reason);
      else if (kernels.has(kernel)) lost();
    });
  }

  /** Jupyter's client tries for about a minute to connect again. Until then no click is taken: it could not be kept. */
  function lost() {
    if (over || leaving) return;
    tell("lost", `The connection to the server is lost, retrying. ${GO_ON}`, true);
    still(true);
  }

  function finish(code, reason) {
    if (over || leaving) return;
    over = true;
    hush("lost", "wait");
    tell("over", `${OVER[code](reason)} ${GO_ON}`, true);
    still(true);
  }

  /** "there", "gone" or "far" (no answer): whether the server still has the kernel. */
  async function ask(kernel) {
    try {
      const answer = await fetch(`${base}api/kernels/${kernel}`, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(5000) });
      if (answer.status === 404 || answer.status === 403) return "gone";
      return answer.ok ? "there" : "far";
    } catch {
      return "far";
    }
  }

  /** A line can be dead without a word (a cable, a sleeping machine): where an answer is late, the server is asked. */
  async function check() {
    if (asking || over || leaving || document.hidden) return;
    asking = true;
    for (const [line, unanswered] of lines) {
      const late = unanswered.length && performance.now() - unanswered[0].at > SLOW;
      if (line.readyState !== Native.OPEN || !(late || performance.now() - looked > LOOK)) continue;
      looked = performance.now();
      const state = await ask(line.url.match(CHANNELS)[1]);
      if (state === "gone") finish(4001);
      else if (state === "far") {
        lost();
        line.close();
      } else if (late && unanswered.length && line.readyState === Native.OPEN) tell("wait", "The server is still working on your last click.");
    }
    asking = false;
  }
  setInterval(check, 1000);
  window.addEventListener("offline", () => { looked = -Infinity; check(); });
  document.addEventListener("visibilitychange", () => { looked = -Infinity; check(); });

  window.WebSocket = new Proxy(Native, {
    construct: (target, given) => {
      const [, kernel] = String(given[0]).match(CHANNELS) ?? [];
      if (kernel && over) return Object.assign(new EventTarget(), { readyState: Native.CONNECTING, send() {}, close() {} });
      const line = new target(...given);
      if (kernel) watch(line, kernel);
      return line;
    },
  });

  // -- the end of a page -----------------------------------------------------------------------------------------------

  // Jupyter's client lets go of its kernel as soon as the page may be left. Until the server answers, for seconds where it
  // is busy, or for good where that was a download, the page lives on: so the client hears of it when it is really left.
  // What is typed and not yet sent has to go now: a line drops what it is given while the page goes.
  window.addEventListener("beforeunload", () => window.dispatchEvent(new Event("sfnet-leaving")));
  for (const name of ["addEventListener", "removeEventListener"]) {
    const plain = window[name];
    window[name] = (kind, ...rest) => plain.call(window, kind === "beforeunload" ? "pagehide" : kind, ...rest);
  }

  // Nobody can come back to a closed page's kernel. A page that the browser kept and shows again has to be made anew.
  window.addEventListener("pagehide", () => {
    leaving = true;
    if (end) kernels.forEach((kernel) => navigator.sendBeacon(`${base}sfnet/end/${kernel}`));
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  // Another Voilà than ours ends a left page's kernel by itself, if the page has the cookie that its login page sets.
  if (!end) window.addEventListener("load", () => { if (!/\b_xsrf=/.test(document.cookie)) fetch(`${base}login`, { credentials: "same-origin" }).catch(() => {}); });

  // -- the beginning of a page -----------------------------------------------------------------------------------------

  let broken = false;
  function failed(why) {
    broken = true;
    document.getElementById("loading")?.remove();
    tell("over", `${why ?? "The page could not be built."} Reload to try again; if it fails again, the server's terminal names the reason.`, true);
  }
  window.sfnet = { failed };
  const limit = 1000 * Number(patience);
  const begun = performance.now();
  const looking = setInterval(() => {
    const waited = performance.now() - begun;
    if (document.querySelector(".sf-page")) {
      clearInterval(looking);
      if (broken) hush("over");
    } else if (!broken && waited > limit) failed(`The page did not open within ${patience} s.`);
    else if (!broken && waited > Math.min(15000, limit / 2)) {
      const loading = document.getElementById("loading_text");
      if (loading) loading.textContent = "Still opening: large tables take a moment…";
    }
  }, 500);
  document.addEventListener("DOMContentLoaded", () => { if (!document.getElementById("jupyter-config-data")) failed(); });
})();
