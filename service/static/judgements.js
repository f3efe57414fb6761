/** Queries and relevance judgements from text: JSONL and TSV as BEIR has them, and TREC's qrels. */

const IDS = ["_id", "id", "qid", "query_id", "query-id", "queryid", "topic", "number"];
const TEXTS = ["text", "query", "question", "title"];
const QUERIES = ["query-id", "query_id", "queryid", "qid", "query", "topic"];
const DOCUMENTS = [
  ...["corpus-id", "corpus_id", "doc-id", "doc_id", "docid", "docno", "document"],
  ...["document_id", "pid", "passage_id"],
];
const GRADES = ["score", "grade", "relevance", "rel", "label", "judgement", "judgment"];

/** Texts of queries by id. Lines are JSON objects with `_id` and `text`, or id, tab, text. */
export function readQueries(written) {
  const queries = new Map();
  let columns = null;
  for (const [number, line] of linesOf(written)) {
    if (!queries.size && !columns && (columns = header(line.split("\t"), [IDS, TEXTS]))) continue;
    const [id, text] = line.startsWith("{") ? fromJson(line, number) : fromCells(line, columns);
    if (id === undefined || text === undefined) {
      throw new Error(
        `Line ${number} of the queries is neither a JSON object with _id and text nor an id, ` +
          "a tab and a text.",
      );
    }
    queries.set(String(id).trim(), String(text));
  }
  if (!queries.size) throw new Error("There are no queries; paste some or open a file.");
  return queries;
}

/** Grades by query and document. Lines are query, document, grade, or TREC's four columns. */
export function readQrels(written) {
  const qrels = new Map();
  let columns = null;
  for (const [number, line] of linesOf(written)) {
    let cells = line.includes("\t") ? line.split("\t") : line.trim().split(/\s+/);
    cells = cells.map((cell) => cell.trim());
    if (!qrels.size && !columns) {
      columns = header(cells, [QUERIES, DOCUMENTS, GRADES]);
      if (columns || GRADES.includes(cells.at(-1).toLowerCase())) continue;
    }
    if (columns) cells = columns.map((column) => cells[column]);
    else if (cells.length === 4) cells = [cells[0], cells[2], cells[3]];
    const [query, document, grade] = cells;
    if (cells.length !== 3 || !/^[+-]?\d+$/.test(grade ?? "")) {
      throw new Error(
        `Line ${number} of the judgements is none; lines are query, document and grade with tabs ` +
          "between them, or TREC’s query, iteration, document, grade.",
      );
    }
    if (!qrels.has(query)) qrels.set(query, new Map());
    qrels.get(query).set(document, Number(grade));
  }
  if (!qrels.size) throw new Error("There are no judgements; paste some or open a file.");
  return qrels;
}

function linesOf(written) {
  const lines = written.replace(/^\ufeff/, "").split(/\r?\n/);
  return lines.map((line, place) => [place + 1, line]).filter(([, line]) => line.trim());
}

/** Where a header says that its columns stand; null where it names not all of them. */
function header(cells, columns) {
  const names = cells.map((cell) => cell.trim().toLowerCase());
  const found = columns.map((known) => names.findIndex((name) => known.includes(name)));
  return found.includes(-1) ? null : found;
}

function fromJson(line, number) {
  let query;
  try {
    query = JSON.parse(line);
  } catch {
    throw new Error(`Line ${number} of the queries begins as JSON, but is none.`);
  }
  return [query._id ?? query.id, query.text];
}

function fromCells(line, columns) {
  const cells = line.split("\t");
  if (columns) return columns.map((column) => cells[column]);
  return cells.length > 1 ? [cells[0], cells.slice(1).join(" ")] : [];
}
