// The keys of the explorer.

const KEYS = [
  ["ArrowRight", "→", "next galaxy in the gallery", () => step(".sf-galaxy", 1)],
  ["ArrowLeft", "←", "previous galaxy", () => step(".sf-galaxy", -1)],
  ["n", "n", "next page of the gallery", "[aria-label='Next page']"],
  ["p", "p", "previous page", "[aria-label='Previous page']"],
  ["ArrowDown", "↓", "next feature", () => step(".sf-row .sf-name", 1)],
  ["ArrowUp", "↑", "previous feature", () => step(".sf-row .sf-name", -1)],
  ["t", "t", "toggle the feature in focus", ".sf-row.sf-focus .sf-toggle"],
  ["a", "a", "all features on", "[data-action='all']"],
  ["x", "x", "no feature on", "[data-action='none']"],
  ["i", "i", "invert the switches", "[data-action='invert']"],
  ["r", "r", "ablate or refill", ".sf-modes [aria-checked='false']"],
  ["[", "[", "smaller k", () => slide(-1)],
  ["]", "]", "larger k", () => slide(1)],
  ["m", "m", "next contribution map", () => step(".sf-maps button", 1)],
  ["M", "M", "subtract the empty sky's map, or not", ".sf-sky input"],
  ["f", "f", "filter the galaxies", ".sf-filter"],
  ["/", "/", "find a galaxy", ".sf-gallery input[type=search]"],
  ["l", "l", "label the feature in focus", () => editNotes("features")],
  ["L", "L", "label the galaxy in focus", () => editNotes("galaxies")],
  ["S", "S", "star of the feature in focus", () => document.querySelector(".sf-notes [data-action='star-features']")?.click()],
  ["s", "s", "star of the galaxy in focus", () => document.querySelector(".sf-notes [data-action='star-galaxies']")?.click()],
  ["c", "c", "clear the selection", "[data-action='clear-selection']"],
  ["e", "e", "save a figure", "[data-action='figures']"],
  ...SHARED_KEYS,
];

function slide(by) {
  const slider = document.querySelector(".sf-gate input[type=range]");
  if (!slider) return;
  slider.value = Number(slider.value) + by;
  slider.dispatchEvent(new Event("input"));
}
