/** One hit: title, place, excerpt, facts, and on demand why it is one and its full text. */

import { amount, digits, disclosure, element, pairs } from "./dom.js";
import { explainHit } from "./explain.js";
import { excerpt, withoutMarkup } from "./markup.js";

const METADATA_SHOWN = 4;
const LONGEST_VALUE = 44;

/**
 * A hit as a list item.
 *
 * `about` has the `ranking` and the `offset` of the hit's page, the `best` score of each source on
 * it, the `fields` of the index, and how many `facts` of its metadata are shown. A `badge` is put
 * before the title.
 */
export function hitItem(about, hit, badge) {
  const { title, text = "", metadata = {} } = hit.payload ?? {};
  const item = element("li", { tabIndex: -1, className: "hit" });
  item.dataset.id = hit.id;
  const name = title && withoutMarkup(title) ? marked(hit, "title") : [hit.id];
  const href = linkOf(metadata.url, hit.passage);
  const heading = element("h3", { dir: "auto" }, ...(href ? [link(href, ...name)] : name));
  item.append(...(badge ? [badge] : []), heading);
  const where = placeOf(hit.passage);
  if (where) item.append(element("p", { className: "where", dir: "auto" }, where));
  if (text) {
    item.append(element("p", { className: "snippet", dir: "auto" }, ...marked(hit, "text")));
  }
  item.append(facts(hit, title, metadata, about));
  const details = element("div", { className: "details" });
  details.append(disclosure("Why this result", () => explainHit(about, hit)));
  if (text.length > highlightOf(hit, "text").snippet.length) {
    const whole = () => [element("p", { className: "whole", dir: "auto" }, withoutMarkup(text))];
    details.append(disclosure("Full text", whole));
  }
  item.append(details);
  return item;
}

function highlightOf({ highlights = [], payload }, field) {
  return highlights.find((one) => one.field === field) ?? { snippet: payload[field], spans: [] };
}

/** The excerpt of a field with the words that match in <mark>, and without markup. */
function marked(hit, field) {
  const whole = hit.payload[field];
  const { snippet, spans } = highlightOf(hit, field);
  const nodes = excerpt(whole, snippet, spans).map(([text, isMarked]) =>
    isMarked ? element("mark", {}, text) : text,
  );
  const before = whole.startsWith(snippet) ? "" : "…\u00a0";
  return [before, ...nodes, whole.endsWith(snippet) ? "" : "\u00a0…"];
}

/** Where in a document that is split the passage is. */
function placeOf(passage) {
  if (!passage) return "";
  const { heading, page, number, count } = passage;
  const parts = [heading && withoutMarkup(heading), page && `page ${page}`];
  return [...parts, `passage ${number} of ${count}`].filter(Boolean).join(" · ");
}

/** A web address of metadata; of a PDF, that of the page. Null for what is no web address. */
function linkOf(value, passage) {
  if (typeof value !== "string" || !/^https?:\/\//i.test(value.trim())) return null;
  try {
    const address = new URL(value.trim());
    const isPdf = address.pathname.toLowerCase().endsWith(".pdf");
    if (passage?.page && isPdf && !address.hash) address.hash = `page=${passage.page}`;
    return address.href;
  } catch {
    return null;
  }
}

const link = (href, ...name) => element("a", { href, rel: "noopener noreferrer" }, ...name);

function facts({ id, score, scores }, title, metadata, { best, facts: count = METADATA_SHOWN }) {
  const sources = Object.keys(scores).length > 1 ? Object.entries(scores) : [];
  const known = Object.entries(metadata).map(([name, value]) => [name, brief(value)]);
  const shown = known.filter(([name, value]) => value && (name !== "url" || !linkOf(metadata.url)));
  return pairs(
    [
      ["id", title && element("code", {}, id)],
      ["score", digits(score)],
      ...sources.map(([name, value]) => [name, name in best ? digits(value) : ""]),
      ...shown.slice(0, count),
    ],
    "facts",
  );
}

/** A metadata value in a few characters, as a link where it is a web address; "" for objects. */
function brief(value) {
  if (Array.isArray(value)) return brief(value.filter((one) => typeof one !== "object").join(", "));
  if (value === null || typeof value === "object") return "";
  const text = String(value).trim();
  const href = linkOf(text);
  const points = Array.from(href ? text.replace(/^https?:\/\//i, "") : text);
  const rest = points.length > LONGEST_VALUE ? "…" : "";
  const shown = points.slice(0, LONGEST_VALUE).join("") + rest;
  return href ? link(href, shown) : shown && element("bdi", {}, shown);
}

/** The highest score of each source among hits. */
export function bestScores(hits) {
  const best = {};
  for (const { scores } of hits) {
    for (const [name, score] of Object.entries(scores)) {
      best[name] = Math.max(best[name] ?? -Infinity, score);
    }
  }
  return best;
}

/** How many documents match, in words. */
export function totalInWords({ value, relation }) {
  const count = amount(value, "result");
  return relation === "eq" ? count : `at least ${count}`;
}
