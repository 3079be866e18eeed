#!/usr/bin/env python3
"""Ingests files into a server that is killed again and again, and checks what is there in the end.

Started by scripts/chaos.sh. A client uploads N markdown files and repeats what was not answered; meanwhile the process gets SIGKILL at
random counts of ready documents, and is started again. In the end:

- exactly N documents are there, all ready, each once;
- every document has as many chunks as the same document has without kills, in SQL and in the index;
- each document is found by its own word, once per chunk;
- `astrolabe check` and `astrolabe audit verify` find nothing wrong.

Exit code: 0, or 1 with what is wrong, or 2 when the run could not go on. The standard library only.
"""

import argparse
import collections
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

# Everything together may take this long before the run is given up, in seconds.
PATIENCE = 3600
# Files of one upload: small enough that kills fall between and into uploads.
BATCH = 10
# Syllables for words that no other document has.
SYLLABLES = ["ba", "ke", "mi", "no", "ru", "sa", "te", "vi", "zo", "la", "pe", "du", "fo", "gi", "hu", "ja"]


class Wrong(Exception):
    """What the run was to prove is not so."""


class Unusable(Exception):
    """The run cannot go on; the text says why."""


def word(number):
    """A word of its own for every document, far from those of others, without a common ending."""
    digits = []
    for _ in range(5):
        digits.append(SYLLABLES[number % 16])
        number //= 16
    return "".join(digits) + "x"


def document(number):
    """A markdown document of about three chunks; all documents have the same shape and length."""
    own = word(number)
    sentence = f"The pump {own} is inspected before the season begins, and what was found is written into its log. "
    parts = [f"# Pump {own}\n\n"]
    for title in ("Inspection", "Repair", "Storage"):
        parts.append(f"## {title}\n\n{sentence * 4}\n\n")
    return "".join(parts).encode()


class Server:
    """The real binary on one data directory."""

    def __init__(self, binary, work):
        self.binary = binary
        self.data = work / "data"
        self.log = open(work / "server.log", "ab")
        self.process = None
        self.url = None

    def start(self):
        self.process = subprocess.Popen(
            [self.binary, "serve", "--data-dir", str(self.data), "--listen", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Wrong(f"the server ended by itself with code {self.process.returncode}; see {self.log.name}")
            try:
                holder = json.loads((self.data / "lock").read_text())
                if holder["pid"] == self.process.pid and holder.get("url"):
                    self.url = holder["url"]
                    self.get("/readyz")
                    return
            except (OSError, ValueError, KeyError, Gone, Refused):
                pass
            time.sleep(0.02)
        raise Wrong(f"the server was not ready within two minutes; see {self.log.name}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def run(self, *arguments):
        return subprocess.run(
            [self.binary, *arguments, "--data-dir", str(self.data)], capture_output=True, text=True, check=False
        )

    def get(self, path):
        return self.request("GET", path)

    def request(self, method, path, body=None, content_type="application/json"):
        headers = {"Accept": "application/json"}
        try:
            headers["Authorization"] = "Bearer " + (self.data / "token").read_text().strip()
        except OSError:
            pass
        if body is not None:
            headers["Content-Type"] = content_type
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode("utf-8", "replace")) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Gone(str(error)) from error

    def pages(self, path):
        cursor, joiner = None, "&" if "?" in path else "?"
        while True:
            page = self.get(path + f"{joiner}limit=200" + (f"&cursor={cursor}" if cursor else ""))
            yield from page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return


class Gone(Exception):
    """No answer: the process was killed, or is starting."""


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


def multipart(files):
    boundary = uuid.uuid4().hex
    body = bytearray()
    for name, content in files:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
        body += b"Content-Type: text/markdown\r\n\r\n" + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return bytes(body), f"multipart/form-data; boundary={boundary}"


def upload(server, source, files, failures, done):
    """Uploads everything, repeating what was not answered, as a careful client does."""
    try:
        for begin in range(0, len(files), BATCH):
            body, kind = multipart(files[begin : begin + BATCH])
            while not done.is_set():
                try:
                    server.request("POST", f"/api/v1/sources/{source}/documents", body, kind)
                    break
                except Gone:
                    time.sleep(0.05)
                except Refused as refused:
                    # Being told to come back later is an answer to obey; anything else is wrong.
                    if refused.status not in (429, 503):
                        raise
                    time.sleep(0.2)
    except Exception as error:  # noqa: BLE001 - told by the main thread
        failures.append(error)


def states(server, source):
    """Documents by state, or nothing while the server cannot tell."""
    try:
        return server.get(f"/api/v1/sources/{source}")["documents_by_state"]
    except (Gone, Refused):
        return None


def main():
    parser = argparse.ArgumentParser(description="Kill a server while it ingests, and check what is there in the end.")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    chance = random.Random(options.seed)
    engine = "PostgreSQL" if os.environ.get("DATABASE_URL", "").startswith("postgres") else "SQLite"
    print(f"chaos: {options.files} files, {options.kills} kills, {engine}, seed {options.seed}", flush=True)

    server = Server(options.binary, options.work)
    done = threading.Event()
    client = None
    began = time.monotonic()
    try:
        server.start()
        source = server.request("POST", "/api/v1/sources", json.dumps({"name": "chaos"}).encode())["id"]
        # The reference: one document in a source of its own, without a kill.
        reference = server.request("POST", "/api/v1/sources", json.dumps({"name": "reference"}).encode())["id"]
        body, kind = multipart([("reference.md", document(options.files))])
        server.request("POST", f"/api/v1/sources/{reference}/documents", body, kind)
        while (found := states(server, reference)) is None or found["ready"] == 0:
            if found and found["failed"]:
                raise Wrong("the reference document failed")
            time.sleep(0.05)
        expected = server.get(f"/api/v1/sources/{reference}")["chunk_count"]

        files = [(f"pump-{number:04}.md", document(number)) for number in range(options.files)]
        failures = []
        client = threading.Thread(target=upload, args=(server, source, files, failures, done), daemon=True)
        client.start()
        # Each kill comes when so many documents are ready, so that all of them fall into the work.
        for count, at in enumerate(sorted(chance.randrange(options.files) for _ in range(options.kills)), 1):
            while (found := states(server, source)) is None or found["ready"] < at:
                check_patience(began)
                if failures:
                    raise failures[0]
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.4))
            server.kill()
            print(f"chaos: kill {count} at {found['ready']} ready, {found['running']} running, {found['queued']} queued", flush=True)
            server.start()
        client.join(timeout=PATIENCE)
        if failures:
            raise failures[0]
        while (found := states(server, source)) is None or found["queued"] + found["running"] > 0:
            check_patience(began)
            time.sleep(0.05)
        check(server, source, options.files, expected, chance)
    except (Wrong, Refused) as wrong:
        print(f"chaos: wrong: {wrong} (seed {options.seed})", file=sys.stderr)
        keep(server, options)
        return 1
    except (Gone, Unusable, subprocess.TimeoutExpired) as problem:
        print(f"chaos: {problem} (seed {options.seed})", file=sys.stderr)
        keep(server, options)
        return 2
    finally:
        done.set()
        if server.process and server.process.poll() is None:
            server.kill()
    print(f"chaos: {options.files} documents ready, {options.files * expected} chunks, each once; {time.monotonic() - began:.0f} s", flush=True)
    return 0


