/** What narrows hits, as the text form of filters has it. */

const DAY = 24 * 60 * 60 * 1000;

/** The filter of a state, leaving one key's chosen values out where it is named; "" if none. */
export function filterOf({ chosen, ranges, filter }, kinds, without) {
  const parts = filter.trim() ? [`(${filter})`] : [];
  for (const [key, values] of chosen) {
    if (key !== without) parts.push(`${quoted(key)} in (${values.map(spelled).join(", ")})`);
  }
  for (const [key, { from, to }] of ranges) {
    const isDate = kinds.get(key) === "date";
    if (from) parts.push(`${quoted(key)} >= ${bound(from, isDate)}`);
    if (to && isDate) parts.push(`${quoted(key)} < ${quoted(dayAfter(to))}`);
    if (to && !isDate) parts.push(`${quoted(key)} <= ${bound(to, false)}`);
  }
  return parts.join(" and ");
}

/** The state with a value of a key chosen, or no longer chosen. */
export function toggled(state, key, value) {
  const before = state.chosen.get(key) ?? [];
  const values = before.includes(value)
    ? before.filter((each) => each !== value)
    : [...before, value];
  const chosen = new Map(state.chosen);
  if (values.length) chosen.set(key, values);
  else chosen.delete(key);
  return { ...state, chosen };
}

/** The state with a range of a key, whose ends may be "". */
export function ranged(state, key, from, to) {
  const ranges = new Map(state.ranges);
  if (from || to) ranges.set(key, { from, to });
  else ranges.delete(key);
  return { ...state, ranges };
}

export const unfiltered = (state) => ({
  ...state,
  chosen: new Map(),
  ranges: new Map(),
  filter: "",
});

/** What narrows the hits of a state, each as a label and the state without it. */
export function narrowings(state) {
  const found = [];
  for (const [key, values] of state.chosen) {
    for (const value of values) found.push([`${key}: ${value}`, toggled(state, key, value)]);
  }
  for (const [key, { from, to }] of state.ranges) {
    const label = from && to ? `${from} – ${to}` : from ? `from ${from}` : `up to ${to}`;
    found.push([`${key}: ${label}`, ranged(state, key, "", "")]);
  }
  if (state.filter.trim()) found.push([state.filter, { ...state, filter: "" }]);
  return found;
}

const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
const spelled = (value) => (typeof value === "string" ? quoted(value) : String(value));

function bound(written, isDate) {
  return isDate || !Number.isFinite(Number(written)) ? quoted(written) : String(Number(written));
}

/** The day behind one, so that all hours of the last day of a range are in it. */
function dayAfter(day) {
  const next = new Date(Date.parse(day) + DAY);
  return Number.isNaN(next.getTime()) ? day : next.toISOString().slice(0, 10);
}
