/** The numbers of an index and of an answer. */

import { describeIndex, search } from "./api.js";
import { amount, bar, byId, element, grouped, milliseconds, pairs, row, say } from "./dom.js";
import { totalInWords } from "./hits.js";
import { requestOf } from "./settings.js";

/** How an answer came about: what was searched, and how long each stage took. */
export function answerFacts(answer, explained) {
  const { meta, took_ms: took, total, using } = answer;
  const plan = Object.entries(explained?.meta.plan ?? {}).map(([name, how]) => `${name}: ${how}`);
  const fusion = meta.fusion ? describe(meta.fusion) : "";
  const facts = pairs(
    [
      ["matches", totalInWords(total)],
      ["searched", amount(meta.documents, "document")],
      ["sources", using],
      ["fusion", fusion],
      ["ranking", meta.exact ? "certainly exact" : `approximate, gap ${meta.bound_gap.toFixed(3)}`],
      ["plan", plan.join(", ")],
      ["generation", String(meta.generation)],
      ["feedback", feedback(meta.feedback)],
      ["time", milliseconds(took)],
      ["kept", meta.cached ? "from an earlier search" : ""],
    ],
    "numbers",
  );
  // A kept answer went through no stage.
  return meta.cached ? [facts] : [facts, stageTable(meta.stages_ms)];
}

function stageTable(stages) {
  const times = Object.entries(stages);
  const longest = Math.max(...times.map(([, ms]) => ms), 0.001);
  const line = ([name, ms]) => row("td", name, bar(ms / longest, "source"), ms.toFixed(2));
  const table = element("table", { className: "terms scores columns-3" });
  table.append(element("caption", {}, "Stages, in milliseconds"));
  table.append(element("thead", {}, row("th", "stage", "", "ms")));
  table.append(element("tbody", {}, ...times.map(line)));
  return table;
}

/** A fusion as the server tells it, in a few words. */
function describe(fusion) {
  return Object.entries(fusion)
    .map(([name, settings]) => {
      const parts = Object.entries(settings).map(([key, value]) => `${key} ${spell(value)}`);
      return [name, ...parts].join(", ");
    })
    .join("; ");
}

function spell(value) {
  if (typeof value === "number") return String(Number(value.toPrecision(3)));
  if (value === null || typeof value !== "object") return String(value);
  const members = Object.entries(value).map(([key, each]) => `${key} ${spell(each)}`);
  return members.length ? `(${members.join(", ")})` : "(none)";
}

function feedback(fed = {}) {
  const fields = Object.entries(fed).map(([name, ids]) => `${name} by ${ids.join(", ")}`);
  return fields.join("; ");
}

/** The view of an index: what it holds, and where there is a query, what its answer cost. */
export async function show({ state, index, signal }) {
  const place = byId("statistics");
  try {
    const details = await describeIndex(index.name, signal);
    const parts = [summary(details), fieldTable(details.fields)];
    const notes = [];
    if (details.aliases.length) notes.push(`Also called ${details.aliases.join(", ")}.`);
    if (details.recall_probe) notes.push(recallInWords(details.recall_probe));
    parts.splice(1, 0, ...notes.map((note) => element("p", { className: "note" }, note)));
    if (details.metadata.length) parts.push(metadataTable(details.metadata));
    place.replaceChildren(...parts);
    place.append(...(await lastAnswer(state, index, signal)));
  } catch (error) {
    if (!signal.aborted) say(place, error.message, "error");
  }
}

function summary({ documents, fields, metadata }) {
  const number = (value, label) =>
    element("div", {}, element("dd", {}, grouped(value)), element("dt", {}, label));
  return element(
    "dl",
    { className: "figures" },
    number(documents, documents === 1 ? "document" : "documents"),
    number(fields.length, fields.length === 1 ? "field" : "fields"),
    number(metadata.length, metadata.length === 1 ? "metadata key" : "metadata keys"),
  );
}

/** What approximate searches found of the exact hits, as the server looks into by itself. */
function recallInWords({ recall, queries, since }) {
  const share = `${(100 * recall).toFixed(1)} %`;
  const searches = amount(queries, "search", "searches");
  return (
    `Approximate searches found ${share} of the exact hits: ` +
    `${searches} repeated exactly since ${since}.`
  );
}

function fieldTable(fields) {
  const queries = ({ inference_free: free }) => (free ? "no model" : "a model");
  const line = (field) =>
    row(
      "td",
      field.name,
      field.kind,
      field.encoder,
      grouped(field.size),
      queries(field),
      element("code", {}, field.fingerprint),
    );
  const head = row("th", "field", "kind", "encoder", "size", "queries need", "fingerprint");
  return wide("Fields", head, fields.map(line));
}

function metadataTable(metadata) {
  const kinds = (each) =>
    Object.entries(each)
      .map(([kind, count]) => amount(count, kind))
      .join(", ");
  const lines = metadata.map((each) => row("td", each.key, kinds(each.kinds)));
  return wide("Metadata", row("th", "key", "values"), lines);
}

function wide(title, head, lines) {
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines));
  const frame = element("div", { className: "wide", tabIndex: 0, role: "region" }, table);
  frame.setAttribute("aria-label", title);
  return element("section", {}, element("h2", {}, title), frame);
}

async function lastAnswer(state, index, signal) {
  const title = element("h2", {}, "An answer");
  if (!state.text) {
    const sentence = "Search for something to see what its answer took, stage by stage.";
    return [title, element("p", { className: "note" }, sentence)];
  }
  const asked = requestOf(state.before, index.fields);
  const body = { query: { text: state.text }, ...asked, explain: true };
  const answer = await search(index.name, signal, body);
  const query = element("p", { dir: "auto" }, `“${state.text}”`);
  return [title, query, ...answerFacts(answer, answer)];
}
