/** Parts of pages: elements, sentences, numbers. Text is always text, never markup. */

export const byId = (id) => document.getElementById(id);

/** A new element; its children are text unless they are nodes. */
export function element(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** A <details> that makes its contents when it is opened, and tries again after a failure. */
export function disclosure(summary, contents) {
  const body = element("div", {});
  const details = element("details", {}, element("summary", {}, summary), body);
  details.addEventListener("toggle", async () => {
    if (!details.open || body.childElementCount) return;
    say(body, "…");
    try {
      const made = await contents();
      say(body, "");
      body.replaceChildren(...made);
    } catch (error) {
      say(body, error.message, "error");
    }
  });
  return details;
}

export function say(place, sentence, kind = "") {
  place.textContent = sentence;
  place.classList.toggle("error", kind === "error");
}

/** A bar of a share from 0 to 1 of its place; what it shows is written beside it. */
export function bar(share, kind = "") {
  const create = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);
  const [picture, rectangle] = [create("svg"), create("rect")];
  picture.setAttribute("aria-hidden", "true");
  picture.setAttribute("class", `bar ${kind}`);
  rectangle.setAttribute("width", `${100 * Math.min(1, Math.max(0, share || 0))}%`);
  rectangle.setAttribute("height", "100%");
  picture.append(rectangle);
  return picture;
}

/** A row of cells, "th" or "td"; those of a head without a name are no heads. */
export function row(tag, ...cells) {
  const cell = (each) =>
    each instanceof HTMLTableCellElement ? each : element(each === "" ? "td" : tag, {}, each);
  return element("tr", {}, ...cells.map(cell));
}

export function option(value, label, chosen) {
  return element("option", { value, selected: value === chosen }, label);
}

/** A <dl> of pairs, each in a <div>; those without a value are left out. */
export function pairs(rows, className = "") {
  const pair = ([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value));
  return element("dl", { className }, ...rows.filter(([, value]) => value).map(pair));
}

export const digits = (score) => score.toFixed(Math.abs(score) < 1 ? 4 : 2);
export const grouped = (count) => count.toLocaleString("en");
export const amount = (count, noun, several = `${noun}s`) =>
  `${grouped(count)} ${count === 1 ? noun : several}`;
export const milliseconds = (ms) => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;

/** Calls once the calls have paused for so many milliseconds. */
export function paused(call, wait) {
  let timer;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), wait);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
