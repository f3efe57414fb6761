/** How is searched: which fields, how their rankings become one, and what comes after. */

import { element, option } from "./dom.js";

const FUSIONS = {
  default: "default",
  rrf: "reciprocal ranks",
  linear: "sum of scores",
  combmnz: "CombMNZ",
};
const FEEDBACK = { "": "off", average: "average", rocchio: "Rocchio", rm3: "RM3" };
const EFFORTS = {
  "": "exact",
  0.75: "effort 0.75",
  0.5: "effort 0.5",
  0.25: "effort 0.25",
};

/** The setting that the parameters of an address name; what it leaves open is "". */
export function readSetting(address, prefix) {
  const read = (name) => address.get(prefix + name) ?? "";
  return {
    using: read("using"),
    fusion: Object.hasOwn(FUSIONS, read("fusion")) ? read("fusion") : "default",
    feedback: Object.hasOwn(FEEDBACK, read("feedback")) ? read("feedback") : "",
    effort: Number(read("effort")) > 0 && Number(read("effort")) <= 1 ? read("effort") : "",
  };
}

export function writeSetting(address, prefix, { using, fusion, feedback, effort }) {
  if (using) address.set(`${prefix}using`, using);
  if (fusion !== "default") address.set(`${prefix}fusion`, fusion);
  if (feedback) address.set(`${prefix}feedback`, feedback);
  if (effort) address.set(`${prefix}effort`, effort);
}

/** The fields of an index that a setting searches: those that it names, or else the usual ones. */
function sourcesOf({ using }, fields) {
  const names = fields.map(({ name }) => name);
  const asked = using === "hybrid" ? ["sparse", "dense"] : using.split("+");
  const known = asked.filter((name) => names.includes(name));
  if (known.length) return known;
  const isHybrid = names.includes("dense") && names.includes("sparse");
  return isHybrid ? ["sparse", "dense"] : names.slice(0, 1);
}

/** The part of a request that asks for this. */
export function requestOf(setting, fields) {
  const sources = sourcesOf(setting, fields);
  const body = { using: sources.join("+") };
  if (sources.length > 1 && setting.fusion !== "default") body.fusion = { [setting.fusion]: {} };
  if (setting.feedback) body.feedback = { [setting.feedback]: {} };
  if (setting.effort) body.params = { mode: "approximate", effort: Number(setting.effort) };
  return body;
}

/** Whether every query is encoded without a model, fast enough for each letter that is typed. */
export function isInstant(setting, fields) {
  const free = new Map(fields.map((field) => [field.name, field.inference_free]));
  return !setting.feedback && sourcesOf(setting, fields).every((name) => free.get(name));
}

/** The setting in a few words. */
export function inWords(setting, fields) {
  const sources = sourcesOf(setting, fields);
  const parts = [sources.join(" + ")];
  if (sources.length > 1) parts.push(`fusion: ${FUSIONS[setting.fusion]}`);
  if (setting.feedback) parts.push(`feedback: ${FEEDBACK[setting.feedback]}`);
  parts.push(setting.effort ? `effort ${setting.effort}` : "exact");
  return parts.join(", ");
}

/** Fills a <fieldset> with the choices of a setting; calls with each new one. */
export function editSetting(fieldset, setting, fields, changed) {
  const sources = sourcesOf(setting, fields);
  const shown = JSON.stringify([setting, fields]);
  if (fieldset.dataset.shown === shown) return;
  fieldset.dataset.shown = shown;
  const focused = fieldset.contains(document.activeElement) ? document.activeElement.name : "";
  const value = focused && document.activeElement.value;
  const legend = fieldset.querySelector("legend");
  const choose = (name, label, choices) => {
    const options = Object.entries(choices).map(([each, words]) =>
      option(each, words, setting[name]),
    );
    if (!Object.hasOwn(choices, setting[name])) {
      options.push(option(setting[name], `effort ${setting[name]}`, setting[name]));
    }
    const select = element("select", { name }, ...options);
    select.addEventListener("change", () => changed({ ...setting, [name]: select.value }));
    return element("label", { className: "choice" }, element("span", {}, label), select);
  };
  const parts = [];
  if (fields.length > 1) parts.push(sourceChoice(fields, sources, setting, changed));
  if (sources.length > 1) parts.push(choose("fusion", "Fusion", FUSIONS));
  parts.push(choose("feedback", "Feedback", FEEDBACK), choose("effort", "Ranking", EFFORTS));
  fieldset.replaceChildren(legend, ...parts);
  if (focused) {
    const inputs = [...fieldset.querySelectorAll(`[name="${focused}"]`)];
    (inputs.find((input) => input.value === value) ?? inputs[0])?.focus();
  }
}

function sourceChoice(fields, sources, setting, changed) {
  const group = element("div", { className: "sources", role: "group", "aria-label": "Sources" });
  for (const { name } of fields) {
    const input = element("input", {
      type: "checkbox",
      name: "source",
      value: name,
      checked: sources.includes(name),
    });
    input.addEventListener("change", () => {
      const chosen = fields.map((field) => field.name).filter((each) =>
        each === name ? input.checked : sources.includes(each),
      );
      // Something has to be searched.
      if (chosen.length) changed({ ...setting, using: chosen.join("+") });
      else input.checked = true;
    });
    group.append(element("label", {}, input, element("span", {}, name)));
  }
  return group;
}
