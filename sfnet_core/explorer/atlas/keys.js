// The keys of the atlas.

const KEYS = [
  ["ArrowRight", "→", "next feature", "[data-action='after']"],
  ["ArrowLeft", "←", "previous feature", "[data-action='before']"],
  ["Escape", "Esc", "back to all features", "[data-action='back']"],
  ...(SAVED ? [] : [["g", "g", "draw other random galaxies", "[data-action='again']"]]),
  ["M", "M", "subtract the empty sky's map, or not", ".sf-sky input"],
  ["1", "1", "cards", "[data-view='cards']"],
  ["2", "2", "table of ρ and weight", "[data-view='signs']"],
  ["3", "3", "correlations of features", "[data-view='matrix']"],
  ...(SAVED ? [["4", "4", "about this page", "[data-view='about']"]] : []),
  ["/", "/", "find a feature", ".sf-overview input"],
  ...(SAVED ? [] : [["l", "l", "label the feature", ".sf-note-strip .sf-note-label"], ["S", "S", "star of the feature", ".sf-note-strip [data-action='star-features']"]]),
  ...SHARED_KEYS,
];
