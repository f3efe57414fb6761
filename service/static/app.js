const PAGE = 10;
const LARGEST_OFFSET = 10_000;
const TERMS_SHOWN = 12;
const METADATA_SHOWN = 4;
const LONGEST_VALUE = 60;
const DEMO = {
  introduction: "Ask what the Python standard library says about itself. For example:",
  queries: [
    "remove a directory and everything in it",
    "compare two texts and show the differences",
    "run a command and capture its output",
  ],
};

const byId = (id) => document.getElementById(id);
const [form, box, indexChoice, usingChoice] = ["search", "q", "index", "using"].map(byId);
const [status, queryTerms, intro, hitList] = ["status", "query-terms", "intro", "hits"].map(byId);
const [moreStatus, more] = ["more-status", "more"].map(byId);

const counts = new Intl.NumberFormat("en");
const milliseconds = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const weights = new Intl.NumberFormat("en", {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
  maximumSignificantDigits: 3,
  roundingPriority: "morePrecision",
});

let indexes = [];
let current = { stop: new AbortController() };

async function start() {
  try {
    ({ indexes } = await ask("/v1/indexes", current.stop.signal));
  } catch (error) {
    return say(status, error.message, "error");
  }
  box.disabled = !indexes.length;
  if (!indexes.length) return introduce();
  indexChoice.replaceChildren(...indexes.map(({ name }) => element("option", {}, name)));
  form.addEventListener("submit", submit);
  form.addEventListener("change", ({ target }) => target !== box && form.requestSubmit());
  more.addEventListener("click", () => searchOn(current));
  addEventListener("popstate", show);
  document.addEventListener("keydown", moveFocus);
  show();
  if (!current.text) box.focus();
}

// The address says what is searched for; every search starts from it.

function submit(event) {
  event.preventDefault();
  const text = box.value.trim();
  const using = usingChoice.querySelector(":checked")?.value;
  const address = new URLSearchParams({ index: indexChoice.value });
  if (text) address.set("q", text);
  if (using) address.set("using", using);
  if (`?${address}` !== location.search) history.pushState(null, "", `?${address}`);
  if (text && matchMedia("(hover: none)").matches) box.blur(); // puts the keyboard away
  show();
}

function show() {
  current.stop.abort();
  const address = new URLSearchParams(location.search);
  const text = (address.get("q") ?? "").trim();
  const name = address.get("index") ?? indexes[0].name;
  const index = indexes.find((one) => one.name === name);
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
  introduce(index ?? indexes[0]);
}

/** Offers what can be searched and returns what is chosen. */
function offerUsing(fields, asked) {
  const choices = fields.map(({ name }) => name);
  if (fields.some(({ kind }) => kind === "dense")) choices.push("hybrid");
  const usual = choices.includes("hybrid") ? "hybrid" : choices[0];
  const chosen = choices.includes(asked) ? asked : usual;
  const radios = choices.map((value) => {
    const radio = element("input", { type: "radio", name: "using", value });
    radio.checked = value === chosen;
    return element("label", {}, radio, element("span", {}, value));
  });
  usingChoice.replaceChildren(...(choices.length > 1 ? radios : []));
  byId("using-choice").hidden = choices.length < 2;
  return chosen;
}

function introduce(index) {
  if (!index) {
    const command = element("code", {}, "lsr index CORPUS --into DIR/NAME");
    return intro.append(element("p", {}, "No index yet. Create one with: ", command));
  }
  if (index.name === "demo") {
    const links = DEMO.queries.map((q) => {
      const href = `?${new URLSearchParams({ index: "demo", q })}`;
      return element("li", {}, element("a", { href }, q));
    });
    intro.append(element("p", {}, DEMO.introduction), element("ul", {}, ...links));
  } else {
    intro.append(element("p", {}, `Type a question or a few words to search ${index.name}.`));
  }
  const fields = index.fields.map(({ name, encoder }) => `${name} by ${encoder}`);
  const description = [amount(index.documents, "document"), ...fields].join(" · ");
  intro.append(element("p", { className: "description" }, description));
}

