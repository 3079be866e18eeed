#!/usr/bin/env python3
"""Asks a running Astrolabe the example questions and counts the right answers.

    python3 bench/questions.py --url http://127.0.0.1:8080 --token-file data/token \
        --questions examples/questions/en.jsonl [--sources NAME ...] [--at-least 17] [--json]

A question with an answer is right when three things hold: `answered` is true, one of the question's gold
strings stands in `answer`, and a citation of the gold document holds a gold string as well. An answer that is
right by luck, with another document under it, therefore does not count. A question without an answer is right
when `answered` is false. Letter case and white space are folded before strings are compared.

Exit code: 0, or 1 when fewer than `--at-least` questions are right, or 2 when the server or a file cannot be
read. Needs the Python standard library only.
"""

import argparse
import http.client
import json
import re
import sys
import time
import unicodedata
import urllib.error
import urllib.request

# A model on two cores may take a while to write; an extractive answer never comes near this.
TIMEOUT_SECONDS = 120


class Unusable(Exception):
    """The run cannot go on; the text says why and what to do."""


def fold(text):
    """Folds compatibility forms, white space and letter case, so that a line break inside a sentence or a
    no-break space inside a number does not make two equal strings differ."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip().casefold()


def holds(text, gold):
    """Whether a gold string stands in the text, not counting one that begins or ends inside a longer number:
    `5 days` is not found in `15 days`."""
    text = fold(text)
    for string in map(fold, gold):
        before = r"(?<!\d)" if string[:1].isdigit() else ""
        after = r"(?!\d)" if string[-1:].isdigit() else ""
        if re.search(before + re.escape(string) + after, text):
            return True
    return False


def names(cited, gold):
    """Whether a cited document's name is the gold document's path, perhaps below a longer path or with the
    separators of another system."""
    cited = cited.replace("\\", "/").strip("/")
    return cited == gold or cited.endswith("/" + gold)


def read_questions(path):
    """The questions of a file of JSON lines; blank lines are passed over."""
    questions = []
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                question = json.loads(line)
                missing = {"id", "question", "answerable"} - question.keys()
                if question.get("answerable") and not (question.get("document") and question.get("answer_any")):
                    missing.add("document or answer_any")
                if missing:
                    raise Unusable(f"{path}, line {number}: missing {', '.join(sorted(missing))}")
                questions.append(question)
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"cannot read the questions: {error}") from error
    except json.JSONDecodeError as error:
        raise Unusable(f"{path}, line {number}: not JSON: {error}") from error
    if not questions:
        raise Unusable(f"{path} holds no question")
    return questions


def ask(url, token, question, sources):
    """One answer of `POST /api/v1/ask` and the seconds it took."""
    body = {"question": question}
    if sources:
        body["sources"] = sources
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = "Bearer " + token
    request = urllib.request.Request(
        url.rstrip("/") + "/api/v1/ask", json.dumps(body).encode(), headers, method="POST"
    )
    # No proxy of the environment stands between this program and a server that is usually on the same machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    began = time.monotonic()
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        detail = error.read().decode("utf-8", "replace")[:500]
        raise Unusable(f"the server answered {error.code}: {detail}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unusable(f"no answer from {url}: {error}; start it with `astrolabe serve`") from error
    return answer, time.monotonic() - began


def judge(question, answer):
    """Whether the answer is right, and a word that says why not."""
    answered = bool(answer.get("answered"))
    if not question["answerable"]:
        return (not answered, "refused" if not answered else "answered, should refuse")
    if not answered:
        return False, "refused, should answer"
    gold = question["answer_any"]
    if not holds(answer.get("answer") or "", gold):
        return False, "wrong answer"
    cited = [c for c in answer.get("citations") or [] if names(c.get("document") or "", question["document"])]
    if not cited:
        return False, "document not cited"
    if not any(holds(c.get("text") or "", gold) for c in cited):
        return False, "passage not cited"
    return True, "right"


def run(arguments):
    """Asks everything, prints the result and gives the exit code."""
    token = None
    if arguments.token_file:
        try:
            with open(arguments.token_file, encoding="utf-8") as file:
                token = file.read().strip()
        except OSError as error:
            raise Unusable(f"cannot read the token: {error}") from error
    questions = read_questions(arguments.questions)
    rows = []
    for question in questions:
        answer, seconds = ask(arguments.url, token, question["question"], arguments.sources)
        right, verdict = judge(question, answer)
        rows.append(
            {
                "id": question["id"],
                "question": question["question"],
                "answerable": question["answerable"],
                "right": right,
                "verdict": verdict,
                "milliseconds": round(seconds * 1000, 1),
                "mode": answer.get("mode"),
                "retrieval": answer.get("retrieval"),
                "answer": answer.get("answer"),
                "documents": [c.get("document") for c in answer.get("citations") or []],
                "scores": [c.get("score") for c in answer.get("citations") or []],
            }
        )
        if not arguments.json:
            show(rows[-1], arguments.verbose)
    report(rows, arguments.json)
    count = sum(row["right"] for row in rows)
    return 1 if arguments.at_least is not None and count < arguments.at_least else 0


def show(row, verbose):
    """Prints one row of the table; with `verbose` the answer below it, as is what went wrong."""
    mark = "ok " if row["right"] else "BAD"
    print(f"{mark} {row['id']:<10} {row['milliseconds']:>8.1f} ms  {row['verdict']:<24} {row['question']}", flush=True)
    if verbose and row["verdict"] != "refused":
        print("      " + " ".join((row["answer"] or "").split())[:400])
        print("      cited: " + (", ".join(filter(None, row["documents"])) or "nothing"))


def report(rows, as_json):
    """Prints the totals: of all questions, of those with an answer and of those without."""

    def share(part):
        return {"right": sum(row["right"] for row in part), "of": len(part)}

    times = sorted(row["milliseconds"] for row in rows)
    total = {
        "total": share(rows),
        "answerable": share([row for row in rows if row["answerable"]]),
        "unanswerable": share([row for row in rows if not row["answerable"]]),
        "median_milliseconds": times[len(times) // 2],
    }
    if as_json:
        print(json.dumps({**total, "questions": rows}, ensure_ascii=False, indent=2))
        return
    parts = [f"{name} {total[name]['right']}/{total[name]['of']}" for name in ("answerable", "unanswerable")]
    modes = sorted({f"{row['mode']}, {row['retrieval']}" for row in rows})
    print(f"{total['total']['right']}/{total['total']['of']}  ({'; '.join(parts)}; median "
          f"{total['median_milliseconds']:.1f} ms; {' | '.join(modes)})")


def main():
    parser = argparse.ArgumentParser(
        description="Ask a running Astrolabe the example questions and count the right answers."
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="address of the server")
    parser.add_argument("--token-file", help="file with the token, `token` in the data directory")
    parser.add_argument("--questions", required=True, help="file of JSON lines, such as examples/questions/en.jsonl")
    parser.add_argument("--sources", nargs="+", metavar="NAME", help="ask these sources only (default: all)")
    parser.add_argument("--at-least", type=int, metavar="N", help="exit with 1 when fewer than N are right")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--verbose", action="store_true", help="print each answer and what it cites")
    try:
        return run(parser.parse_args())
    except Unusable as problem:
        print(f"questions: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
