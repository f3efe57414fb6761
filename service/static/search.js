/** The view of one search: hits, and what narrows them. */

import { byId, disclosure, element, milliseconds, say } from "./dom.js";
import { explainQuery } from "./explain.js";
import {
  facetsOf,
  metadataOf,
  narrowing,
  showFacets,
  showNarrowings,
  showSorts,
  UNKNOWN,
} from "./facets.js";
import { bestScores, hitItem, totalInWords } from "./hits.js";
import { introduction } from "./introduction.js";
import { rankingOf } from "./ranking.js";
import { requestOf } from "./settings.js";
import { answerFacts } from "./statistics.js";

const SLOW = 250;

const parts = ["status", "about", "warnings", "intro", "hits", "more-status", "narrowings"];
const [status, about, warnings, intro, hitList, moreStatus, chips] = parts.map(byId);
const more = byId("more");

let next = () => {};

export function start() {
  more.addEventListener("click", () => next());
}

/** Searches as the state says, and shows the first page of hits. */
export async function show({ state, index, signal, go }) {
  if (!state.text) {
    clear();
    byId("narrow").hidden = true;
    return intro.append(...introduction(index, state));
  }
  hitList.setAttribute("aria-busy", "true");
  const slow = setTimeout(() => say(status, "Searching…"), SLOW);
  try {
    const metadata = await knownSoon(index, state, signal, go);
    showNarrowings(chips, state, go);
    showSorts(byId("sort"), state, metadata);
    byId("filter").value = state.filter;
    const asked = requestOf(state.before, index.fields);
    const request = { query: { text: state.text }, ...asked, ...narrowing(state, metadata) };
    const ranking = rankingOf(index.name, request, signal);
    const answer = await ranking.page(0, {});
    clearTimeout(slow);
    showFirst(ranking, answer, index);
    const facets = await facetsOf(ranking, index.name, state, metadata, answer);
    if (!signal.aborted) showFacets(state, metadata, facets, go);
  } catch (error) {
    if (signal.aborted) return;
    clear();
    say(status, error.message, "error");
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) hitList.setAttribute("aria-busy", "false");
  }
}

/**
 * The metadata of an index, or where they take long, none for now: then the search is made again
 * with its facets once they are known. A range has to wait, for its filter hangs on their kinds.
 */
async function knownSoon(index, state, signal, go) {
  const asked = metadataOf(index, signal);
  if (state.ranges.size) return asked;
  const late = new Promise((resolve) => setTimeout(resolve, SLOW, UNKNOWN));
  const metadata = await Promise.race([asked, late]);
  const again = () => !signal.aborted && go(state, { again: true });
  // What goes wrong with them leaves a page without facets.
  if (metadata === UNKNOWN) asked.then(again, () => {});
  return metadata;
}

function showFirst(ranking, answer, index) {
  clear();
  const kind = answer.meta.exact ? "exact" : "approximate";
  const words = [totalInWords(answer.total), milliseconds(answer.took_ms), answer.using, kind];
  say(status, words.join(" · "));
  const first = { ranking, offset: 0, fields: index.fields };
  if (index.fields.some(({ kind }) => kind === "sparse")) {
    about.append(disclosure("Query terms", () => explainQuery(first)));
  }
  const facts = async () => answerFacts(answer, await ranking.explain(0));
  about.append(disclosure("About this answer", facts));
  const sentences = [...(answer.warnings ?? []), ...unknown(answer.meta)];
  warnings.append(...sentences.map((sentence) => element("p", {}, sentence)));
  if (!answer.hits.length) {
    const sentence = "Nothing was found. Try other words, or fewer, or fewer filters.";
    intro.append(element("p", {}, sentence));
  }
  addHits(ranking, answer, 0, index);
}

/** What of a query no document has. */
function unknown({ unknown_words: words = [], rewritten }) {
  const sentences = rewritten?.notes ?? [];
  return words.length ? [...sentences, `Written in no document: ${words.join(", ")}.`] : sentences;
}

function addHits(ranking, answer, offset, index) {
  const about = { ranking, offset, best: bestScores(answer.hits), fields: index.fields };
  const items = answer.hits.map((hit) => hitItem(about, hit));
  hitList.append(...items);
  more.hidden = !answer.cursor;
  next = () => showMore(ranking, offset + answer.hits.length, index);
  return items;
}

async function showMore(ranking, offset, index) {
  next = () => {};
  say(moreStatus, "Searching…");
  try {
    const answer = await ranking.page(offset, { facets: [] });
    if (ranking.signal.aborted) return;
    say(moreStatus, "");
    const items = addHits(ranking, answer, offset, index);
    (items[0] ?? hitList.lastElementChild).focus({ preventScroll: true });
  } catch (error) {
    if (ranking.signal.aborted) return;
    say(moreStatus, error.message, "error");
    next = () => showMore(ranking, offset, index);
  }
}

function clear() {
  for (const part of [status, about, warnings, intro, hitList, moreStatus]) {
    part.replaceChildren();
    part.classList.remove("error");
  }
  more.hidden = true;
  next = () => {};
}
