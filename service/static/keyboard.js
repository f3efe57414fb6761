/** What the footer promises: the keyboard alone reaches everything, wherever the focus is. */

import { byId } from "./dom.js";

const STEPS = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 };
const WRITES = "input:not([type=checkbox], [type=file]), textarea, select, [contenteditable]";

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (act(event.key, event.target)) event.preventDefault();
  });
}

/** Does what a key is for; false where it is for the browser. */
function act(key, target) {
  const box = byId("q");
  const writes = target.matches(WRITES);
  if (key === "/" && !writes) return goTo(box);
  if (key in STEPS) return step(STEPS[key], key, target, writes);
  const hit = target.closest(".hit");
  if (key === "Escape" && hit) return goTo(box);
  if (target !== hit || !hit) return false;
  if (key === "Enter") return click(hit.querySelector("summary"));
  if (key === "o") return click(hit.querySelector("h3 a"));
  return false;
}

/** From hit to hit, from the box to the first one and back; arrows scroll elsewhere. */
function step(by, key, target, writes) {
  const box = byId("q");
  const isLetter = key === "j" || key === "k";
  const stops = [box, ...document.querySelectorAll(".hit"), byId("more")].filter(isShown);
  const place = stops.findIndex((stop) => stop.contains(target));
  if (writes && (target !== box || isLetter)) return false;
  if (place < 0 && target !== document.body && !target.matches("#main, a, button")) return false;
  const goal = place < 0 ? stops[by > 0 ? 1 : 0] : stops[place + by];
  return goal ? goTo(goal) : false;
}

const isShown = (stop) => stop.checkVisibility();

function goTo(goal) {
  goal.focus();
  if (goal.id === "q") goal.select();
  return true;
}

function click(goal) {
  goal?.click();
  return Boolean(goal);
}
