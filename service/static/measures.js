/** Effectiveness of a ranking by graded judgements. */

/**
 * nDCG at a depth, as trec_eval has it: the gain is the grade, the discount log2(rank + 1), and the
 * ideal ranking is of all judged documents. 0 where no document is relevant.
 */
export function ndcg(ids, grades, depth) {
  const gains = ids.slice(0, depth).map((id) => Math.max(0, grades.get(id) ?? 0));
  const best = [...grades.values()].filter((grade) => grade > 0).sort((a, b) => b - a);
  const ideal = dcg(best.slice(0, depth));
  return ideal > 0 ? dcg(gains) / ideal : 0;
}

const dcg = (gains) =>
  gains.reduce((total, gain, place) => total + gain / Math.log2(place + 2), 0);

export const mean = (values) =>
  values.length ? values.reduce((total, value) => total + value, 0) / values.length : 0;
