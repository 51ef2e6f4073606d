// A figure's SVG as a file: as it stands, or drawn at twice its size as PNG with its caption written into the file.

function saveFile(name, parts, type) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 5000);
}

/** Where the page is, without what stands after the path; empty in JupyterLab, whose address is no permalink. */
function pageAddress() {
  return document.body.dataset.voila === undefined ? "" : location.origin + location.pathname;
}

const CRC = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let i = 0; i < 8; i++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

/** A PNG's bytes with a text in them (an iTXt chunk, UTF-8, behind the header). */
function withText(png, keyword, text) {
  const words = new TextEncoder();
  const data = new Uint8Array([...words.encode("iTXt"), ...words.encode(keyword), 0, 0, 0, 0, 0, ...words.encode(text)]);
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  const chunk = new Uint8Array(data.length + 8);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length - 4);
  chunk.set(data, 4);
  view.setUint32(data.length + 4, (crc ^ 0xffffffff) >>> 0);
  return [png.slice(0, 33), chunk, png.slice(33)];
}

/** An SVG's text drawn at twice its size: the parts of a PNG. */
async function pngOf(svg, caption) {
  const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = h("canvas", { width: 2 * image.naturalWidth, height: 2 * image.naturalHeight });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    return withText(new Uint8Array(await blob.arrayBuffer()), "Description", caption);
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** The page's address as it is now, its permalink, without a token; empty where it is none. */
function pageAddressNow() {
  const place = pageAddress();
  const query = new URLSearchParams(location.search);
  query.delete("token");
  return place && query.size ? `${place}?${query}` : place;
}

/** The text of a file of its own: an SVG of the page with its caption as title, description and lines below it. */
function withCaption(svg, caption, ink = "#4b5a69") {
  const NS = "http://www.w3.org/2000/svg";
  const make = (tag, props, text) => {
    const node = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(props)) node.setAttribute(name, String(value));
    if (text !== undefined) node.textContent = text.replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
    return node;
  };
  const copy = svg.cloneNode(true);
  const [width, height] = ["width", "height"].map((name) => Number(svg.getAttribute(name)));
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "11px system-ui, sans-serif";
  const lines = caption.split("\n").flatMap((fact) => {
    const out = [""];
    for (const word of fact.match(/\S+\s*/g) || []) {
      if (out.at(-1) && pen.measureText(out.at(-1) + word.trimEnd()).width > width - 24) out.push("");
      for (const letter of word) {
        if (pen.measureText(out.at(-1) + letter).width > width - 20 && letter !== " ") out.push("");
        out[out.length - 1] += letter;
      }
    }
    return out.length > 4 ? [...out.slice(0, 3), `${out[3].slice(0, -2)}\u2026`] : out;
  });
  const total = height + 15 * lines.length + 14;
  for (const [name, value] of [["xmlns", NS], ["width", width], ["height", total], ["viewBox", `0 0 ${width} ${total}`]]) copy.setAttribute(name, String(value));
  const below = make("g", { class: "caption", fill: ink, "font-size": 11 });
  below.append(...lines.map((line, i) => make("text", { x: 10, y: height + 14 + 15 * i }, line)));
  copy.prepend(make("title", {}, caption.split("\n")[0]), make("desc", {}, caption), make("rect", { width, height: total, fill: "#ffffff" }));
  copy.append(below);
  return new XMLSerializer().serializeToString(copy);
}

/** Save a figure whose SVG has its caption already. */
async function saveSvg(name, kind, svg, caption) {
  if (kind === "txt") saveFile(`${name}.txt`, [`${caption}\n`], "text/plain");
  else if (kind === "svg") saveFile(`${name}.svg`, [svg], "image/svg+xml");
  else saveFile(`${name}.png`, await pngOf(svg, caption), "image/png");
}