def keep(server, options):
    """Shows the end of the log: the folder goes away with the run."""
    server.log.flush()
    with open(server.log.name, encoding="utf-8", errors="replace") as log:
        sys.stderr.writelines(collections.deque(log, 20))


def check_patience(began):
    if time.monotonic() - began > PATIENCE:
        raise Unusable(f"not done after {PATIENCE} s")


def check(server, source, count, expected, chance):
    """What has to be true in the end."""
    documents = list(server.pages(f"/api/v1/sources/{source}/documents"))
    names = collections.Counter(d["name"] for d in documents)
    twice = [name for name, n in names.items() if n > 1]
    if len(documents) != count or twice:
        raise Wrong(f"{len(documents)} documents instead of {count}; twice: {twice[:5]}")
    unready = [(d["name"], d["state"], d["error"]) for d in documents if d["state"] != "ready"]
    if unready:
        raise Wrong(f"{len(unready)} documents are not ready: {unready[:5]}")
    odd = [(d["name"], d["chunk_count"]) for d in documents if d["chunk_count"] != expected]
    if odd:
        raise Wrong(f"{len(odd)} documents have not {expected} chunks: {odd[:5]}")
    total = server.get(f"/api/v1/sources/{source}")["chunk_count"]
    if total != count * expected:
        raise Wrong(f"the source has {total} chunks instead of {count * expected}")
    # The index: every document has its chunks there once. All of them would take long, so a sample of 200 is asked.
    for number in sorted(chance.sample(range(count), min(count, 200))):
        name = f"pump-{number:04}.md"
        query = json.dumps({"query": word(number), "sources": [source], "limit": 50}).encode()
        items = server.request("POST", "/api/v1/search", query)["items"]
        own = [item["chunk_id"] for item in items if item["document"] == name]
        if len(own) != expected or len(set(own)) != expected:
            raise Wrong(f"search finds {len(own)} chunks of {name} ({len(set(own))} different) instead of {expected}")
    server.stop()
    for arguments in (["check"], ["audit", "verify"]):
        result = server.run(*arguments)
        if result.returncode != 0:
            raise Wrong(f"`astrolabe {' '.join(arguments)}` says: {result.stdout[-1000:]}{result.stderr[-1000:]}")


if __name__ == "__main__":
    sys.exit(main())
