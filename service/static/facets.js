/** What narrows hits: values of metadata with their counts, and ranges; and their order. */

import { countFacets, describeIndex, search } from "./api.js";
import { byId, element, grouped, option } from "./dom.js";
import { filterOf, narrowings, ranged, toggled, unfiltered } from "./filters.js";

const MOST_KEYS = 64;
const MOST_FACETS = 12;
const VALUES = 6;
const MORE_VALUES = 50;
const FEW = 12;
const SORT_KINDS = ["number", "date", "boolean", "string"];

/** The metadata of an index of which nothing is known yet. */
export const UNKNOWN = { kinds: new Map(), facets: [], ranges: [], sorts: [] };

const known = new Map();
// Facets that show more of their values.
const long = new Set();

/**
 * What the metadata of an index are good for: `kinds` by key, the keys of `facets`, of `ranges`
 * and of `sorts`. It is asked for once.
 */
export function metadataOf(index, signal) {
  const name = `${index.name} ${index.documents}`;
  if (!known.has(name)) {
    const asked = look(index.name, signal);
    asked.catch(() => known.delete(name));
    known.set(name, asked);
  }
  return known.get(name);
}

async function look(name, signal) {
  const { metadata } = await describeIndex(name, signal);
  const kinds = new Map(metadata.map(({ key, kinds }) => [key, kindOf(kinds)]));
  const keys = [...kinds].filter(([, kind]) => SORT_KINDS.includes(kind)).map(([key]) => key);
  const asked = keys.filter((key) => kinds.get(key) !== "date").slice(0, MOST_KEYS);
  const counts = new Map();
  if (asked.length) {
    const body = { facets: asked.map((key) => ({ key, limit: 1 })) };
    // Without counts there are no facets, and everything else.
    const answer = await countFacets(name, signal, body).catch((error) => {
      if (signal.aborted) throw error;
      return { facets: [] };
    });
    for (const facet of answer.facets) counts.set(facet.key, facet);
  }
  const isFacet = (key) => {
    const { distinct = 0, having = 0 } = counts.get(key) ?? {};
    const most = kinds.get(key) === "number" ? FEW : Math.max(FEW, having / 3);
    return distinct > 1 && distinct < having && distinct <= most;
  };
  const facets = asked.filter(isFacet).slice(0, MOST_FACETS);
  const isRange = (key) => ["number", "date"].includes(kinds.get(key)) && !facets.includes(key);
  const ordered = (key) => ["number", "date"].includes(kinds.get(key)) || facets.includes(key);
  return {
    kinds,
    facets,
    ranges: keys.filter(isRange).slice(0, MOST_FACETS),
    sorts: keys.filter(ordered),
  };
}

/** The most frequent kind of a key's values. */
function kindOf(kinds) {
  const [first] = Object.entries(kinds).sort(([, a], [, b]) => b - a);
  return first?.[0] ?? "";
}

/** The part of a request that narrows, orders and counts hits. */
export function narrowing(state, { kinds, facets }) {
  const filter = filterOf(state, kinds);
  const body = {};
  if (filter) body.filter = filter;
  if (state.sort) body.sort = [sortOf(state.sort)];
  if (facets.length) body.facets = facets.map(asked);
  return body;
}

const sortOf = (written) =>
  written.endsWith(":desc")
    ? { key: written.slice(0, -":desc".length), order: "desc" }
    : { key: written, order: "asc" };

const asked = (key) => ({ key, limit: long.has(key) ? MORE_VALUES : VALUES, over: "matching" });

/**
 * The facets of an answer; of a key that hits are narrowed by, all values, counted as if they were
 * not, so that others can be chosen too.
 */
export async function facetsOf(ranking, name, state, { kinds }, answer) {
  const facets = new Map((answer.facets ?? []).map((facet) => [facet.key, facet]));
  const chosen = [...state.chosen.keys()].filter((key) => facets.has(key));
  const counted = await Promise.all(
    chosen.map((key) => {
      const { filter, ...rest } = ranking.request;
      const others = filterOf(state, kinds, key);
      const wishes = { limit: 1, with_payload: false, highlight: false, facets: [asked(key)] };
      const body = { ...rest, ...(others ? { filter: others } : {}), ...wishes };
      return search(name, ranking.signal, body).catch(() => null);
    }),
  );
  for (const found of counted) {
    for (const facet of found?.facets ?? []) facets.set(facet.key, facet);
  }
  return [...facets.values()];
}

