#!/usr/bin/env python3
"""Measures the real binary beside a FastAPI + uvicorn peer in the same run. Started by bench/run.sh.

What is measured, and how:

- start: from `exec` to the first 200 of `/healthz`, on a data directory that exists; the median of the rounds, both taking turns.
- memory: resident bytes of the idle process (VmRSS of /proc), without and with the embedding model, five seconds after it is ready.
- load: `GET /healthz` with wrk, as fast as it goes with 16 connections, and with hey at 2,000 requests a second; both taking turns.
- questions: the twenty questions of each example language, by `astrolabe eval`.
- search: `POST /api/v1/search` with the text of every question, one after another.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
LANGUAGES = ["en", "pl", "ru"]
PATIENCE = 180


class Unusable(Exception):
    """The run cannot go on; the text says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def opener():
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def status_of(url):
    try:
        with opener().open(url, timeout=5) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


class Process:
    """A server on a port of its own."""

    def __init__(self, name, command, port, log, env=None):
        self.name, self.command, self.port, self.log, self.env = name, command, port, log, env
        self.url = f"http://127.0.0.1:{port}"
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.env, cwd=ROOT
        )
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def first_200(self, path="/healthz"):
        """Milliseconds from now to the first 200, asking as fast as a plain socket can."""
        began = time.perf_counter()
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n".encode()
        while time.perf_counter() - began < PATIENCE:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(request)
                    if connection.recv(64).startswith(b"HTTP/1.1 200"):
                        return (time.perf_counter() - began) * 1000
            except OSError:
                pass
            if self.process.poll() is not None:
                raise Unusable(f"{self.name} ended with code {self.process.returncode}; see {self.log.name}")
            time.sleep(0.0002)
        raise Unusable(f"{self.name} did not answer within {PATIENCE} s")

    def ready(self, path):
        deadline = time.monotonic() + PATIENCE
        while status_of(self.url + path) != 200:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise Unusable(f"{self.name} is not ready; see {self.log.name}")
            time.sleep(0.05)

    def resident_mb(self):
        total = 0
        for pid in [self.process.pid, *children(self.process.pid)]:
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1))
        return total / 1024


def children(pid):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


