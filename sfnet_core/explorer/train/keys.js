// The keys of the training page.

const KEYS = [
  ["s", "s", "start the training", "[data-action='start']"],
  ["x", "x", "stop it", "[data-action='stop']"],
  ["r", "r", "resume it", "[data-action='resume']"],
  ["e", "e", "save a figure", "[data-action='figures']"],
  ...SHARED_KEYS.filter(([key]) => key === "y" || key === "d"),
];
