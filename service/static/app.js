const PAGE = 10;
const TERMS_SHOWN = 12;
const METADATA_SHOWN = 4;
const LONGEST_VALUE = 44;
const DEMO_QUERIES = [
  "open a page in the default browser",
  "copy a file with its metadata",
  "create a temporary directory that is removed afterwards",
];

const byId = (id) => document.getElementById(id);
const [form, box, indexChoice, usingChoice] = ["search", "q", "index", "using"].map(byId);
const [status, queryTerms, intro, hitList] = ["status", "query-terms", "intro", "hits"].map(byId);
const [moreStatus, more] = ["more-status", "more"].map(byId);

let indexes = [];
let current = { stop: new AbortController() };

async function start() {
  try {
    ({ indexes } = await ask("/v1/indexes", current.stop.signal));
  } catch (error) {
    return say(status, error.message, "error");
  }
  const broken = indexes.find(({ problem }) => problem);
  indexes = indexes.filter(({ problem }) => !problem);
  box.disabled = !indexes.length;
  if (broken && !indexes.length) return say(status, `${broken.name}: ${broken.problem}`, "error");
  if (!indexes.length) return introduce();
  indexChoice.replaceChildren(...indexes.map(({ name }) => element("option", {}, name)));
  form.addEventListener("submit", submit);
  form.addEventListener("change", ({ target }) => target !== box && form.requestSubmit());
  more.addEventListener("click", () => search(current));
  addEventListener("popstate", show);
  document.addEventListener("keydown", moveFocus);
  show();
  if (!current.text) box.focus();
}

// The address says what is searched for; every search starts from it.

function submit(event) {
  event.preventDefault();
  box.value = box.value.trim();
  const address = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  if (`?${address}` !== location.search) history.pushState(null, "", `?${address}`);
  if (box.value && matchMedia("(hover: none)").matches) box.blur(); // puts the keyboard away
  show();
}

function show() {
  current.stop.abort();
  const address = new URLSearchParams(location.search);
  const text = (address.get("q") ?? "").trim();
  const asked = address.get("index") || indexes[0].name;
  const index = indexes.find((one) => one.name === asked) ?? (text ? null : indexes[0]);
  const name = index?.name ?? asked;
  const using = offerUsing(index?.fields ?? [], address.get("using"));
  const hasTerms = index?.fields.find((field) => field.name === using)?.kind !== "dense";
  const stop = new AbortController();
  current = { text, name, using, hasTerms, stop, offset: 0, explained: new Map() };
  box.value = text;
  box.placeholder = `Search ${name}`;
  indexChoice.value = name;
  byId("index-choice").hidden = indexes.length === 1 && Boolean(index);
  document.title = text ? `${text} – lsr` : "lsr";
  if (text) return search(current);
  clear();
  introduce(index);
}

/** Offers what can be searched and returns what is chosen. */
function offerUsing(fields, asked) {
  const choices = fields.map(({ name }) => name);
  if (fields.some(({ kind }) => kind === "dense")) choices.push("hybrid");
  const usual = choices.includes("hybrid") ? "hybrid" : choices[0];
  const chosen = choices.includes(asked) ? asked : usual;
  if (usingChoice.dataset.choices !== String(choices)) {
    usingChoice.dataset.choices = String(choices);
    usingChoice.replaceChildren(...choices.map(radio));
  }
  for (const input of usingChoice.querySelectorAll("input")) input.checked = input.value === chosen;
  const whole = byId("using-choice");
  whole.hidden = whole.disabled = choices.length < 2;
  return chosen;
}

function radio(value) {
  const input = element("input", { type: "radio", name: "using", value });
  return element("label", {}, input, element("span", {}, value));
}

function introduce(index) {
  if (!index) {
    const command = element("code", {}, "lsr index CORPUS --into DIR/NAME");
    return intro.append(element("p", {}, "No index yet. Create one with: ", command));
  }
  if (index.name === "demo") {
    const href = (q) => `?${new URLSearchParams({ index: "demo", q })}`;
    const link = (q) => element("li", {}, element("a", { href: href(q) }, q));
    const introduction = "Ask the Python standard library’s docstrings, for example:";
    intro.append(element("p", {}, introduction), element("ul", {}, ...DEMO_QUERIES.map(link)));
  } else {
    intro.append(element("p", {}, `Type a question or a few words to search ${index.name}.`));
  }
  const fields = index.fields.map(({ name, encoder }) => `${name}: ${encoder}`);
  const description = [amount(index.documents, "document"), ...fields].join(" · ");
  intro.append(element("p", { className: "description" }, description));
}

// Asking the server

