/** The address of the page holds all that is asked for, and every view starts from it. */

import { readSetting, writeSetting } from "./settings.js";

export const VIEWS = ["search", "compare", "judged", "index"];
const [CHOSEN, FROM, TO] = ["f.", "from.", "to."];

/**
 * What the address says: the view, the index, the text, two settings (`before`, `after`), and what
 * narrows and orders the hits.
 */
export function readAddress(search = location.search) {
  const address = new URLSearchParams(search);
  const view = address.get("view");
  const state = {
    view: VIEWS.includes(view) ? view : "search",
    index: address.get("index") ?? "",
    text: (address.get("q") ?? "").trim(),
    before: readSetting(address, ""),
    after: readSetting(address, "b."),
    sort: address.get("sort") ?? "",
    filter: address.get("filter") ?? "",
    chosen: new Map(),
    ranges: new Map(),
  };
  for (const [name, value] of address) {
    if (name.startsWith(CHOSEN)) {
      const key = name.slice(CHOSEN.length);
      state.chosen.set(key, [...(state.chosen.get(key) ?? []), readValue(value)]);
    }
    for (const [prefix, end] of [[FROM, "from"], [TO, "to"]]) {
      if (!name.startsWith(prefix) || !value) continue;
      const key = name.slice(prefix.length);
      state.ranges.set(key, { ...state.ranges.get(key), [end]: value });
    }
  }
  return state;
}

/** The address, from "?" on, that says this. */
export function addressOf(state) {
  const address = new URLSearchParams();
  if (state.view !== "search") address.set("view", state.view);
  const plain = [["index", state.index], ["q", state.text]];
  for (const [name, value] of plain) if (value) address.set(name, value);
  writeSetting(address, "", state.before);
  writeSetting(address, "b.", state.after);
  for (const [key, values] of state.chosen) {
    for (const value of values) address.append(CHOSEN + key, writeValue(value));
  }
  for (const [key, { from, to }] of state.ranges) {
    if (from) address.set(FROM + key, from);
    if (to) address.set(TO + key, to);
  }
  const last = [["filter", state.filter], ["sort", state.sort]];
  for (const [name, value] of last) if (value) address.set(name, value);
  return `?${address}`;
}

/** A value of metadata: a string stands in quotes where it looks like another kind. */
function writeValue(value) {
  const isPlain = typeof value !== "string" || readValue(value) === value;
  return isPlain ? String(value) : JSON.stringify(value);
}

function readValue(written) {
  if (!/^(true|false|".*"|-?\d+(\.\d+)?(e[+-]?\d+)?)$/s.test(written)) return written;
  try {
    return JSON.parse(written);
  } catch {
    return written;
  }
}
