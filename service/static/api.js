/** Requests to the server, which come from here alone. */

const KEY = "lsr-key";
const TRIES = 5;

class ApiError extends Error {
  /** `status` is 0 where there was no answer; `wait` the seconds after which to ask again. */
  constructor(message, status, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

/** The key that requests bring along, for as long as this tab is open. */
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** What the server answers to a request, as JSON; a body makes it a POST. */
async function ask(path, signal, body) {
  const headers = { "Content-Type": "application/json" };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  const method = body ? "POST" : "GET";
  const request = fetch(path, { signal, method, headers, body: JSON.stringify(body) });
  const response = await request.catch(() => null);
  if (!response) {
    throw new ApiError("The server can’t be reached; check that it is running.", 0);
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  if (response.status === 401) document.dispatchEvent(new Event("key-wanted"));
  const unreadable = `The server answered with status ${response.status} and no reason.`;
  const wait = Number(response.headers.get("Retry-After")) || 1;
  throw new ApiError(answer?.error?.message ?? unreadable, response.status, wait);
}

/** The same, asked again where the server is too busy and says so. */
async function askPatiently(path, signal, body) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask(path, signal, body);
    } catch (error) {
      const busy = error.status === 429 || error.status === 503;
      if (!busy || attempt === TRIES || signal.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.wait));
    }
  }
}

const pathOf = (name) => `/v1/indexes/${encodeURIComponent(name)}`;

export const listIndexes = (signal) => ask("/v1/indexes", signal);
export const describeIndex = (name, signal) => ask(pathOf(name), signal);
export const countFacets = (name, signal, body) => ask(`${pathOf(name)}/facets`, signal, body);
export const search = (name, signal, body) => ask(`${pathOf(name)}/search`, signal, body);
export const searchPatiently = (name, signal, body) =>
  askPatiently(`${pathOf(name)}/search`, signal, body);
