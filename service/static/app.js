/** The search page: reads the address, shows its view, and turns what people do into addresses. */

import { addressOf, readAddress, VIEWS } from "./address.js";
import { key, listIndexes } from "./api.js";
import * as compare from "./compare.js";
import { byId, element, paused, say } from "./dom.js";
import { noIndex } from "./introduction.js";
import * as judged from "./judged.js";
import * as keyboard from "./keyboard.js";
import * as search from "./search.js";
import { editSetting, isInstant } from "./settings.js";
import * as statistics from "./statistics.js";

const TYPING_PAUSE = 120;
const views = { search, compare, judged, index: statistics };
const [form, box, indexChoice, notice] = ["search", "q", "index", "notice"].map(byId);

const [keyForm, forgetKey] = ["key-form", "forget-key"].map(byId);

let indexes = [];
let stop = new AbortController();
let isTyping = false;
let isListening = false;

async function start() {
  stop.abort();
  stop = new AbortController();
  say(notice, "");
  forgetKey.hidden = !key.get();
  try {
    ({ indexes } = await listIndexes(stop.signal));
  } catch (error) {
    return say(notice, error.message, "error");
  }
  const broken = indexes.find(({ problem }) => problem);
  indexes = indexes.filter(({ problem }) => !problem);
  box.disabled = !indexes.length;
  if (broken && !indexes.length) return say(notice, `${broken.name}: ${broken.problem}`, "error");
  if (!indexes.length) return byId("intro").replaceChildren(...noIndex());
  indexChoice.replaceChildren(...indexes.map(({ name }) => element("option", {}, name)));
  if (!isListening) listen();
  isListening = true;
  show();
  if (!readAddress().text && readAddress().view === "search") box.focus();
}

function listen() {
  const wide = matchMedia("(min-width: 60rem)");
  const narrow = byId("narrow-details");
  narrow.open = wide.matches;
  wide.addEventListener("change", () => (narrow.open = wide.matches));
  for (const view of [search, compare, judged]) view.start();
  keyboard.listen();
  addEventListener("popstate", () => {
    isTyping = false;
    show();
  });
  document.addEventListener("click", follow);
  form.addEventListener("submit", submit);
  box.addEventListener("input", typed);
  indexChoice.addEventListener("change", () => {
    // Another index has other fields and metadata.
    const { view, text } = readAddress();
    go({ ...readAddress(""), view, text, index: indexChoice.value });
  });
  byId("sort").addEventListener("change", ({ target }) => {
    go({ ...readAddress(), sort: target.value });
  });
  byId("filter-form").addEventListener("submit", (event) => {
    event.preventDefault();
    go({ ...readAddress(), filter: byId("filter").value.trim() });
  });
}

// From what people do to an address

/** Makes a state the address, and shows it; `again` shows it though the address is the same. */
function go(state, { again = false } = {}) {
  if (!again) isTyping = false;
  const address = addressOf(state);
  if (address !== location.search) history.pushState(null, "", address);
  else if (!again) return;
  show();
}

function submit(event) {
  event.preventDefault();
  typed.later.cancel();
  isTyping = false;
  if (matchMedia("(hover: none)").matches) box.blur(); // puts the keyboard away
  const state = readAddress();
  const view = state.view === "compare" ? "compare" : "search";
  go({ ...state, view, text: box.value.trim() }, { again: true });
}

/** Searches while people type, where no query needs a model; they make one entry of the history. */
function typed() {
  const state = readAddress();
  const setting = state.view === "search" && isInstant(state.before, indexOf(state).fields);
  if (setting) typed.later();
}

typed.later = paused(() => {
  const text = box.value.trim();
  const state = readAddress();
  if (text === state.text) return;
  history[isTyping ? "replaceState" : "pushState"](null, "", addressOf({ ...state, text }));
  isTyping = true;
  show();
}, TYPING_PAUSE);

/** Follows a link within the page without loading it anew. */
function follow(event) {
  if (event.target.matches(".skip")) {
    event.preventDefault();
    return byId(readAddress().view === "search" ? "found" : "main").focus();
  }
  const link = event.target.closest("a[href^='?']");
  const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!link || !isPlain || event.button !== 0) return;
  event.preventDefault();
  isTyping = false;
  history.pushState(null, "", link.getAttribute("href"));
  show();
  if (!link.isConnected) byId("main").focus();
}

// From the address to what is shown

function show() {
  stop.abort();
  stop = new AbortController();
  const state = readAddress();
  const index = indexOf(state);
  showFrame(state, index);
  views[state.view].show({ state, index, signal: stop.signal, go });
}

/** The index of a state, by its name or an alias; one that the server does not list is empty. */
function indexOf({ index, text, view }) {
  const asked = index || indexes[0].name;
  const isAsked = text || view !== "search";
  const unknown = isAsked ? { name: asked, fields: [], documents: 0 } : indexes[0];
  const goesBy = ({ name, aliases }) => name === asked || aliases.includes(asked);
  return indexes.find(goesBy) ?? unknown;
}

/** What stands around every view. */
function showFrame(state, index) {
  document.title = state.text ? `${state.text} – lsr` : "lsr";
  document.body.dataset.view = state.view;
  for (const view of VIEWS) {
    byId(`${view}-view`).hidden = view !== state.view;
    const link = byId(`to-${view}`);
    link.setAttribute("href", addressOf({ ...state, view }));
    if (view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (document.activeElement !== box || box.value.trim() !== state.text) box.value = state.text;
  box.placeholder = `Search ${index.name}`;
  indexChoice.value = index.name;
  const isListed = indexes.some(({ name }) => name === index.name);
  byId("index-choice").hidden = indexes.length === 1 && isListed;
  const two = ["compare", "judged"].includes(state.view);
  const asked = state.view === "search" && (state.text || index.fields.length > 1);
  byId("settings").hidden = !index.fields.length || !(two || asked);
  byId("after").hidden = !two;
  byId("before").querySelector("legend").textContent = two ? "Before" : "How it is searched";
  for (const side of ["before", "after"]) {
    editSetting(byId(side), state[side], index.fields, (setting) => {
      go({ ...readAddress(), [side]: setting });
    });
  }
}

// The key of a server that asks for one

document.addEventListener("key-wanted", () => {
  keyForm.hidden = false;
  byId("key").focus();
});
keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(byId("key").value.trim());
  byId("key").value = "";
  keyForm.hidden = true;
  start();
});
forgetKey.addEventListener("click", () => {
  key.forget();
  start();
});

start();