// Asking the server

async function ask(path, signal, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, { signal, ...options }).catch(() => null);
  if (!response) throw new Error("The server can’t be reached; check that it is running.");
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  const unreadable = `The server answered with status ${response.status} and no reason.`;
  throw new Error(answer?.error?.message ?? unreadable);
}

function hitsFrom({ text, name, using, stop }, offset, wishes) {
  const body = { query: { text }, using, limit: PAGE, offset, ...wishes };
  return ask(`/v1/indexes/${encodeURIComponent(name)}/search`, stop.signal, body);
}

/** The terms behind one page of hits, asked for once. */
function explain({ explained, ...about }, offset) {
  if (!explained.has(offset)) {
    const answer = hitsFrom(about, offset, { explain: true, highlight: false, with_payload: false });
    answer.catch(() => explained.delete(offset));
    explained.set(offset, answer);
  }
  return explained.get(offset);
}

async function search(about) {
  const slow = setTimeout(() => say(status, "Searching…"), 250);
  hitList.ariaBusy = "true";
  try {
    const answer = await hitsFrom(about, 0);
    clear();
    addHits(about, answer);
    if (about.hasTerms) queryTerms.append(disclosure("Query terms", () => explainQuery(about)));
    if (!answer.hits.length) intro.append(element("p", {}, "Try other words, or fewer."));
  } catch (error) {
    if (about.stop.signal.aborted) return;
    clear();
    say(status, error.message, "error");
  } finally {
    clearTimeout(slow);
    if (about === current) hitList.ariaBusy = "false";
  }
}

async function searchOn(about) {
  more.disabled = true;
  say(moreStatus, "");
  try {
    const items = addHits(about, await hitsFrom(about, about.offset));
    items[0]?.focus({ preventScroll: true });
  } catch (error) {
    if (!about.stop.signal.aborted) say(moreStatus, error.message, "error");
  } finally {
    more.disabled = false;
  }
}

function addHits(about, { hits, took_ms, using, meta }) {
  const items = hits.map((hit) => hitItem(about, hit));
  hitList.append(...items);
  about.offset += PAGE;
  more.hidden = hits.length < PAGE || about.offset > LARGEST_OFFSET;
  const found = amount(hitList.childElementCount, "hit");
  const timing = `${milliseconds.format(took_ms)} ms`;
  const kind = meta.exact ? "exact" : "approximate";
  say(status, [`${found} of ${amount(meta.documents, "document")}`, timing, using, kind].join(" · "));
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
  const details = [];
  if (hasTerms) details.push(disclosure("Why this result", () => explainHit(about, hit, offset)));
  if (text.length > highlightOf(hit, "text").snippet.length) details.push(disclosure("Full text", whole));
  item.append(element("div", { className: "details" }, ...details));
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
  const nodes = [hit.payload[field].startsWith(snippet) ? "" : "… "];
  let done = 0;
  for (const [start, end] of spans) {
    nodes.push(between(done, start), element("mark", {}, between(start, end)));
    done = end;
  }
  return [...nodes, between(done), hit.payload[field].endsWith(snippet) ? "" : " …"];
}

