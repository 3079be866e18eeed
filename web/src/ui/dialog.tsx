import type { ReactNode } from "react";
import { Dialog as AriaDialog, DialogTrigger } from "react-aria-components/Dialog";
import { Heading } from "react-aria-components/Heading";
import { Modal, ModalOverlay } from "react-aria-components/Modal";
import { useI18n } from "../lib/i18n/index.ts";
import { Button } from "./button.tsx";
import css from "./dialog.module.css";

/** A dialog over the page, opened by `trigger` (a button). The content gets a function that closes it. */
export function Dialog({
  trigger,
  title,
  role = "dialog",
  children,
}: {
  trigger: ReactNode;
  title: string;
  role?: "dialog" | "alertdialog";
  children: (close: () => void) => ReactNode;
}) {
  return (
    <DialogTrigger>
      {trigger}
      <ModalOverlay className={css.overlay ?? ""} isDismissable={role === "dialog"}>
        <Modal className={css.modal ?? ""}>
          <AriaDialog className={css.dialog ?? ""} role={role}>
            {({ close }) => (
              <>
                <Heading slot="title" className={css.title}>
                  {title}
                </Heading>
                {children(close)}
              </>
            )}
          </AriaDialog>
        </Modal>
      </ModalOverlay>
    </DialogTrigger>
  );
}

/** Asks before something that cannot be undone. Focus starts on the harmless choice. */
export function ConfirmDialog({
  trigger,
  title,
  body,
  confirm,
  onConfirm,
}: {
  trigger: ReactNode;
  title: string;
  body: string;
  confirm: string;
  onConfirm: () => void;
}) {
  const { t } = useI18n();
  return (
    <Dialog trigger={trigger} title={title} role="alertdialog">
      {(close) => (
        <>
          <p className={css.body}>{body}</p>
          <div className={css.actions}>
            <Button autoFocus onPress={close}>
              {t("app.cancel")}
            </Button>
            <Button
              emphasis="danger"
              onPress={() => {
                onConfirm();
                close();
              }}
            >
              {confirm}
            </Button>
          </div>
        </>
      )}
    </Dialog>
  );
}

/** The class of a dialog's row of buttons. */
export const dialogActions = css.actions;