/** Fills the column beside the hits. */
export function showFacets(state, metadata, facets, go) {
  const place = byId("facets");
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const groups = facets
    .filter((facet) => facet.values.length || state.chosen.has(facet.key))
    .map((facet) => facetGroup(state, facet, go));
  const ranges = metadata.ranges.map((key) => rangeGroup(state, key, metadata.kinds.get(key), go));
  place.replaceChildren(...groups, ...ranges);
  if (focused) byId(focused)?.focus();
  byId("narrow").hidden = false;
}

function facetGroup(state, { key, values, distinct }, go) {
  const chosen = state.chosen.get(key) ?? [];
  const found = new Set(values.map(({ value }) => value));
  const gone = chosen.filter((value) => !found.has(value)).map((value) => ({ value, count: 0 }));
  const group = element("fieldset", { className: "facet" }, element("legend", {}, key));
  [...values, ...gone].forEach(({ value, count }, place) => {
    const id = `facet-${key}-${place}`;
    const input = element("input", { type: "checkbox", id, checked: chosen.includes(value) });
    input.addEventListener("change", () => go(toggled(state, key, value)));
    const name = element("bdi", { className: "value" }, String(value));
    const number = element("span", { className: "count" }, grouped(count));
    group.append(element("label", {}, input, name, number));
  });
  if (distinct > values.length && !long.has(key)) {
    const more = element("button", { type: "button", className: "quiet" }, "More values");
    more.setAttribute("aria-label", `More values of ${key}`);
    more.addEventListener("click", () => {
      long.add(key);
      go(state, { again: true });
    });
    group.append(more);
  }
  return group;
}

function rangeGroup(state, key, kind, go) {
  const range = state.ranges.get(key) ?? {};
  const group = element("fieldset", { className: "facet range" }, element("legend", {}, key));
  const ends = ["from", "to"].map((end) => {
    const input = element("input", {
      id: `range-${key}-${end}`,
      type: kind === "date" ? "date" : "number",
      value: range[end] ?? "",
      "aria-label": `${key} ${end}`,
    });
    if (kind === "number") input.step = "any";
    return input;
  });
  const [from, to] = ends;
  const change = () => go(ranged(state, key, from.value, to.value));
  for (const input of ends) input.addEventListener("change", change);
  group.append(element("div", {}, from, element("span", {}, "–"), to));
  return group;
}

/** What narrows the hits, each with a button that takes it away. */
export function showNarrowings(place, state, go) {
  const chips = narrowings(state).map(([label, without]) => {
    const name = element("bdi", {}, label);
    const chip = element("button", { type: "button", className: "chip" }, name);
    chip.append(element("span", { "aria-hidden": "true" }, "×"));
    chip.setAttribute("aria-label", `Remove the filter ${label}`);
    chip.addEventListener("click", () => go(without));
    return chip;
  });
  if (chips.length > 1) {
    const all = element("button", { type: "button", className: "quiet" }, "Remove all");
    all.addEventListener("click", () => go(unfiltered(state)));
    chips.push(all);
  }
  place.replaceChildren(...chips);
}

/** Offers what hits can be ordered by. */
export function showSorts(select, state, { sorts, kinds }) {
  const ways = { number: ["lowest", "highest"], date: ["oldest", "newest"] };
  const options = [option("", "best match", state.sort)];
  for (const key of sorts) {
    const [up, down] = ways[kinds.get(key)] ?? ["ascending", "descending"];
    options.push(option(`${key}:desc`, `${key}, ${down} first`, state.sort));
    options.push(option(key, `${key}, ${up} first`, state.sort));
  }
  if (state.sort && !options.some(({ value }) => value === state.sort)) {
    options.push(option(state.sort, state.sort, state.sort));
  }
  select.replaceChildren(...options);
  select.closest("label").hidden = options.length < 2;
}
