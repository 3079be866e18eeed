"""Starts the provider, a gateway and the callers, one gateway after the other, and shows what the callers measured."""

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Calls at a time, from few to many: the sweep ends where a gateway is too slow or gets no faster.
CONCURRENCIES = (4, 16, 64, 256, 512)

# Milliseconds between the ten pieces of a stream that is held: five seconds.
HELD_PAUSE = "500"

GUARDRAILS = """
[[guardrails.rules]]
name = "injection"
check = "pattern"
mode = "block"
patterns = ["ignore (?:all )?previous instructions"]
[[guardrails.rules]]
name = "personal"
check = "personal"
mode = "mask"
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(command, ready, env=None, cwd=None):
    """A program of its own process group, from when `ready` says so until it is stopped."""
    log = tempfile.NamedTemporaryFile("w+", suffix=".log")
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=cwd, start_new_session=True)
    try:
        while not ready():
            if process.poll() is not None or time.monotonic() - begun > 120:
                log.seek(0)
                sys.exit(f"{command[0]} did not start:\n{log.read()[-2000:]}")
            time.sleep(0.005)
        yield process, time.monotonic() - begun
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        # Workers that outlive their parent would hold the cores of the next gateway.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except OSError:
        return False


def post(url, token, body):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=10) as reply:
        return json.load(reply)


def resident_mb(pid):
    group = subprocess.run(["ps", "-o", "rss=", "-g", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return sum(map(int, group)) / 1024


class Peak:
    """The most memory that a process group had while this was open."""

    def __init__(self, pid):
        self.pid, self.most, self.over = pid, 0.0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.wait(0.25):
            self.most = max(self.most, resident_mb(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.most = max(self.most, resident_mb(self.pid))


def call(program, port, token, concurrency, seconds, *more):
    command = [program, "callers", f"127.0.0.1:{port}", token, "default", str(concurrency), str(seconds), *more]
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    # Callers that could not even connect have measured nothing.
    return json.loads(ended.stdout) if ended.returncode == 0 else {"failed": 1, "requests": 0, "per_second": 0, "p50_us": 0, "p99_us": 0}


@contextlib.contextmanager
def ours(args, provider, folder, governed):
    """Our gateway alone. Plain: the token of the data directory, the ledger. Governed: an API key, a budget, guardrails in and out, and who read what is noted."""
    port, data = free_port(), Path(folder, f"ours-{governed}-{provider}")
    config = Path(folder, f"ours-{governed}-{provider}.toml")
    limits = "".join(f"{name} = 60000000\n" for name in ("ask_per_minute", "tenant_ask_per_minute", "write_per_minute", "tenant_write_per_minute"))
    config.write_text(
        f'[server]\nroles = ["models"]\nlisten = "127.0.0.1:{port}"\nmax_connections = 20000\n'
        f'[model]\nbase_url = "http://127.0.0.1:{provider}/v1"\nname = "m"\nconcurrency = 10000\nqueue = 10000\n'
        f"[limits]\n{limits}streams_per_credential = 20000\nstreams_per_tenant = 20000\n"
        f'[log]\nlevel = "warn"\n{GUARDRAILS if governed else ""}'
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("ASTROLABE_")}
    command = [args.ours, "serve", "--data-dir", str(data), "--config", str(config)]
    url = f"http://127.0.0.1:{port}"
    with running(command, lambda: answers(f"{url}/readyz"), env) as (process, seconds):
        token = (data / "token").read_text().strip()
        if governed:
            post(f"{url}/api/v1/budgets", token, {"scope": "tenant", "period": "month", "unit": "tokens", "amount": 10**14, "action": "block"})
            token = post(f"{url}/api/v1/api-keys", token, {"name": "bench", "scopes": ["use_models"]})["secret"]
        yield port, token, process.pid, seconds


@contextlib.contextmanager
def peers(args, provider, folder, governed):
    """LiteLLM with a worker for each core. Governed: its master key; keys, budgets and guardrails of its own want a database and services beside it."""
    port, config = free_port(), Path(folder, f"litellm-{provider}.yaml")
    model = f"{{model: openai/m, api_base: 'http://127.0.0.1:{provider}/v1', api_key: none}}"
    secret = f"sk-{secrets.token_hex(32)}"
    key = f"general_settings: {{master_key: {secret}}}\n" if governed else ""
    config.write_text(f"model_list:\n  - {{model_name: default, litellm_params: {model}}}\n{key}litellm_settings: {{telemetry: false}}\n")
    command = [args.peer, "--config", str(config), "--port", str(port), "--host", "127.0.0.1", "--num_workers", "2"]
    # Its list of prices comes from the network otherwise, and without a key it does not start unless it is told to.
    env = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    with running(command, lambda: answers(f"http://127.0.0.1:{port}/health/liveliness"), env) as (process, seconds):
        yield port, secret, process.pid, seconds


def highest(args, port, token, *more):
    """The most requests a second with a p99 below a second, none of them failed."""
    best = 0
    # What is slow once, such as the first request of a worker, is not what is sustained.
    call(args.program, port, token, 16, 2, *more)
    for n in CONCURRENCIES:
        found = call(args.program, port, token, n, args.seconds, *more)
        sound = not found["failed"] and found["p99_us"] < 1_000_000
        if best and not (sound and found["per_second"] > best):
            break
        best = found["per_second"] if sound else 0
    return best


def measure(args, gateway, governed, folder):
    """One gateway: what it adds at concurrency 1 to a provider that answers at once, what it carries to one that takes 20 ms, and the streams that it holds."""
    row = {}
    at_once = free_port()
    with running([args.program, "provider", f"127.0.0.1:{at_once}", "0"], lambda: listens(at_once)):
        with gateway(args, at_once, folder, governed) as (port, token, _, seconds):
            row["start_s"] = seconds
            for kind, more in (("", ()), ("stream_", ("stream",))):
                direct = call(args.program, at_once, "none", 1, args.seconds, *more)
                through = call(args.program, port, token, 1, args.seconds, *more)
                if through["failed"] or not through["requests"]:
                    sys.exit(f"{gateway.__name__}: {through} of single calls")
                for name in ("p50_us", "p99_us"):
                    row[f"{kind}added_{name}"] = through[name] - direct[name]
    later = free_port()
    with running([args.program, "provider", f"127.0.0.1:{later}", "20", "2"], lambda: listens(later)):
        with gateway(args, later, folder, governed) as (port, token, pid, _), Peak(pid) as peak:
            row["per_second"] = highest(args, port, token)
            row["streams_per_second"] = highest(args, port, token, "stream")
        row["rss_mb"] = peak.most
    slow = free_port()
    with running([args.program, "provider", f"127.0.0.1:{slow}", "0", HELD_PAUSE], lambda: listens(slow)):
        with gateway(args, slow, folder, governed) as (port, token, pid, _), Peak(pid) as peak:
            row["held"] = 0
            for n in args.held:
                # Long enough for every caller to begin a second stream, which is one that counts.
                found = call(args.program, port, token, n, max(args.seconds, 12), "stream")
                if found["failed"] or found["requests"] < n:
                    break
                row["held"] = n
        row["held_rss_mb"] = peak.most
    return row


COLUMNS = (
    ("added p50 µs", "added_p50_us", 0),
    ("added p99 µs", "added_p99_us", 0),
    ("stream: added p50 µs", "stream_added_p50_us", 0),
    ("stream: added p99 µs", "stream_added_p99_us", 0),
    ("requests/s, p99 < 1 s", "per_second", 0),
    ("streams/s, p99 < 1 s", "streams_per_second", 0),
    ("RSS MB", "rss_mb", 0),
    ("streams held", "held", 0),
    ("RSS MB then", "held_rss_mb", 0),
    ("start s", "start_s", 2),
)


def verdict(rows):
    """What has to hold, what is aimed at, and what was found."""
    found = {(name, governed): row for name, governed, row in rows}
    plain, governed = found[("Astrolabe", False)], found[("Astrolabe", True)]
    share = 100 * governed["per_second"] / max(plain["per_second"], 1)
    lines = [f"Governed calls a second are {share:.0f} % of plain ones (at least 48, aim 60)."]
    lines.append(
        f"Added p99: {plain['added_p99_us']:.0f} µs plain (aim 186), {governed['added_p99_us']:.0f} µs governed (aim 235). "
        f"Streams held: {plain['held']} (aim 2,000). RSS: {plain['rss_mb']:.0f} MB (aim 64)."
    )
    for is_governed, word in ((False, "plain"), (True, "governed")):
        peer, our = found.get(("LiteLLM", is_governed)), found[("Astrolabe", is_governed)]
        if peer:
            faster = our["per_second"] / max(peer["per_second"], 1)
            less = peer["added_p99_us"] / max(our["added_p99_us"], 1)
            lines.append(f"Beside LiteLLM, {word}: {faster:.0f} times its requests a second (at least 50), 1/{less:.0f} of its added p99 (at most 1/40).")
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--peer")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--held", type=lambda text: [int(n) for n in text.split(",")], default=[500, 1000, 2000, 4000])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args([a for a in sys.argv[1:] if a])
    load = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        gateways = [("Astrolabe", ours)] + ([("LiteLLM", peers)] if args.peer else [])
        for name, gateway in gateways:
            for governed in (False, True):
                rows.append((name, governed, measure(args, gateway, governed, folder)))
    lines = [
        "A request of 2 KB to a provider in the same machine, which answers at once for what is added, after 20 ms for what is carried, and in five seconds for streams that are held. "
        "Ours is the gateway alone. Plain: a token and the ledger. Governed: an API key, limits, a budget, guardrails in both directions, ledger and audit. "
        "LiteLLM has two workers; plain without a key, governed with a master key.",
        "",
        f"| gateway | | {' | '.join(title for title, _, _ in COLUMNS)} |",
        f"| --- | --- |{' ---: |' * len(COLUMNS)}",
    ]
    for name, governed, row in rows:
        figures = " | ".join(f"{row[key]:.{digits}f}" for _, key, digits in COLUMNS)
        lines.append(f"| {name} | {'governed' if governed else 'plain'} | {figures} |")
    lines += [""] + verdict(rows)
    text = "\n".join(lines)
    print(text)
    if args.write:
        sys.path.insert(0, str(ROOT / "bench"))
        from results import add

        add("Gateway", "bench/gateway/run.sh --write", load, text)


if __name__ == "__main__":
    main()