async function ask(path, signal, body) {
  const method = body ? "POST" : "GET";
  const headers = { "Content-Type": "application/json" };
  const request = fetch(path, { signal, method, headers, body: JSON.stringify(body) });
  const response = await request.catch(() => null);
  if (!response) throw new Error("The server can’t be reached; check that it is running.");
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  const unreadable = `The server answered with status ${response.status} and no reason.`;
  throw new Error(answer?.error?.message ?? unreadable);
}

function hitsFrom({ text, name, using, stop }, offset, wishes) {
  const body = { query: { text }, using, limit: PAGE, offset, with_payload: true, ...wishes };
  return ask(`/v1/indexes/${encodeURIComponent(name)}/search`, stop.signal, body);
}

/** The terms behind one page of hits, asked for once. */
function explain({ explained, ...about }, offset) {
  if (!explained.has(offset)) {
    const wishes = { explain: true, highlight: false, with_payload: false };
    const answer = hitsFrom(about, offset, wishes);
    answer.catch(() => explained.delete(offset));
    explained.set(offset, answer);
  }
  return explained.get(offset);
}

/** Shows the first page of hits, and on each further call the next. */
async function search(about) {
  if (about.busy) return;
  const first = about.offset === 0;
  const place = first ? status : moreStatus;
  const slow = setTimeout(() => say(place, "Searching…"), 250);
  about.busy = true;
  hitList.ariaBusy = String(first);
  try {
    const answer = await hitsFrom(about, about.offset);
    if (first) clear();
    const items = addHits(about, answer);
    if (!first) return (items[0] ?? hitList.lastElementChild).focus({ preventScroll: true });
    if (about.hasTerms) queryTerms.append(disclosure("Query terms", () => explainQuery(about)));
    if (!items.length) intro.append(element("p", {}, "Try other words, or fewer."));
  } catch (error) {
    if (about.stop.signal.aborted) return;
    if (first) clear();
    say(place, error.message, "error");
  } finally {
    clearTimeout(slow);
    about.busy = false;
    if (about === current) hitList.ariaBusy = "false";
  }
}

function addHits(about, { hits, took_ms, using, meta }) {
  const items = hits.map((hit) => hitItem(about, hit));
  hitList.append(...items);
  about.offset += PAGE;
  more.hidden = hits.length < PAGE;
  const found = amount(hitList.childElementCount, "hit");
  const kind = meta.exact ? "exact" : "approximate";
  const parts = [`${found} of ${amount(meta.documents, "document")}`, `${took_ms.toFixed(1)} ms`];
  say(status, [...parts, using, kind].join(" · "));
  say(moreStatus, "");
  return items;
}

function clear() {
  for (const part of [status, moreStatus, queryTerms, intro, hitList]) part.replaceChildren();
  more.hidden = true;
}

// One hit

function hitItem(about, hit) {
  const { offset, using, hasTerms } = about;
  const { title, text, metadata } = hit.payload;
  const item = element("li", { tabIndex: -1 });
  item.append(element("h3", {}, ...(title ? marked(hit, "title") : [hit.id])));
  if (text) item.append(element("p", { className: "snippet" }, ...marked(hit, "text")));
  item.append(facts(hit, title, using, metadata));
  const whole = () => [element("p", { className: "whole" }, text)];
  const isCut = text.length > highlightOf(hit, "text").snippet.length;
  const details = element("div", { className: "details" });
  if (hasTerms) details.append(disclosure("Why this result", () => explainHit(about, hit, offset)));
  if (isCut) details.append(disclosure("Full text", whole));
  item.append(details);
  return item;
}

function highlightOf({ highlights, payload }, field) {
  return highlights.find((one) => one.field === field) ?? { snippet: payload[field], spans: [] };
}

/** The snippet of a field with the matched words in <mark>; spans count code points. */
function marked(hit, field) {
  const { snippet, spans } = highlightOf(hit, field);
  const points = Array.from(snippet);
  const between = (start, end) => points.slice(start, end).join("");
  const nodes = [hit.payload[field].startsWith(snippet) ? "" : "…\u00a0"];
  let done = 0;
  for (const [start, end] of spans) {
    nodes.push(between(done, start), element("mark", {}, between(start, end)));
    done = end;
  }
  return [...nodes, between(done), hit.payload[field].endsWith(snippet) ? "" : "\u00a0…"];
}

function facts({ id, score, scores }, title, using, metadata) {
  const sources = using === "hybrid" ? Object.entries(scores) : [];
  const known = Object.entries(metadata).map(([name, value]) => [name, brief(value)]);
  const rows = [
    ["id", title && element("code", {}, id)],
    ["score", digits(score)],
    ...sources.map(([name, value]) => [name, digits(value)]),
    ...known.filter(([, value]) => value).slice(0, METADATA_SHOWN),
  ].filter(([, value]) => value);
  const pair = (name, value) => [element("dt", {}, name), element("dd", {}, value)];
  return element("dl", {}, ...rows.map((row) => element("div", {}, ...pair(...row))));
}