function facts({ id, score, scores }, title, using, metadata) {
  const known = Object.entries(metadata).map(([name, value]) => [name, brief(value)]);
  const rows = [
    ["id", title && element("code", {}, id)],
    ["score", weights.format(score)],
    ...(using === "hybrid" ? Object.entries(scores) : []).map(([k, v]) => [k, weights.format(v)]),
    ...known.filter(([, value]) => value).slice(0, METADATA_SHOWN),
  ].filter(([, value]) => value);
  const pair = ([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
  return element("dl", {}, ...rows.map(pair));
}

/** A metadata value in a few characters, as a link where it is a web address; "" for objects. */
function brief(value) {
  if (Array.isArray(value)) value = value.filter((one) => typeof one !== "object").join(", ");
  if (value === null || typeof value === "object") return "";
  const text = String(value).trim();
  const [scheme] = text.match(/^https?:\/\//i) ?? [""];
  const points = Array.from(text.slice(scheme.length));
  const cut = points.length > LONGEST_VALUE;
  const shown = cut ? `${points.slice(0, LONGEST_VALUE - 1).join("")}…` : points.join("");
  return scheme ? element("a", { href: text, rel: "noreferrer" }, shown) : shown;
}

// Why a hit is one

async function explainHit(about, { id, scores }, offset) {
  const { hits } = await explain(about, offset);
  const terms = hits.find((hit) => hit.id === id)?.terms;
  if (!terms) throw new Error("The index has changed since this search; search again.");
  const columns = {
    query_weight: "query weight",
    document_weight: "× document weight",
    contribution: "= contribution",
  };
  const tables = Object.entries(terms).map(([field, list]) => termTable(field, list, columns));
  const others = Object.keys(scores).filter((field) => !(field in terms));
  const note = (field) => `${field}: ${weights.format(scores[field])}, the similarity of two vectors.`;
  return [...tables, ...others.map((field) => element("p", {}, note(field)))];
}

async function explainQuery(about) {
  const { query_terms } = await explain(about, 0);
  const columns = { weight: "query weight" };
  return Object.entries(query_terms).map(([field, list]) => termTable(field, list, columns));
}

/** A table of terms, with bars for the last column, and its sum where it is a product. */
function termTable(field, terms, columns) {
  if (!terms.length) return element("p", {}, `${field}: no term of the query is known here.`);
  const keys = Object.keys(columns);
  const last = keys.pop();
  const largest = Math.max(...terms.map((term) => term[last]));
  const row = (tag, ...cells) => element("tr", {}, ...cells.map((cell) => element(tag, {}, cell)));
  const rows = terms.map((term) => {
    const factors = keys.map((key) => weights.format(term[key]));
    return row("td", piece(term.token), ...factors, bar(term[last], largest));
  });
  const body = element("tbody", {}, ...rows.slice(0, TERMS_SHOWN));
  const caption = element("caption", {}, field);
  const head = element("thead", {}, row("th", "term", ...Object.values(columns)));
  const whole = element("table", {}, caption, head, body);
  if (keys.length) {
    const sum = terms.reduce((total, term) => total + term[last], 0);
    whole.append(element("tfoot", {}, row("td", "sum", ...keys.map(() => ""), weights.format(sum))));
  }
  const rest = rows.slice(TERMS_SHOWN);
  if (!rest.length) return whole;
  const button = element("button", { type: "button" }, `Show ${amount(rest.length, "more term")}`);
  button.addEventListener("click", () => {
    body.append(...rest);
    button.remove();
  });
  return element("div", {}, whole, button);
}

/** A WordPiece that continues a word, "##ing", written as a suffix is. */
function piece(token) {
  if (!/^##./u.test(token)) return token;
  return element("span", { title: `${token}: continues a word` }, `-${token.slice(2)}`);
}

function bar(value, largest) {
  const [picture, rectangle] = ["svg", "rect"].map((tag) =>
    document.createElementNS("http://www.w3.org/2000/svg", tag),
  );
  picture.setAttribute("aria-hidden", "true");
  rectangle.setAttribute("width", `${(100 * value) / largest}%`);
  rectangle.setAttribute("height", "100%");
  picture.append(rectangle);
  return element("div", { className: "bar" }, picture, weights.format(value));
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
    body.textContent = "…";
    try {
      body.replaceChildren(...(await contents()));
    } catch (error) {
      body.replaceChildren();
      say(body, error.message, "error");
    }
  });
  return details;
}

function say(place, sentence, kind = "") {
  place.textContent = sentence;
  place.className = kind;
}

function amount(count, noun) {
  return `${counts.format(count)} ${noun}${count === 1 ? "" : "s"}`;
}

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
