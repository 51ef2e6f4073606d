// The served page's line to its kernel, before anything else on the page: it connects again by itself and sends again
// what was not answered, says when a session is over, ends the kernel as the tab closes, and says when a page can't open.

(() => {
  const { base, patience, end } = document.currentScript.dataset;
  const Native = window.WebSocket;
  const CHANNELS = /\/api\/kernels\/([\w-]+)\/channels/;
  const SLOW = 6000; // ms without an answer after which we ask the server what is the matter
  const LOOK = 20000; // ms between two looks at the server of a page in view
  const MOST = 300; // clicks kept while the line is down
  const OVER = {
    4001: () => "The session ended: its process on the server stopped.",
    4002: (limit) => `The session needed more than ${limit} MB of memory and was ended.`,
    4003: () => "The session was ended after a long time without use, to make room for another visitor.",
  };
  const GO_ON = "Reload to go on where you were: the address keeps your choices.";
  const lines = new Set();
  const kernels = new Set(); // whose pages this is
  const text = new TextDecoder();
  let leaving = false;

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
    const asked = Math.min(...[...lines].flatMap((line) => line.unanswered.slice(0, 1).map((message) => message.at)));
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

  /** What Jupyter's client takes for a WebSocket. Only its first connection can fail; later ones are made anew here. */
  class Line extends EventTarget {
    constructor(url, protocols) {
      super();
      Object.assign(this, { url, protocols, binaryType: "arraybuffer", readyState: Native.CONNECTING, protocol: "", extensions: "", bufferedAmount: 0 });
      Object.assign(this, { onopen: null, onmessage: null, onclose: null, onerror: null });
      this.kernel = url.match(CHANNELS)[1];
      this.unanswered = []; // {id, data, at}, oldest first
      this.live = this.once = this.over = false;
      this.short = 0;
      lines.add(this);
      kernels.add(this.kernel);
      this.connect();
    }

    connect() {
      const ws = new Native(this.url, this.protocols);
      ws.binaryType = this.binaryType;
      this.ws = ws;
      ws.onopen = () => this.up(ws);
      ws.onmessage = (event) => this.heard(event);
      ws.onclose = (event) => { if (ws === this.ws) this.down(event); };
    }

    up(ws) {
      this.live = true;
      this.since = performance.now();
      this.protocol = ws.protocol;
      if (!this.once) {
        this.once = true;
        this.readyState = Native.OPEN;
        this.fire(new Event("open"));
        return;
      }
      const stale = this.unanswered.some((message) => message.sent); // the kernel may have answered into the void
      for (const message of this.unanswered) {
        Object.assign(message, { at: performance.now(), sent: true });
        ws.send(message.data);
      }
      hush("lost", "wait");
      still(false);
      if (stale) window.dispatchEvent(new Event("sfnet-stale"));
    }

    send(data) {
      if (this.over) return;
      const id = data instanceof ArrayBuffer ? read(data, 1, "msg_id") : undefined;
      const open = this.live && this.ws.readyState === Native.OPEN; // it may be closing, and onclose not have come yet
      if (id) this.unanswered.push({ id, data, at: performance.now(), sent: open });
      if (open) this.ws.send(data);
      else if (this.unanswered.length >= MOST) still(true);
      busy();
      this.watch();
    }

    heard(event) {
      const { data } = event;
      if (data instanceof ArrayBuffer) {
        if (data.byteLength < 4096 && read(data, 1, "msg_type") === "status") {
          const state = read(data, 4, "execution_state");
          if (["dead", "restarting", "autorestarting"].includes(state)) return this.finish(4001);
          if (state === "idle") this.answered(read(data, 2, "msg_id"));
        }
      }
      this.fire(new MessageEvent("message", { data }));
    }

    answered(parent) {
      const index = this.unanswered.findIndex((message) => message.id === parent);
      if (index < 0) return;
      this.unanswered.splice(0, index + 1); // the kernel answers in order
      busy();
      hush("wait");
    }

    down(event) {
      this.live = false;
      if (this.over || leaving) return;
      if (!this.once || this.readyState >= Native.CLOSING) {
        this.readyState = Native.CLOSED;
        lines.delete(this);
        this.fire(new CloseEvent("close", { code: event.code, reason: event.reason, wasClean: event.wasClean }));
        return;
      }
      if (OVER[event.code]) return this.finish(event.code, event.reason);
      this.short = performance.now() - this.since < 3000 ? this.short + 1 : 0;
      if (event.code === 1009 || this.short > 3) this.unanswered.length = 0; // what the server can't take is not sent for ever
      this.lost();
    }

    async lost() {
      if (this.trying) return;
      this.trying = true;
      const begun = performance.now();
      const say = () => {
        const minutes = Math.floor((performance.now() - begun) / 60000);
        tell("lost", `The connection to the server is lost${minutes ? ` for ${minutes} min` : ""}. Trying again; what you click is kept and sent when it is back.`, minutes > 0);
      };
      for (let wait = 300; !this.over && !leaving; wait = Math.min(2 * wait, 5000)) {
        await this.pause(wait);
        if (performance.now() - begun > 1500) say();
        const state = await this.ask();
        if (state === "gone") return this.finish(4001);
        if (state === "there" && await this.again()) break;
      }
      this.trying = false;
    }

    again() {
      return new Promise((resolve) => {
        this.connect();
        const ws = this.ws;
        const opened = ws.onopen;
        ws.onopen = () => { opened(); resolve(true); };
        ws.onclose = (event) => {
          if (!this.live) return OVER[event.code] ? (this.finish(event.code, event.reason), resolve(true)) : resolve(false);
          if (ws === this.ws) this.down(event);
        };
      });
    }

    /** "there", "gone" or "far" (no answer): whether the server still has the kernel. */
    async ask() {
      try {
        const answer = await fetch(`${base}api/kernels/${this.kernel}`, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(5000) });
        if (answer.status === 404 || answer.status === 403) return "gone";
        return answer.ok ? "there" : "far";
      } catch {
        return "far";
      }
    }

    pause(wait) {
      return new Promise((resolve) => {
        const go = () => { clearTimeout(timer); window.removeEventListener("online", go); resolve(); };
        const timer = setTimeout(go, wait);
        window.addEventListener("online", go);
      });
    }

    /** An answer that is late asks the server. */
    watch() {
      this.watching ??= setInterval(() => {
        if (this.over || !this.unanswered.length) {
          clearInterval(this.watching);
          this.watching = null;
        } else if (performance.now() - this.unanswered[0].at > SLOW) this.check();
      }, 1000);
    }

    /** A line can be dead without a word (a cable, a sleeping machine): one that the server can't be reached by is cut. */
    async check() {
      if (!this.live || this.asking) return;
      this.asking = true;
      const { ws } = this;
      const state = await this.ask();
      this.asking = false;
      if (!this.live || ws !== this.ws) return;
      if (state === "gone") this.finish(4001);
      else if (state === "far") {
        this.ws = null;
        this.live = false;
        ws.close();
        this.lost();
      } else if (this.unanswered.length && performance.now() - this.unanswered[0].at > SLOW) tell("wait", "The server is still working on your last click.");
    }

    finish(code, reason) {
      if (this.over || leaving) return;
      this.over = true;
      this.live = false;
      this.ws?.close();
      hush("lost", "wait");
      tell("over", `${OVER[code](reason)} ${GO_ON}`, true);
      still(true);
    }

    /** Jupyter's client closes its line when it lets go of the kernel; a page that stays has none then. */
    close() {
      this.readyState = Native.CLOSING;
      this.ws?.close();
      setTimeout(() => this.finish(4001), 3000);
    }

    fire(event) {
      this[`on${event.type}`]?.call(this, event);
      this.dispatchEvent(event);
    }
  }

  window.WebSocket = new Proxy(Native, {
    construct: (target, [url, ...rest]) => (CHANNELS.test(url) ? new Line(String(url), ...rest) : new target(url, ...rest)),
  });
  const check = () => lines.forEach((line) => line.check());
  window.addEventListener("offline", check);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) check(); });
  setInterval(() => { if (!document.hidden) check(); }, LOOK);

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
    tell("over", `${why ?? "The page could not be built."} Reload to try again; if it comes back, the terminal where the server runs names the reason.`, true);
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