class Bench:
    def __init__(self, options):
        self.options = options
        self.rows = []
        self.log = open(options.work / "servers.log", "ab")

    def astrolabe(self, data, model=True):
        port = free_port()
        env = dict(os.environ, ASTROLABE_LOG_LEVEL="warn", ASTROLABE_MODELS_DIR=str(self.options.models))
        # Counted all the same, but never reached: one caller stands for many here.
        for kind in ("READ", "WRITE", "ASK", "UPLOAD"):
            env |= {f"ASTROLABE_LIMITS_{scope}{kind}_PER_MINUTE": "60000000" for scope in ("", "TENANT_")}
        env["ASTROLABE_KNOWLEDGE_EMBEDDINGS"] = "true" if model else "false"
        command = [self.options.binary, "serve", "--data-dir", str(data), "--listen", f"127.0.0.1:{port}"]
        return Process("astrolabe", command, port, self.log, env)

    def peer(self):
        port = free_port()
        uvicorn = self.options.peer / "bin" / "uvicorn"
        command = [str(uvicorn), "--app-dir", str(ROOT / "bench"), "peer:app", "--port", str(port), "--log-level", "warning"]
        return Process("FastAPI + uvicorn", command, port, self.log)

    def row(self, what, ours, theirs, target=""):
        self.rows.append((what, ours, theirs, target))
        print(f"  {what:<58} {ours:>18} {theirs:>18}   {target}", flush=True)

    def size(self):
        megabytes = os.path.getsize(self.options.binary) / 1e6
        venv = sum(f.stat().st_size for f in self.options.peer.rglob("*") if f.is_file() and not f.is_symlink()) / 1e6
        self.row("size of the binary, of the peer's environment", f"{megabytes:.1f} MB", f"{venv:.1f} MB")

    def start(self):
        data = self.options.work / "start"
        times = {"astrolabe": [], "peer": []}
        with self.astrolabe(data) as server:
            server.ready("/readyz")
        for _ in range(self.options.rounds):
            for name, process in (("astrolabe", self.astrolabe(data)), ("peer", self.peer())):
                with process as server:
                    times[name].append(server.first_200())
        ours, theirs = (statistics.median(times[name]) for name in ("astrolabe", "peer"))
        self.row(f"start to first 200, median of {self.options.rounds}", f"{ours:.1f} ms", f"{theirs:.0f} ms", "< 50 ms")

    def memory(self):
        with self.peer() as server:
            server.first_200()
            time.sleep(5)
            theirs = server.resident_mb()
        for model, target in ((False, "< 40 MB"), (True, "< 200 MB")):
            with self.astrolabe(self.options.work / "memory", model) as server:
                server.ready("/readyz")
                self.settle(server)
                time.sleep(5)
                word = "with" if model else "without"
                if model and not self.has_model(server):
                    self.row("idle memory with the model", "no weights", "", target)
                    continue
                self.row(f"idle memory {word} the model", f"{server.resident_mb():.1f} MB", f"{theirs:.1f} MB", target)

    def settle(self, server):
        """Waits while a dependency is still loading."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with opener().open(server.url + "/readyz", timeout=5) as response:
                states = [d["status"] for d in json.load(response)["dependencies"].values()]
            if "loading" not in states:
                return
            time.sleep(0.1)
        raise Unusable("the model did not load")

    def has_model(self, server):
        with opener().open(server.url + "/readyz", timeout=5) as response:
            return json.load(response)["dependencies"]["embedder"]["status"] == "ok"

    def load(self):
        full = {"astrolabe": [], "peer": []}
        paced = {"astrolabe": [], "peer": []}
        with self.astrolabe(self.options.work / "load", False) as ours, self.peer() as theirs:
            ours.ready("/readyz")
            theirs.first_200()
            for _ in range(max(1, self.options.rounds // 4)):
                for name, server in (("astrolabe", ours), ("peer", theirs)):
                    full[name].append(self.wrk(server.url + "/healthz"))
                    paced[name].append(self.hey(server.url + "/healthz"))
        rates = [statistics.median(r for r, _ in full[name]) for name in full]
        slow = [statistics.median(p for _, p in full[name]) for name in full]
        self.row("GET /healthz, 16 connections: requests a second", f"{rates[0]:,.0f}", f"{rates[1]:,.0f}")
        self.row("GET /healthz, 16 connections: p99", f"{slow[0]:.2f} ms", f"{slow[1]:.2f} ms")
        pace = [statistics.median(p for _, p in paced[name]) for name in paced]
        got = [statistics.median(r for r, _ in paced[name]) for name in paced]
        self.row("GET /healthz at 2,000 a second: p99 (reached a second)", f"{pace[0]:.2f} ms ({got[0]:,.0f})", f"{pace[1]:.2f} ms ({got[1]:,.0f})", "< 5 ms")

    def wrk(self, url):
        command = ["wrk", "-t1", "-c16", f"-d{self.options.seconds}s", "--latency", url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in text:
            raise Unusable(f"wrk met refusals:\n{text}")
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
        value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
        return rate, float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]

    def hey(self, url):
        command = ["hey", "-z", f"{self.options.seconds}s", "-c", "20", "-q", "100", url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
        return rate, float(re.search(r"99% in ([\d.]+) secs", text).group(1)) * 1000

    def corpus(self):
        """A server with the handbook and the examples, all ready."""
        data = self.options.work / "corpus"
        server = self.astrolabe(data)
        server.__enter__()
        server.ready("/readyz")
        self.settle(server)
        began = time.monotonic()
        for source, path in [("handbook", "docs/handbook"), *((f"examples-{x}", f"examples/{x}") for x in LANGUAGES)]:
            command = [self.options.binary, "ingest", path, "--source", source, "--data-dir", str(data)]
            subprocess.run(command, cwd=ROOT, stdout=self.log, stderr=self.log, check=True)
        token = (data / "token").read_text().strip()
        seconds = time.monotonic() - began
        request = urllib.request.Request(server.url + "/api/v1/sources", headers={"Authorization": "Bearer " + token})
        with opener().open(request) as response:
            sources = json.load(response)["items"]
        documents = sum(s["document_count"] for s in sources)
        chunks = sum(s["chunk_count"] for s in sources)
        self.row(f"ingest of {documents} documents, {chunks} chunks", f"{seconds:.1f} s", "")
        return server, data, token

    def questions(self, server, data, _token):
        for language in LANGUAGES:
            command = [
                self.options.binary, "eval", "--server", server.url, "--data-dir", str(data), "--json",
                "--questions", f"examples/questions/{language}.jsonl", "--source", f"examples-{language}",
            ]
            out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
            result = json.loads(out)
            right, of = result["total"]["right"], result["total"]["of"]
            words = f"questions right, {language} ({result['questions'][0]['retrieval']}, median {result['p50_ms']:.0f} ms)"
            self.row(words, f"{right}/{of}", "", ">= 17/20")

    def search(self, server, _data, token):
        times = []
        queries = []
        for language in LANGUAGES:
            for line in (ROOT / f"examples/questions/{language}.jsonl").read_text(encoding="utf-8").splitlines():
                queries.append(json.loads(line)["question"])
        for query in queries:
            request = urllib.request.Request(
                server.url + "/api/v1/search", json.dumps({"query": query}).encode(),
                {"Authorization": "Bearer " + token, "Content-Type": "application/json"},
            )
            began = time.perf_counter()
            with opener().open(request) as response:
                response.read()
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        self.row("search on these chunks: p50, p95", f"{times[len(times) // 2]:.1f}, {times[int(len(times) * 0.95)]:.1f} ms", "")

    def run(self):
        only = self.options.only.split(",")
        print(f"  {'':<58} {'astrolabe':>18} {'FastAPI + uvicorn':>18}   target")
        self.size()
        for name in ("start", "memory", "load"):
            if name in only:
                getattr(self, name)()
        if {"questions", "search"} & set(only):
            server, data, token = self.corpus()
            try:
                for name in ("questions", "search"):
                    if name in only:
                        getattr(self, name)(server, data, token)
            finally:
                server.__exit__(None, None, None)

    def write(self):
        """Adds the figures to RESULTS.md, newest first."""
        path = ROOT / "bench" / "RESULTS.md"
        revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
        lines = [
            f"## {datetime.date.today()}, revision {revision or 'unknown'}",
            "",
            f"{machine()}. Profile `{self.options.profile}`. Load before the run: {self.options.load:.2f}. Command: `bench/run.sh --write`.",
            "",
            "| | Astrolabe | FastAPI + uvicorn | target |",
            "| --- | ---: | ---: | ---: |",
            *(f"| {' | '.join(row)} |" for row in self.rows),
            "",
        ]
        text = path.read_text(encoding="utf-8")
        mark = "<!-- newest first -->\n"
        head, tail = text.split(mark)
        path.write_text(head + mark + "\n" + "\n".join(lines) + tail, encoding="utf-8")


def machine():
    """What ran: processor, cores, memory, system."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", info)
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) / 1024 / 1024
    return f"{model.group(1).strip() if model else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}"


def main():
    parser = argparse.ArgumentParser(description="Measure Astrolabe beside a peer.")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--peer", required=True, type=pathlib.Path)
    parser.add_argument("--models", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--only", default="start,memory,load,questions,search")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    options.load = os.getloadavg()[0]
    print(f"{machine()}; load {options.load:.2f}")
    if options.load > 0.7:
        print("  the machine is not quiet: the figures below are not worth writing down")
    bench = Bench(options)
    try:
        bench.run()
    except (Unusable, subprocess.CalledProcessError, OSError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    if options.write:
        bench.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
