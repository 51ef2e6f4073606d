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

/** Save a figure whose SVG has its caption already. */
async function saveSvg(name, kind, svg, caption) {
  if (kind === "txt") saveFile(`${name}.txt`, [`${caption}\n`], "text/plain");
  else if (kind === "svg") saveFile(`${name}.svg`, [svg], "image/svg+xml");
  else saveFile(`${name}.png`, await pngOf(svg, caption), "image/png");
}
