/** One search: its pages of hits, and the terms behind each page, asked for once. */

import { search } from "./api.js";

export const PAGE = 10;

/** A search of an index by a request that lacks nothing but what of a page is wanted. */
export function rankingOf(name, request, signal) {
  const explained = new Map();
  const page = (offset, wishes) =>
    search(name, signal, { ...request, limit: PAGE, offset, with_payload: true, ...wishes });
  return {
    signal,
    request,
    page,
    /** The answer of one page with the terms of its hits and of the query. */
    explain(offset) {
      if (!explained.has(offset)) {
        const wishes = { explain: true, highlight: false, with_payload: false, facets: [] };
        const answer = page(offset, wishes);
        answer.catch(() => explained.delete(offset));
        explained.set(offset, answer);
      }
      return explained.get(offset);
    },
  };
}
