/** What stands in the place of hits before anything was asked. */

import { addressOf } from "./address.js";
import { amount, element } from "./dom.js";

const DEMO_QUERIES = [
  "open a page in the default browser",
  "copy a file with its metadata",
  "create a temporary directory that is removed afterwards",
];

export function introduction(index, state) {
  const fields = index.fields.map(({ name, encoder }) => `${name}: ${encoder}`);
  const description = [amount(index.documents, "document"), ...fields].join(" · ");
  const about = element("p", { className: "description" }, description);
  if (index.name !== "demo") {
    const sentence = `Type a question or a few words to search ${index.name}.`;
    return [element("p", {}, sentence), about];
  }
  const link = (text) => {
    const href = addressOf({ ...state, view: "search", index: "demo", text });
    return element("li", {}, element("a", { href }, text));
  };
  const sentence = "Ask the Python standard library’s docstrings, for example:";
  return [element("p", {}, sentence), element("ul", {}, ...DEMO_QUERIES.map(link)), about];
}

export function noIndex() {
  const command = element("code", {}, "lsr index CORPUS --into DIR/NAME");
  return [element("p", {}, "No index yet. Create one with: ", command)];
}
