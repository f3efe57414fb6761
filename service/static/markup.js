/** HTML in texts of documents, shown as text without its tags. */

const NAMES =
  "a|abbr|article|aside|b|blockquote|body|br|caption|center|cite|code|dd|del|details|div|dl|dt|" +
  "em|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|" +
  "label|li|link|main|mark|meta|nav|object|ol|p|pre|q|s|samp|script|section|small|source|span|" +
  "strike|strong|style|sub|summary|sup|svg|table|tbody|td|tfoot|th|thead|title|tr|tt|u|ul|var|video";
const ATTRIBUTE = "\\s+[\\w:@.-]+\\s*=\\s*(?:\"[^\"]*\"|'[^']*'|[^\\s\"'<>]+)";
const MARKUP = new RegExp(
  "(<!--)|<(script|style)\\b[^<>]*>" +
    `|</?(${NAMES})(?:${ATTRIBUTE})*\\s*/?>` +
    "|&(?:#(\\d{1,7})|#x([\\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));",
  "gi",
);
// Without one of these a text is none of HTML: "a<b" and "x &lt; y" stay as they are.
const SIGN = new RegExp(`</(?:${NAMES})\\s*>|<(?:br|hr|p|img)(?:${ATTRIBUTE})*\\s*/?>`, "i");
const LINES = new RegExp(
  "^(?:article|aside|blockquote|br|dd|div|dl|dt|figure|footer|form|h[1-6]|header|hr|li|main|nav|" +
    "ol|p|pre|section|table|tr|ul)$",
  "i",
);
const CELLS = /^t[dh]$/i;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** The parts of a text that are markup, ascending: [start, end) and what stands for each. */
function markupOf(text) {
  const found = [];
  if (!SIGN.test(text)) return found;
  const ends = endsIn(text);
  for (const match of text.matchAll(MARKUP)) {
    const [written, comment, hidden, name, decimal, hexadecimal, entity] = match;
    const start = match.index;
    let end = start + written.length;
    let stands = "";
    if (start < (found.at(-1)?.end ?? 0)) continue;
    if (comment || hidden) end = ends(comment ? "-->" : `</${hidden.toLowerCase()}>`, end) ?? end;
    if (comment && end === start + written.length) continue;
    if (name) stands = LINES.test(name) ? "\n" : CELLS.test(name) ? " " : "";
    else if (entity) stands = ENTITIES[entity.toLowerCase()];
    else if (decimal || hexadecimal) stands = character(decimal, hexadecimal) ?? written;
    found.push({ start, end, stands });
  }
  return found;
}

/** Finds where something ends behind a place; what has no end is looked for once, not each time. */
function endsIn(text) {
  const lower = text.toLowerCase();
  // Letters whose lower case is longer would shift places.
  const searched = lower.length === text.length ? lower : text;
  const endless = new Set();
  return (mark, from) => {
    const place = endless.has(mark) ? -1 : searched.indexOf(mark, from);
    if (place < 0) endless.add(mark);
    return place < 0 ? null : place + mark.length;
  };
}

/** A text without its markup. */
export function withoutMarkup(text) {
  return excerpt(text, text, []).map(([part]) => part).join("").replace(/\n{3,}/g, "\n\n").trim();
}

/**
 * A part of a text without its markup, as [text, whether it is marked] pairs. The spans that are
 * marked are [start, end) in code points of the part.
 */
export function excerpt(whole, part, spans) {
  const offset = Math.max(0, whole.indexOf(part));
  const cuts = markupOf(whole);
  const pieces = [];
  const add = (text, marked) => {
    const last = pieces.at(-1);
    if (last?.[1] === marked) last[0] += text;
    else if (text) pieces.push([text, marked]);
  };
  let [place, cut, span] = [offset, 0, 0];
  Array.from(part).forEach((point, number) => {
    while (cut < cuts.length && cuts[cut].end <= place) cut += 1;
    while (span < spans.length && spans[span][1] <= number) span += 1;
    const marked = span < spans.length && spans[span][0] <= number;
    const hidden = cut < cuts.length && cuts[cut].start <= place;
    if (!hidden) add(point, marked);
    else if (cuts[cut].start === place) add(cuts[cut].stands, false);
    place += point.length;
  });
  return pieces;
}

function character(decimal, hexadecimal) {
  const code = decimal ? parseInt(decimal, 10) : parseInt(hexadecimal, 16);
  const valid = code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return valid ? String.fromCodePoint(code) : null;
}
