import { infiniteQueryOptions } from "@tanstack/react-query";
import { getJson, query, send, sendJson } from "./client.ts";
import type { AddedMember, Member, MemberChange, NewMember, Page, SignInLink } from "./types.ts";

const path = (id: string) => `/api/v1/users/${encodeURIComponent(id)}`;

/** The members of the tenant, page after page. */
export function peopleQuery() {
  return infiniteQueryOptions({
    queryKey: ["people"] as const,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      getJson<Page<Member>>(`/api/v1/users${query({ limit: 50, cursor: pageParam })}`, signal),
    getNextPageParam: (last) => last.next_cursor,
  });
}

/** Adds somebody to the tenant. The answer holds a one-time link that is shown this once. */
export function addPerson(person: NewMember): Promise<AddedMember> {
  return sendJson<AddedMember>("POST", "/api/v1/users", person);
}

/** Changes a membership as it is now: somebody else's change in between is read first, so that it is not lost unseen. */
export async function changePerson(id: string, change: MemberChange): Promise<void> {
  const now = await send(path(id), { headers: { accept: "application/json" } });
  await send(path(id), {
    method: "PATCH",
    headers: { "content-type": "application/json", "if-match": now.headers.get("etag") ?? "*" },
    body: JSON.stringify(change),
  });
}

/** Makes a one-time link for somebody. */
export function linkFor(id: string): Promise<SignInLink> {
  return sendJson<SignInLink>("POST", `${path(id)}/link`);
}

/** Ends all sessions of somebody. */
export function signOutPerson(id: string): Promise<unknown> {
  return sendJson("POST", `${path(id)}/sign-out`);
}

/** Takes somebody out of the tenant. */
export function removePerson(id: string): Promise<void> {
  return sendJson<void>("DELETE", path(id));
}
