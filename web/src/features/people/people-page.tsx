import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { addPerson, changePerson, linkFor, peopleQuery, removePerson, signOutPerson } from "../../api/people.ts";
import type { Member, Role } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { ConfirmDialog, Dialog, dialogActions } from "../../ui/dialog.tsx";
import form from "../../ui/form.module.css";
import { Icon } from "../../ui/icons.tsx";
import { Page } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import rows from "../../ui/rows.module.css";
import { Section } from "../../ui/section.tsx";
import css from "./people.module.css";

const ROLES: readonly Role[] = ["none", "viewer", "editor", "tenant_admin", "admin"];

/** Who belongs to the tenant, with what they may do there. */
export function PeoplePage() {
  const { t } = useI18n();
  const people = useInfiniteQuery(peopleQuery());
  return (
    <Page title={t("people.title")} lead={t("people.lead")}>
      <Section title={t("people.members")} none={t("people.none")} list={people} actions={<AddPerson />}>
        {(people.data?.pages.flatMap((page) => page.items) ?? []).map((person) => (
          <PersonRow key={person.id} person={person} />
        ))}
      </Section>
    </Page>
  );
}

function PersonRow({ person }: { person: Member }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const refresh = () => client.invalidateQueries({ queryKey: ["people"] });
  const act = useMutation({
    mutationFn: (action: "sign-out" | "remove" | "suspend" | "resume"): Promise<unknown> => {
      if (action === "sign-out") return signOutPerson(person.id);
      if (action === "remove") return removePerson(person.id);
      return changePerson(person.id, { state: action === "suspend" ? "suspended" : "active" });
    },
    onSettled: refresh,
  });
  const suspended = person.state === "suspended";
  return (
    <li className={rows.row}>
      <span className={suspended ? `${css.name} ${css.suspended}` : css.name}>
        {person.name}
        {person.email && person.email !== person.name && <span className={css.email}> {person.email}</span>}
      </span>
      <span className={rows.rest}>
        {t(`people.role.${person.role}`)}
        {person.capabilities.length > 0 && ` · ${person.capabilities.join(", ")}`}
        {suspended && <span className={rows.bad}> · {t("people.suspended")}</span>}
      </span>
      <span className={css.actions}>
        <Dialog
          title={person.name}
          trigger={
            <Button small emphasis="quiet" aria-label={`${t("people.edit")}: ${person.name}`}>
              {t("people.edit")}
            </Button>
          }
        >
          {(close) => <EditPerson person={person} onClose={close} />}
        </Dialog>
        <Dialog
          title={t("people.link")}
          trigger={
            <Button small emphasis="quiet" aria-label={`${t("people.link")}: ${person.name}`}>
              {t("people.link")}
            </Button>
          }
        >
          {(close) => <NewLink person={person} onClose={close} />}
        </Dialog>
        <Button small emphasis="quiet" isDisabled={act.isPending} onPress={() => act.mutate("sign-out")}>
          {t("people.signOut")}
        </Button>
        <Button
          small
          emphasis="quiet"
          isDisabled={act.isPending}
          onPress={() => act.mutate(suspended ? "resume" : "suspend")}
        >
          {t(suspended ? "people.resume" : "people.suspend")}
        </Button>
        <ConfirmDialog
          trigger={
            <Button
              small
              emphasis="quiet"
              isDisabled={act.isPending}
              aria-label={`${t("people.remove")}: ${person.name}`}
            >
              {t("people.remove")}
            </Button>
          }
          title={t("people.remove.title", { name: person.name })}
          body={t("people.remove.body")}
          confirm={t("people.remove")}
          onConfirm={() => act.mutate("remove")}
        />
      </span>
      {act.isError && <ProblemView cause={act.error} />}
    </li>
  );
}

function AddPerson() {
  const { t } = useI18n();
  return (
    <Dialog
      title={t("people.add")}
      trigger={
        <Button small>
          <Icon name="plus" /> {t("people.add")}
        </Button>
      }
    >
      {(close) => <AddForm onClose={close} />}
    </Dialog>
  );
}

/** Capability roles as they are typed, separated by commas. */
function listed(text: string): string[] {
  return text
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
}

