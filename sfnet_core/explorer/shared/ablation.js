// What one feature is worth, under the picture equation: to this galaxy, and to all galaxies in view.

function smallTable(columns, rows) {
  return h("table", { class: "sf-table" },
    h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, ...rows.map(([name, ...cells]) => h("tr", {}, h("th", { scope: "row" }, name), ...cells.map((cell) => h("td", {}, cell))))));
}

function withoutTables(without, unit) {
  const of = unit ? ` [${unit}]` : "";
  const out = [];
  if (without.rows.length) {
    const refill = without.by ? `refill${of}, ${without.by} instead` : `refill${of}`;
    out.push(h("h3", { title: "Change of this prediction when one feature alone is off. Ablate leaves its place empty; refill gives the place to the first runner-up" }, "Without one feature, the others on"), smallTable(["this galaxy", `ablate${of}`, refill], without.rows));
  }
  if (without.all.length) out.push(h("h3", { title: "Change of RMSE and of the mean residual (bias) when this feature alone is off. Beside it, by chance: on the same galaxies one of the features kept is left out at random, this one or another (expected change)" }, without.where), smallTable(["all in view", `ΔRMSE${of}`, `Δbias${of}`], without.all));
  return out;
}