/** A metadata value in a few characters, as a link where it is a web address; "" for objects. */
function brief(value) {
  if (Array.isArray(value)) return brief(value.filter((one) => typeof one !== "object").join(", "));
  if (value === null || typeof value === "object") return "";
  const text = String(value).trim();
  const [scheme] = text.match(/^https?:\/\//i) ?? [""];
  const points = Array.from(text.slice(scheme.length));
  const rest = points.length > LONGEST_VALUE ? "…" : "";
  const shown = points.slice(0, LONGEST_VALUE).join("") + rest;
  return scheme ? element("a", { href: text, rel: "noreferrer" }, shown) : shown;
}

// Why a hit is one

async function explainHit(about, { id, scores }, offset) {
  const { hits } = await explain(about, offset);
  const terms = hits.find((hit) => hit.id === id)?.terms;
  if (!terms) throw new Error("The index has changed since this search; search again.");
  const columns = {
    query_weight: "query weight",
    document_weight: "×\u00a0document weight",
    contribution: "=\u00a0contribution",
  };
  const tables = Object.entries(terms).map(([field, list]) => termTable(field, list, columns));
  const others = Object.keys(scores).filter((field) => !(field in terms));
  const note = (field) => `${field}: ${digits(scores[field])}, the similarity of two vectors`;
  return [...tables, ...others.map((field) => element("p", {}, note(field)))];
}

async function explainQuery(about) {
  const { query_terms } = await explain(about, 0);
  const columns = { weight: "query weight" };
  return Object.entries(query_terms).map(([field, list]) => termTable(field, list, columns));
}

/** Terms with a bar for the last column; where that is a product of others, also its sum. */
function termTable(field, terms, columns) {
  const keys = Object.keys(columns);
  const last = keys.pop();
  const none = keys.length ? "no terms in common" : "no known terms";
  if (!terms.length) return element("p", {}, `${field}: ${none}`);
  const largest = Math.max(...terms.map((term) => term[last]));
  const row = (tag, ...cells) => element("tr", {}, ...cells.map((cell) => element(tag, {}, cell)));
  const rows = terms.map((term) => {
    const factors = keys.map((key) => term[key].toFixed(3));
    return row("td", piece(term.token), ...factors, bar(term[last], largest));
  });
  const sum = terms.reduce((total, term) => total + term[last], 0);
  const sums = row("td", "sum", ...keys.map(() => ""), sum.toFixed(3));
  const body = element("tbody", {}, ...rows.splice(0, TERMS_SHOWN));
  const head = element("thead", {}, row("th", "term", ...Object.values(columns)));
  const foot = element("tfoot", {}, ...(keys.length ? [sums] : []));
  const whole = element("table", {}, element("caption", {}, field), head, body, foot);
  const all = element("button", { type: "button" }, `Show ${amount(rows.length, "more term")}`);
  all.addEventListener("click", () => {
    body.append(...rows);
    all.remove();
  });
  return element("div", {}, whole, ...(rows.length ? [all] : []));
}

/** A WordPiece that continues a word, "##ing", written as a suffix is. */
function piece(token) {
  if (!/^##./u.test(token)) return token;
  return element("span", { title: `${token}: continues a word` }, `-${token.slice(2)}`);
}

function bar(value, largest) {
  const create = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);
  const [picture, rectangle] = [create("svg"), create("rect")];
  picture.setAttribute("aria-hidden", "true");
  rectangle.setAttribute("width", `${(100 * value) / largest}%`);
  rectangle.setAttribute("height", "100%");
  picture.append(rectangle);
  return element("div", { className: "bar" }, picture, value.toFixed(3));
}

// Parts of the page

/** A new element; its children are text, never markup, unless they are elements. */
function element(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** A <details> that makes its contents when it is opened, and tries again after a failure. */
function disclosure(summary, contents) {
  const body = element("div", {});
  const details = element("details", {}, element("summary", {}, summary), body);
  details.addEventListener("toggle", async () => {
    if (!details.open || body.childElementCount) return;
    say(body, "…");
    try {
      body.replaceChildren(...(await contents()));
    } catch (error) {
      say(body, error.message, "error");
    }
  });
  return details;
}

function say(place, sentence, kind = "") {
  place.textContent = sentence;
  place.className = kind;
}

const digits = (score) => score.toFixed(Math.abs(score) < 1 ? 4 : 2);
const amount = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

function moveFocus(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const stops = [box, ...hitList.children, more];
  const place = stops.findIndex((stop) => stop.contains(target));
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  let goal = place >= 0 && step ? stops[place + step] : null;
  if (key === "/" && !target.matches("[type=search], select")) goal = box;
  if (goal) {
    event.preventDefault();
    goal.focus();
    if (goal === box) box.select();
  } else if (key === "Enter" && target.parentElement === hitList) {
    target.querySelector("summary")?.click();
  }
}

start();
