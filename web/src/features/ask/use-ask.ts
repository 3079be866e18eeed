import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useReducer, useRef } from "react";
import { ask, type Question, replayAsk } from "../../api/asks.ts";
import type { Answer, AskEvent } from "../../api/types.ts";

/** Where an answer is on its way. */
export type Phase = "idle" | "searching" | "answering" | "done" | "failed" | "stopped";

/** One answer as far as the page knows it. */
export interface AskState {
  readonly phase: Phase;
  readonly id?: string;
  readonly question: string;
  readonly text: string;
  readonly passages?: number;
  readonly result?: Answer;
  readonly error?: unknown;
  readonly resuming: boolean;
  /** True for an answer that was asked earlier and is only shown again. */
  readonly replayed: boolean;
}

type Action =
  | { kind: "begin"; question: string; id?: string; replayed: boolean }
  | { kind: "event"; event: AskEvent }
  | { kind: "resuming"; resuming: boolean }
  | { kind: "failed"; error: unknown }
  | { kind: "stopped" }
  | { kind: "reset" };

const IDLE: AskState = { phase: "idle", question: "", text: "", resuming: false, replayed: false };

/** The next state of an answer; pure, so that its rules can be tested without a page. */
export function reduceAsk(state: AskState, action: Action): AskState {
  switch (action.kind) {
    case "reset":
      return IDLE;
    case "begin":
      return { ...IDLE, phase: "searching", question: action.question, id: action.id, replayed: action.replayed };
    case "resuming":
      return { ...state, resuming: action.resuming };
    case "stopped":
      return { ...state, phase: "stopped", resuming: false };
    case "failed":
      return { ...state, phase: "failed", error: action.error, resuming: false };
    case "event":
      return reduceEvent(state, action.event);
  }
}

function reduceEvent(state: AskState, event: AskEvent): AskState {
  switch (event.kind) {
    case "ask.started":
      return { ...state, id: event.data.id, question: event.data.question };
    case "ask.retrieved":
      return { ...state, passages: event.data.passages };
    case "answer.delta":
      return { ...state, phase: "answering", text: state.text + event.data.text };
    case "ask.completed":
      return {
        ...state,
        phase: "done",
        id: event.data.id,
        question: event.data.question,
        text: event.data.answer,
        result: event.data,
        resuming: false,
      };
    case "ask.failed":
      return {
        ...state,
        phase: "failed",
        resuming: false,
        error: { problem: { title: event.data.message, status: 500, code: event.data.code } },
      };
  }
}

/**
 * Asks, and shows an earlier answer again when `shown` (the id in the address) names another one than the
 * current. `onStarted` is called with the id of a new ask, for the address.
 */
export function useAsk(shown: string | undefined, onStarted: (id: string) => void) {
  const client = useQueryClient();
  const [state, dispatch] = useReducer(reduceAsk, IDLE);
  const running = useRef<AbortController>(undefined);
  const current = useRef<string>(undefined);

  const run = useCallback(
    async (events: (signal: AbortSignal, onState: (s: "open" | "resuming") => void) => AsyncGenerator<AskEvent>) => {
      running.current?.abort();
      const controller = new AbortController();
      running.current = controller;
      const live = () => running.current === controller;
      try {
        const onState = (s: "open" | "resuming") =>
          live() && dispatch({ kind: "resuming", resuming: s === "resuming" });
        for await (const event of events(controller.signal, onState)) {
          if (!live()) return;
          if (event.kind === "ask.started" && current.current !== event.data.id) {
            current.current = event.data.id;
            onStarted(event.data.id);
          }
          dispatch({ kind: "event", event });
          if (event.kind === "ask.completed") void client.invalidateQueries({ queryKey: ["asks"] });
        }
      } catch (error) {
        if (live() && !controller.signal.aborted) dispatch({ kind: "failed", error });
      }
    },
    [client, onStarted],
  );

  const submit = useCallback(
    (question: Question) => {
      current.current = undefined;
      dispatch({ kind: "begin", question: question.question, replayed: false });
      void run((signal, onState) => ask(question, signal, onState));
    },
    [run],
  );

  const stop = useCallback(() => {
    running.current?.abort();
    running.current = undefined;
    dispatch({ kind: "stopped" });
  }, []);

  useEffect(() => {
    if (shown === current.current) return;
    current.current = shown;
    if (shown === undefined) {
      running.current?.abort();
      running.current = undefined;
      dispatch({ kind: "reset" });
      return;
    }
    dispatch({ kind: "begin", question: "", id: shown, replayed: true });
    void run((signal, onState) => replayAsk(shown, signal, onState));
  }, [shown, run]);

  useEffect(
    () => () => {
      running.current?.abort();
      current.current = undefined;
    },
    [],
  );

  return { state, submit, stop };
}
