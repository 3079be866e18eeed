import { sendJson } from "./client.ts";
import type { SignedIn } from "./types.ts";

/** Ends the session of this browser. */
export function signOut(): Promise<void> {
  return sendJson<void>("DELETE", "/api/v1/sessions/current");
}

/** Signs this browser in with e-mail and password; `tenant` is the slug of another tenant than the account's own. */
export function signIn(email: string, password: string, tenant?: string): Promise<SignedIn> {
  return sendJson<SignedIn>("POST", "/api/v1/sessions", { email, password, ...(tenant ? { tenant } : {}) });
}

/** Changes the password of the signed-in person. */
export function changePassword(current: string, password: string): Promise<unknown> {
  return sendJson("POST", "/api/v1/me/password", { current_password: current, password });
}

/** Goes on in another tenant that the signed-in person is a member of. */
export function switchTenant(slug: string): Promise<unknown> {
  return sendJson("POST", "/api/v1/sessions/current/tenant", { tenant: slug });
}
