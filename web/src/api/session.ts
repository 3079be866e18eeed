import { sendJson } from "./client.ts";

/** Ends the session of this browser. */
export function signOut(): Promise<void> {
  return sendJson<void>("DELETE", "/api/v1/sessions/current");
}