function AddForm({ onClose }: { onClose: () => void }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [capabilities, setCapabilities] = useState("");
  const ids = { email: useId(), name: useId() };
  const add = useMutation({
    mutationFn: () =>
      addPerson({ email: email.trim(), name: name.trim() || null, role, capabilities: listed(capabilities) }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["people"] }),
  });
  if (add.data) return <OneTimeLink path={add.data.sign_in_path} onClose={onClose} />;
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (email.trim() !== "") add.mutate();
      }}
    >
      <div className={form.field}>
        <label htmlFor={ids.email}>{t("session.email")}</label>
        <input
          id={ids.email}
          type="email"
          // biome-ignore lint/a11y/noAutofocus: an opened dialog takes the focus into its first field
          autoFocus
          required
          maxLength={254}
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
      </div>
      <div className={form.field}>
        <label htmlFor={ids.name}>{t("people.name")}</label>
        <input id={ids.name} maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
      </div>
      <Roles role={role} onRole={setRole} capabilities={capabilities} onCapabilities={setCapabilities} />
      {add.isError && <ProblemView cause={add.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={add.isPending || email.trim() === ""}>
          {t("people.add.do")}
        </Button>
      </div>
    </form>
  );
}

function EditPerson({ person, onClose }: { person: Member; onClose: () => void }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const [role, setRole] = useState<Role>(person.role);
  const [capabilities, setCapabilities] = useState(person.capabilities.join(", "));
  const save = useMutation({
    mutationFn: () => changePerson(person.id, { role, capabilities: listed(capabilities) }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["people"] });
      onClose();
    },
  });
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Roles role={role} onRole={setRole} capabilities={capabilities} onCapabilities={setCapabilities} />
      {save.isError && <ProblemView cause={save.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={save.isPending}>
          {t("source.edit.save")}
        </Button>
      </div>
    </form>
  );
}

function Roles({
  role,
  onRole,
  capabilities,
  onCapabilities,
}: {
  role: Role;
  onRole: (role: Role) => void;
  capabilities: string;
  onCapabilities: (text: string) => void;
}) {
  const { t } = useI18n();
  const ids = { role: useId(), capabilities: useId() };
  return (
    <>
      <div className={form.field}>
        <label htmlFor={ids.role}>{t("people.role")}</label>
        <select id={ids.role} value={role} onChange={(event) => onRole(event.target.value as Role)}>
          {ROLES.map((each) => (
            <option key={each} value={each}>
              {t(`people.role.${each}`)}
            </option>
          ))}
        </select>
      </div>
      <div className={form.field}>
        <label htmlFor={ids.capabilities}>{t("people.capabilities")}</label>
        <input id={ids.capabilities} value={capabilities} onChange={(event) => onCapabilities(event.target.value)} />
      </div>
    </>
  );
}

function NewLink({ person, onClose }: { person: Member; onClose: () => void }) {
  const { t } = useI18n();
  const make = useMutation({ mutationFn: () => linkFor(person.id) });
  if (make.data) return <OneTimeLink path={make.data.sign_in_path} onClose={onClose} />;
  return (
    <div className={form.form}>
      <p>{t("people.link.body", { name: person.name })}</p>
      {make.isError && <ProblemView cause={make.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" isDisabled={make.isPending} onPress={() => make.mutate()}>
          {t("people.link")}
        </Button>
      </div>
    </div>
  );
}

/** A one-time link: shown this once. */
function OneTimeLink({ path, onClose }: { path: string; onClose: () => void }) {
  const { t } = useI18n();
  const [copied, setCopied] = useState(false);
  const link = `${window.location.origin}${path}`;
  return (
    <div className={form.form}>
      <p role="status">{t("people.link.made")}</p>
      <code className={css.link}>{link}</code>
      <div className={dialogActions}>
        <Button onPress={() => void navigator.clipboard.writeText(link).then(() => setCopied(true))}>
          <Icon name={copied ? "check" : "copy"} /> {t(copied ? "ask.copied" : "keys.secret.copy")}
        </Button>
        <Button emphasis="primary" onPress={onClose}>
          {t("app.close")}
        </Button>
      </div>
    </div>
  );
}
