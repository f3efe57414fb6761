/** Why a hit is one: its scores by source, and the terms that carried them. */

import { amount, bar, digits, element, row } from "./dom.js";

const TERMS_SHOWN = 12;
const WORD = "word:";
const GROUPS = {
  words: "Words of the query",
  document: "Words of the query that the document has by its encoder alone",
  added: "Added to the query",
};

/** The scores of a hit drawn, and for each sparse field the terms that carried its score. */
export async function explainHit({ ranking, offset, best, fields }, hit) {
  const answer = await ranking.explain(offset);
  const terms = answer.hits.find(({ id }) => id === hit.id)?.terms;
  if (!terms) throw new Error("The index has changed since this search; search again.");
  const scores = Object.entries(hit.scores);
  const parts = scores.length > 1 ? [scoreTable(scores, best)] : [];
  for (const [field, list] of Object.entries(terms)) {
    const several = Object.keys(terms).length > 1 || scores.length > 1;
    // A field of counts has nothing that isn't written, but its terms are stems.
    const counted = fields.find(({ name }) => name === field)?.encoder.startsWith("bm25");
    const text = counted ? "" : searched(hit);
    const shown = { caption: several ? field : "", words: answer.query_words?.[field], text };
    parts.push(list.length ? matchTable(list, shown) : none(field, "no terms in common"));
  }
  const dense = fields.filter(({ name, kind }) => kind === "dense" && name in hit.scores);
  for (const { name } of dense) {
    const sentence = `${name}: ${digits(hit.scores[name])}, the similarity of two vectors.`;
    parts.push(element("p", { className: "note" }, sentence));
  }
  return parts;
}

/** The terms of the query, as each sparse field has them. */
export async function explainQuery({ ranking, offset }) {
  const { query_terms, query_words } = await ranking.explain(offset);
  const fields = Object.entries(query_terms);
  return fields.map(([field, list]) => {
    if (!list.length) return none(field, "no known terms");
    const largest = Math.max(...list.map(({ weight }) => weight));
    return termTable(list, {
      caption: fields.length > 1 ? field : "",
      words: query_words?.[field],
      columns: ["term", "", "weight"],
      cells: (term) => [bar(term.weight / largest), term.weight.toFixed(3)],
    });
  });
}

function scoreTable(scores, best) {
  const head = element("thead", {}, row("th", "source", "", "score"));
  const line = ([name, score]) =>
    row("td", name, bar(score / (best[name] || score), "source"), digits(score));
  const body = element("tbody", {}, ...scores.map(line));
  const caption = element("caption", {}, "Scores, beside the best on this page");
  return element("table", { className: "terms scores columns-3" }, caption, head, body);
}

/** The terms of a hit with their products, and the sum of these. */
function matchTable(list, shown) {
  const largest = Math.max(...list.map(({ contribution }) => contribution));
  const sum = list.reduce((total, { contribution }) => total + contribution, 0);
  return termTable(list, {
    ...shown,
    columns: ["term", "", part("th", "query"), part("th", "× document"), "= part"],
    cells: (term) => [
      bar(term.contribution / largest),
      part("td", term.query_weight.toFixed(2)),
      part("td", term.document_weight.toFixed(2)),
      term.contribution.toFixed(3),
    ],
    isAdded: ({ token }) => isUnwritten(token, shown.text),
    foot: element(
      "tfoot",
      {},
      row("td", "sum", "", part("td", ""), part("td", ""), sum.toFixed(3)),
    ),
  });
}

/** A factor of a product, which a narrow screen has no room for. */
const part = (tag, text) => element(tag, { className: "part" }, text);

/** A table of terms: those of the words of the query first, and apart from them expansions. */
function termTable(list, { caption, words, columns, cells, isAdded = () => false, foot }) {
  const sources = wordsOf(words);
  const groups = { words: [], document: [], added: [] };
  for (const term of list) {
    if (words && !sources.has(term.token)) groups.added.push(term);
    else groups[isAdded(term) ? "document" : "words"].push(term);
  }
  const table = element("table", { className: `terms columns-${columns.length}` });
  if (caption) table.append(element("caption", {}, caption));
  table.append(element("thead", {}, row("th", ...columns)));
  const hidden = [];
  for (const [name, terms] of Object.entries(groups)) {
    if (!terms.length) continue;
    const body = element("tbody", { className: name });
    if (words || name === "document") {
      const title = element("th", { colSpan: columns.length, scope: "rowgroup" }, GROUPS[name]);
      body.append(element("tr", { className: "group" }, title));
    }
    terms.forEach((term, place) => {
      const line = row("td", termName(term.token, sources.get(term.token)), ...cells(term));
      line.hidden = place >= TERMS_SHOWN;
      if (line.hidden) hidden.push(line);
      body.append(line);
    });
    table.append(body);
  }
  if (foot) table.append(foot);
  const all = element("button", { type: "button", className: "quiet" });
  all.textContent = `Show ${amount(hidden.length, "more term")}`;
  all.addEventListener("click", () => {
    for (const line of hidden) line.hidden = false;
    all.remove();
  });
  return element("div", {}, table, ...(hidden.length ? [all] : []));
}

/** By token the words of the query that have it, as they are written. */
function wordsOf(words = []) {
  const found = new Map();
  for (const { word, tokens } of words) {
    for (const token of tokens) found.set(token, [...(found.get(token) ?? []), word]);
  }
  return found;
}

/** A term, spelled for people, with the words that it is a piece of. */
function termName(token, words = []) {
  const [shown, kind] = piece(token);
  const others = words.filter((word) => word.toLowerCase() !== shown.toLowerCase());
  const parts = [element("bdi", { className: "token", title: token }, shown)];
  if (kind) parts.push(element("span", { className: "tag" }, kind));
  if (others.length) parts.push(element("span", { className: "of" }, `of ${others.join(", ")}`));
  return element("span", { className: "term" }, ...parts);
}

/** A token as people write it, and what it is: "##ing" continues a word, "word:page" is one. */
function piece(token) {
  const isWord = token.startsWith(WORD) && token.length > WORD.length;
  if (isWord) return [token.slice(WORD.length), "word"];
  if (/^##./u.test(token)) return [`-${token.slice(2)}`, ""];
  if (/^[\u2581\u0120]./u.test(token)) return [token.slice(1), ""];
  return [token, ""];
}

/** What of a hit is known to be written: its title, headings and text. */
function searched({ payload, passage }) {
  return plain([payload?.title, passage?.heading, payload?.text].filter(Boolean).join(" "));
}

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Whether a document has a piece of a word by its encoder alone. Of words, counts are stored. */
function isUnwritten(token, text) {
  const spelled = token.replace(/^(##|[\u2581\u0120])/u, "");
  return Boolean(text) && /^[a-z0-9]+$/i.test(spelled) && !text.includes(spelled.toLowerCase());
}

const none = (field, why) => element("p", { className: "note" }, `${field}: ${why}.`);
