// Where the visitor brings a galaxy: drop or choose an image, type an identifier or a path; a folder gives a codes file.

function render({ model, el }) {
  const send = (message, buffers) => model.send(message, undefined, buffers);
  let prepared = false;
  const prepare = () => {
    if (!prepared) send({ do: "prepare" });
    prepared = true;
  };

  const file = h("input", { type: "file", accept: "image/jpeg,image/png", class: "sf-file", "aria-label": "Image of a galaxy, JPEG or PNG", onchange: () => bring(file.files) });
  const words = h("span", { class: "sf-drop-words" });
  const drop = h("label", { class: "sf-drop" }, file, h("b", {}, "Choose an image"), words);
  const what = h("input", { type: "text", class: "sf-what", "aria-label": "Identifier of a loaded galaxy, or path of an image on the server", maxlength: 1024, spellcheck: "false", autocomplete: "off" });
  const find = h("form", { class: "sf-ask-row", onsubmit: (event) => { event.preventDefault(); send({ do: "find", text: what.value }); } }, what, h("button", { type: "submit" }, "open"));
  const scale = h("input", { type: "text", inputmode: "decimal", class: "sf-scale", placeholder: "unknown", maxlength: 40, "aria-label": "Pixel scale of your image in arcsec per pixel", onchange: wish });
  const anyway = h("input", { type: "checkbox", class: "sf-anyway", onchange: wish });
  const how = h("select", { "aria-label": "How an image of another size is used", onchange: wish });
  const why = h("p", { class: "sf-why" });
  const progress = h("p", { class: "sf-progress", role: "status" });
  const trouble = h("p", { class: "sf-trouble", role: "alert" });

  const folder = h("input", { type: "text", class: "sf-folder", "aria-label": "Folder of images on the server", placeholder: "folder, . for all of it", maxlength: 1024, spellcheck: "false", autocomplete: "off" });
  const start = h("button", { type: "submit" }, "make codes");
  const stop = h("button", { type: "button", onclick: () => send({ do: "stop" }) }, "stop");
  const batchForm = h("form", { class: "sf-ask-row", onsubmit: (event) => { event.preventDefault(); send({ do: "folder", text: folder.value }); } }, folder, start, stop);
  const batchNote = h("p", { class: "sf-caption" });
  const batchProgress = h("p", { class: "sf-progress", role: "status" });
  const batchTrouble = h("p", { class: "sf-trouble", role: "alert" });
  const report = h("div", { class: "sf-report" });
  const batch = h("details", { class: "sf-batch" }, h("summary", {}, "A folder of images"), batchNote, batchForm, batchProgress, batchTrouble, report);

  el.classList.add("sf-ask");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "Bring a galaxy");
  el.replaceChildren(
    h("h2", {}, "Your galaxy"),
    drop,
    find,
    h("div", { class: "sf-ask-row" }, h("label", { class: "sf-scale-label" }, "pixel scale ", scale, " ″ per px")),
    h("div", { class: "sf-ask-row" }, h("label", { title: "Size or pixel scale differ from the training's: the numbers may be wrong without any warning" }, anyway, " use it anyway: "), how),
    why, progress, trouble, batch,
  );

  function wish() {
    send({ do: "options", scale: scale.value, anyway: anyway.checked, resample: how.value === "resample" });
  }

  async function bring(files) {
    const [one] = files;
    if (!one) return;
    const most = model.get("data").most;
    if (files.length > 1) return complain("One image at a time. For many, name their folder on the server below.");
    if (one.size > most) return complain(`The image has ${one.size.toLocaleString("en")} bytes; at most ${most.toLocaleString("en")} are taken. Crop it to the galaxy.`);
    prepared = true;
    const bytes = await one.arrayBuffer();
    send({ do: "image", name: one.name.slice(-200) || "image" }, [bytes]);
    file.value = "";
  }

  function complain(sentence) {
    say(trouble, sentence);
    trouble.hidden = false;
  }

  for (const event of ["pointerenter", "focusin"]) drop.addEventListener(event, prepare);
  drop.addEventListener("dragover", (event) => { event.preventDefault(); prepare(); drop.classList.add("sf-over"); });
  for (const event of ["dragleave", "drop"]) drop.addEventListener(event, () => drop.classList.remove("sf-over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); bring(event.dataTransfer.files); });

  function save(message, buffers) {
    if (message.do !== "codes-file") return;
    const url = URL.createObjectURL(new Blob(buffers, { type: "application/vnd.apache.parquet" }));
    const anchor = h("a", { href: url, download: message.name });
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  function update() {
    const data = model.get("data");
    say(words, data.why ? "" : `or drop it here: JPEG or PNG, ${data.trained}`);
    file.disabled = Boolean(data.why);
    drop.classList.toggle("sf-off", Boolean(data.why));
    what.placeholder = data.folders.length ? "identifier, or path on the server" : "identifier";
    what.title = data.folders.length ? `Paths below ${data.folders.join(", ")} on the server` : "Identifiers of the loaded codes; sfnet explore --images FOLDER allows paths too";
    if (document.activeElement !== scale) scale.value = data.scale;
    anyway.checked = data.anyway;
    options(how, [...(data.square ? [["resample", `resized to ${data.square}`]] : []), ["centre", `central ${data.crop} px as is`]], data.resample && data.square ? "resample" : "centre");
    how.disabled = !data.anyway;
    scale.disabled = anyway.disabled = Boolean(data.why);
    anyway.parentElement.classList.toggle("sf-needed", data.refused);
    say(why, data.why);
    why.hidden = !data.why;
    say(progress, data.busy);
    progress.hidden = !data.busy;
    el.setAttribute("aria-busy", String(Boolean(data.busy)));
    say(trouble, data.trouble);
    trouble.hidden = !data.trouble;
    const { busy, trouble: batchFault, done } = data.batch;
    batch.hidden = Boolean(data.why);
    const open = data.folders.length > 0;
    say(batchNote, open ? `Every image in a folder below “${data.folders.join("” or “")}” becomes a row of a new codes file; pixel scale and “use it anyway” above hold for it too.` : "This page reads no folders of its server; start it with --images FOLDER to allow one.");
    batchForm.hidden = !open;
    start.hidden = Boolean(busy);
    stop.hidden = !busy;
    folder.disabled = Boolean(busy);
    say(batchProgress, busy);
    batchProgress.hidden = !busy;
    say(batchTrouble, batchFault);
    batchTrouble.hidden = !batchFault;
    report.hidden = !done;
    if (!done) return;
    const aside = done.aside.map(([name, reason]) => h("li", {}, h("b", {}, name), ` ${reason}`));
    if (done.more) aside.push(h("li", {}, `and ${done.more.toLocaleString("en")} more`));
    report.replaceChildren(
      h("p", { class: "sf-made" }, `${done.galaxies.toLocaleString("en")} galaxies, ${(done.aside.length + done.more).toLocaleString("en")} set aside`),
      h("p", {}, h("button", { type: "button", onclick: () => send({ do: "codes-file" }) }, "save the codes file"), " or open it on the server:"),
      h("code", {}, done.command),
      ...(aside.length ? [h("h3", {}, "Set aside"), h("ul", {}, ...aside)] : []),
      ...done.notes.map((note) => h("p", { class: "sf-caption" }, note)),
    );
  }
  model.on("change:data", update);
  model.on("msg:custom", save);
  update();
  return () => { model.off("change:data", update); model.off("msg:custom", save); };
}

export default { render };
