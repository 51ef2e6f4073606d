// The keys of the page about a galaxy of the visitor's own.

const KEYS = [
  ["o", "o", "choose an image", ".sf-file"],
  ["/", "/", "type an identifier or a path", ".sf-what"],
  ["m", "m", "next contribution map", ".sf-maps [aria-pressed='true'] + button"],
  ["M", "M", "subtract the empty sky's map, or not", ".sf-sky input"],
  ["n", "n", "open the nearest galaxy", ".sf-near .sf-galaxy"],
  ["e", "e", "save a figure", "[data-action='figures']"],
  ...SHARED_KEYS,
];
