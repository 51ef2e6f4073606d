// Run by Bokeh for each layer of a figure when the pointer moves over it: says on the document what is under it.
const { renderer, index, geometry } = cb_data;
const data = renderer.data_source.data;
let found = null;
if (renderer.visible && index.indices.length && data.id) {
  const across = x_range.end - x_range.start;
  const up = y_range.end - y_range.start;
  let [best, least] = [-1, Infinity];
  for (const i of index.indices) {
    const distance = ((data[x_name][i] - geometry.x) / across) ** 2 + ((data[y_name][i] - geometry.y) / up) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  if (best >= 0) found = { id: data.id[best], x: data[x_name][best], y: data[y_name][best], more: index.indices.length - 1 };
} else if (renderer.visible && index.image_indices.length && data.image) {
  const { i, j, flat_index } = index.image_indices[0];
  const image = data.image[0];
  const [rows, columns] = image.shape;
  const edges = (low, size, n, at) => [low + (at * size) / n, low + ((at + 1) * size) / n];
  const selected = chosen.visible ? chosen.data_source.data.image[0][flat_index] : null;
  if (image[flat_index] > 0) found = { count: image[flat_index], selected, x: edges(data.x[0], data.dw[0], columns, i), y: edges(data.y[0], data.dh[0], rows, j) };
}
document.dispatchEvent(new CustomEvent("sf-plot-hover", { detail: { key, number, found, xLabel: x_axis.axis_label, yLabel: y_axis.axis_label } }));
