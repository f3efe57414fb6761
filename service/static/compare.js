/** The view of two settings side by side: both rankings of one query, and what moved. */

import { byId, element, milliseconds, say } from "./dom.js";
import { metadataOf, narrowing, UNKNOWN } from "./facets.js";
import { bestScores, hitItem, totalInWords } from "./hits.js";
import { PAGE, rankingOf } from "./ranking.js";
import { requestOf } from "./settings.js";

// Ranks are compared this deep.
const DEPTH = 5 * PAGE;
const SIDES = ["before", "after"];

const summary = byId("moved");

export function start() {
  const both = byId("both");
  const twins = ({ target, type }) => {
    const id = target.closest?.(".hit")?.dataset.id;
    const isOver = type === "mouseover" || type === "focusin";
    for (const hit of both.querySelectorAll(".hit")) {
      hit.classList.toggle("twin", isOver && hit.dataset.id === id);
    }
  };
  for (const type of ["mouseover", "mouseout", "focusin", "focusout"]) {
    both.addEventListener(type, twins);
  }
}

/** Searches by both settings, and shows them in two columns. */
export async function show({ state, index, signal }) {
  if (!state.text) {
    clear();
    return say(summary, "Type a query to see what each setting finds.");
  }
  byId("both").setAttribute("aria-busy", "true");
  try {
    // A range of dates is another filter than one of numbers.
    const { kinds } = state.ranges.size ? await metadataOf(index, signal) : UNKNOWN;
    const metadata = { ...UNKNOWN, kinds };
    const asked = SIDES.map((side) => {
      const setting = requestOf(state[side], index.fields);
      const request = { query: { text: state.text }, ...setting, ...narrowing(state, metadata) };
      const ranking = rankingOf(index.name, request, signal);
      return twice(ranking);
    });
    const found = await Promise.all(asked);
    clear();
    const ranks = found.map(({ deep }) => new Map(deep.hits.map(({ id }, at) => [id, at + 1])));
    found.forEach((each, number) => showSide(SIDES[number], each, ranks, number, index));
    say(summary, inTotal(ranks));
  } catch (error) {
    if (signal.aborted) return;
    clear();
    say(summary, error.message, "error");
  } finally {
    if (!signal.aborted) byId("both").setAttribute("aria-busy", "false");
  }
}

/** The first page as it is shown, and without documents as deep as ranks are compared. */
async function twice(ranking) {
  const bare = { limit: DEPTH, with_payload: false, highlight: false };
  const [answer, deep] = await Promise.all([ranking.page(0, {}), ranking.page(0, bare)]);
  return { ranking, answer, deep };
}

function showSide(side, { ranking, answer }, ranks, number, index) {
  const { hits, took_ms: took, total } = answer;
  say(byId(`${side}-status`), `${totalInWords(total)} · ${milliseconds(took)}`);
  const about = { ranking, offset: 0, best: bestScores(hits), fields: index.fields, facts: 0 };
  const other = ranks[1 - number];
  const items = hits.map((hit, place) => {
    const badge = number ? moved(place + 1, other.get(hit.id)) : left(place + 1, other.get(hit.id));
    return hitItem(about, hit, badge);
  });
  byId(`${side}-hits`).replaceChildren(...items);
}

/** What a hit of the second ranking has done: where it was in the first. */
function moved(rank, before) {
  if (before === undefined) return badge("new", "new", "not there before");
  if (before === rank) return badge("same", "=", "same rank before");
  const up = before > rank;
  const by = Math.abs(before - rank);
  return badge(up ? "up" : "down", `${up ? "▲" : "▼"} ${by}`, `rank ${before} before`);
}

/** Where a hit of the first ranking is in the second. */
function left(rank, after) {
  if (after === undefined) return badge("gone", "gone", "not there after");
  return after === rank
    ? badge("same", "=", "same rank after")
    : badge("same", `→ ${after}`, `rank ${after} after`);
}

function badge(kind, sign, words) {
  const made = element("span", { className: `badge ${kind}`, title: words });
  made.append(element("span", { "aria-hidden": "true" }, sign));
  made.append(element("span", { className: "unseen" }, words));
  return made;
}

function inTotal([before, after]) {
  const first = ([, rank]) => rank <= PAGE;
  const shown = [...after].filter(first);
  const kept = shown.filter(([id]) => before.get(id) <= PAGE).length;
  const same = shown.filter(([id, rank]) => before.get(id) === rank).length;
  if (!shown.length) return "Nothing was found after the change.";
  const earlier = `${kept} were among the first ${PAGE} before, ${same} of them at the same rank`;
  return `Of the first ${shown.length} after, ${earlier}.`;
}

function clear() {
  summary.classList.remove("error");
  for (const name of SIDES.flatMap((side) => [`${side}-status`, `${side}-hits`])) {
    byId(name).replaceChildren();
  }
}
