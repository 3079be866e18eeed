import { queryOptions } from "@tanstack/react-query";
import { getJson, sendJson } from "./client.ts";
import type { SignedIn, SignInMethods } from "./types.ts";

/** The ways to sign in beside e-mail and password. */
export function signInMethods() {
  return queryOptions({
    queryKey: ["sign-in"] as const,
    queryFn: ({ signal }) => getJson<SignInMethods>("/api/sign-in", signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** Why a sign-in at the provider came to nothing, as the server's redirect to the page says; nothing when there was none. */
export function signInFailure(search: string): "denied" | "expired" | "refused" | "unavailable" | undefined {
  const said = new URLSearchParams(search).get("sign_in");
  return said === "denied" || said === "expired" || said === "refused" || said === "unavailable" ? said : undefined;
}

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
