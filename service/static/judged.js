/** The judged view: nDCG@10 of queries with judgements, before a change of settings and after. */

import { addressOf } from "./address.js";
import { searchPatiently } from "./api.js";
import { amount, bar, byId, element, row, say } from "./dom.js";
import { readQrels, readQueries } from "./judgements.js";
import { mean, ndcg } from "./measures.js";
import { inWords, requestOf } from "./settings.js";

const DEPTH = 10;
const AT_ONCE = 4;
const ROWS = 100;
const EVEN = 5e-5;

const [form, status, result, progress] = ["judge", "judge-status", "judged", "judge-progress"].map(
  byId,
);
let shown;
let stop = new AbortController();

export function start() {
  for (const input of form.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", async () => {
      const [file] = input.files;
      if (file) byId(input.dataset.into).value = await file.text();
    });
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(shown);
  });
  byId("judge-stop").addEventListener("click", () => stop.abort());
}

/** Keeps what was measured for as long as it is of the same settings. */
export function show(context) {
  const { state, index } = context;
  const settings = JSON.stringify([index.name, state.before, state.after]);
  if (shown && settings !== shown.settings) {
    stop.abort();
    const again = result.childElementCount ? "The settings have changed; measure again." : "";
    result.replaceChildren();
    say(status, again);
  }
  shown = { ...context, settings };
}

async function run({ state, index }) {
  stop.abort();
  stop = new AbortController();
  const { signal } = stop;
  result.replaceChildren();
  let judged;
  try {
    judged = read();
  } catch (error) {
    return say(status, error.message, "error");
  }
  say(status, judged.note);
  const requests = [state.before, state.after].map((each) => requestOf(each, index.fields));
  const jobs = judged.queries.flatMap((query) => requests.map((request) => [query, request]));
  Object.assign(progress, { max: jobs.length, value: 0 });
  busy(true);
  try {
    const values = await pooled(jobs, signal, ([query, request]) =>
      measure(index.name, query, request, signal),
    );
    const rows = judged.queries.map((query, place) => {
      const [before, after] = values.slice(2 * place, 2 * place + 2);
      return { ...query, before, after, difference: after - before };
    });
    result.replaceChildren(...report(rows, state, index));
    say(status, judged.note);
  } catch (error) {
    // A newer run has its own words.
    if (stop.signal !== signal) return;
    say(status, signal.aborted ? "Stopped." : error.message, signal.aborted ? "" : "error");
    stop.abort();
  } finally {
    if (stop.signal === signal) busy(false);
  }
}

/** The judged queries that have a text, and a sentence on those that have none. */
function read() {
  const texts = readQueries(byId("judge-queries").value);
  const qrels = readQrels(byId("judge-qrels").value);
  const has = (id) => texts.get(id)?.trim();
  const queries = [...qrels.keys()]
    .filter(has)
    .map((id) => ({ id, text: texts.get(id), grades: qrels.get(id) }));
  const missing = qrels.size - queries.length;
  if (!queries.length) {
    throw new Error("No query has judgements: the ids of queries and judgements differ.");
  }
  const left = amount(missing, "judged query", "judged queries");
  const note = missing ? `${left} without a text left out.` : "";
  return { queries, note };
}

async function measure(name, { text, grades }, request, signal) {
  const bare = { limit: DEPTH, with_payload: false, highlight: false };
  const body = { query: { text }, ...request, ...bare };
  const { hits } = await searchPatiently(name, signal, body);
  progress.value += 1;
  return ndcg(hits.map(({ id }) => id), grades, DEPTH);
}

/** What each job gives, in their order, a few at a time; the first failure ends all. */
async function pooled(jobs, signal, work) {
  const values = new Array(jobs.length);
  let next = 0;
  const worker = async () => {
    while (next < jobs.length && !signal.aborted) {
      const place = next;
      next += 1;
      values[place] = await work(jobs[place]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  signal.throwIfAborted();
  return values;
}

function busy(isBusy) {
  progress.hidden = byId("judge-stop").hidden = !isBusy;
  byId("judge-run").disabled = isBusy;
}

// What was found

function report(rows, state, index) {
  const [before, after] = ["before", "after"].map((side) => mean(rows.map((each) => each[side])));
  const better = rows.filter(({ difference }) => difference > EVEN).length;
  const worse = rows.filter(({ difference }) => difference < -EVEN).length;
  const figure = (kind, value, label, words) =>
    element(
      "div",
      { className: kind },
      element("dd", {}, value),
      element("dt", {}, label, element("small", {}, words)),
    );
  const counts = `${better} better, ${worse} worse, ${rows.length - better - worse} even`;
  const figures = element(
    "dl",
    { className: "figures" },
    figure("before", before.toFixed(4), "nDCG@10 before", inWords(state.before, index.fields)),
    figure("after", after.toFixed(4), "nDCG@10 after", inWords(state.after, index.fields)),
    figure(direction(after - before), signed(after - before), "difference", counts),
  );
  return [figures, ...queryTable(rows, state)];
}

function queryTable(rows, state) {
  const sorted = rows
    .map((each, place) => ({ ...each, place }))
    .sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference) || a.place - b.place);
  const lines = sorted.map((each) => queryLine(each, state));
  const body = element("tbody", {}, ...lines.slice(0, ROWS));
  const head = element("thead", {}, row("th", "query", "before", "after", "difference"));
  const title = `${amount(rows.length, "query", "queries")}, largest change first`;
  const caption = element("caption", {}, title);
  const table = element("table", { className: "queries" }, caption, head, body);
  const rest = lines.slice(ROWS);
  if (!rest.length) return [table];
  const all = element("button", { type: "button", className: "quiet" }, `Show ${rest.length} more`);
  all.addEventListener("click", () => {
    body.append(...rest);
    all.remove();
  });
  return [table, all];
}

function queryLine({ id, text, before, after, difference }, state) {
  const href = addressOf({ ...state, view: "compare", text });
  const name = element("td", { dir: "auto" }, element("a", { href, title: `query ${id}` }, text));
  const drawn = element(
    "span",
    { className: `change ${direction(difference)}` },
    bar(difference < 0 ? -difference : 0, "loss"),
    bar(difference > 0 ? difference : 0, "gain"),
    element("span", {}, signed(difference)),
  );
  return row("td", name, before.toFixed(3), after.toFixed(3), element("td", {}, drawn));
}

const direction = (value) => (value > EVEN ? "better" : value < -EVEN ? "worse" : "even");
const signed = (value) => {
  const sign = direction(value) === "even" ? "±" : value > 0 ? "+" : "−";
  return `${sign}${Math.abs(value).toFixed(direction(value) === "even" ? 3 : 4)}`;
};
