import type { Problem } from "./types.ts";

/** A request that did not succeed: the server's problem, or `status` 0 when the server could not be reached. */
export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.name = "ApiError";
    this.status = problem.status;
    this.problem = problem;
  }

  /** True when nobody answered. */
  get network(): boolean {
    return this.status === 0;
  }
}

/** Listeners that want to know when a request was refused for want of a session. */
const refused = new Set<() => void>();

/** Calls `listener` whenever the server answers 401; returns the way to stop. */
export function onSignedOut(listener: () => void): () => void {
  refused.add(listener);
  return () => refused.delete(listener);
}

async function problemOf(response: Response): Promise<Problem> {
  const fallback: Problem = { title: response.statusText || `HTTP ${response.status}`, status: response.status };
  const request = response.headers.get("x-request-id");
  if (request) fallback.request_id = request;
  if (!/json/.test(response.headers.get("content-type") ?? "")) return fallback;
  try {
    return { ...fallback, ...((await response.json()) as Partial<Problem>), status: response.status };
  } catch {
    return fallback;
  }
}

/**
 * Sends a request and returns the response when it succeeded. Throws {@link ApiError} otherwise; an abort is
 * passed on as it is, since it is the caller's own wish.
 */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  // Old browsers do not tell which page a request comes from. This header, which only a page of this server may set, does.
  const headers = new Headers(init.headers);
  headers.set("x-requested-with", "astrolabe");
  try {
    response = await fetch(path, { credentials: "same-origin", ...init, headers });
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new ApiError({ title: "network", status: 0, code: "network" });
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401) for (const listener of refused) listener();
  throw new ApiError(problem);
}

/** Gets JSON. */
export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await send(path, { headers: { accept: "application/json" }, signal });
  return (await response.json()) as T;
}

/**
 * Sends JSON and reads JSON back (`undefined` for an empty reply). Posts carry an idempotency key, so that a
 * repeat by the browser or a proxy has no second effect.
 */
export async function sendJson<T>(method: "POST" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (method === "POST") headers["idempotency-key"] = crypto.randomUUID();
  const response = await send(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

/** Builds a query string from the given values, leaving out what is undefined. */
export function query(values: Record<string, string | number | undefined | null>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}
