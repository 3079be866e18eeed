"""Starts the provider, a gateway and the callers, one gateway after the other, and shows what the callers measured."""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONCURRENCIES = (16, 64, 256)


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
            time.sleep(0.02)
        yield process, time.monotonic() - begun
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except OSError:
        return False


def resident_mb(pid):
    group = subprocess.run(["ps", "-o", "rss=", "-g", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return sum(map(int, group)) / 1024


def call(program, port, token, concurrency, seconds, *more):
    command = [program, "callers", f"127.0.0.1:{port}", token, "default", str(concurrency), str(seconds), *more]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


@contextlib.contextmanager
def ours(args, provider, folder, governed):
    port, data = free_port(), Path(folder, f"ours-{governed}-{provider}")
    config = Path(folder, f"ours-{governed}-{provider}.toml")
    rules = ""
    if governed:
        rules = '[[guardrails.rules]]\nname = "injection"\ncheck = "pattern"\nmode = "block"\npatterns = ["ignore (all|previous) instructions"]\n'
    config.write_text(
        f'[server]\nlisten = "127.0.0.1:{port}"\nmax_connections = 10000\n[model]\nbase_url = "http://127.0.0.1:{provider}/v1"\nname = "m"\nconcurrency = 5000\nqueue = 5000\n'
        '[limits]\nask_per_minute = 100000000\ntenant_ask_per_minute = 100000000\nstreams_per_credential = 10000\nstreams_per_tenant = 10000\n[log]\nlevel = "warn"\n' + rules
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("ASTROLABE_")}
    command = [args.ours, "serve", "--data-dir", str(data), "--config", str(config)]
    with running(command, lambda: answers(f"http://127.0.0.1:{port}/readyz"), env) as (process, seconds):
        yield port, (data / "token").read_text().strip(), process.pid, seconds


@contextlib.contextmanager
def peers(args, provider, folder, governed):
    port, config = free_port(), Path(folder, f"litellm-{provider}.yaml")
    model = f"{{model: openai/m, api_base: 'http://127.0.0.1:{provider}/v1', api_key: none}}"
    key = "general_settings: {master_key: sk-bench}\n" if governed else ""
    config.write_text(f"model_list:\n  - {{model_name: default, litellm_params: {model}}}\n{key}litellm_settings: {{telemetry: false}}\n")
    command = [args.peer, "--config", str(config), "--port", str(port), "--host", "127.0.0.1", "--num_workers", "2"]
    with running(command, lambda: answers(f"http://127.0.0.1:{port}/health/liveliness")) as (process, seconds):
        yield port, "sk-bench", process.pid, seconds


def measure(args, gateway, governed, folder):
    """One gateway: what it adds at concurrency 1 to a provider that answers at once, and what it carries to one that takes 20 ms."""
    row = {}
    at_once = free_port()
    with running([args.program, "provider", f"127.0.0.1:{at_once}", "0"], lambda: listens(at_once)):
        direct = call(args.program, at_once, "none", 1, args.seconds)
        with gateway(args, at_once, folder, governed) as (port, token, pid, seconds):
            row["start_s"] = seconds
            through = call(args.program, port, token, 1, args.seconds)
            streamed = call(args.program, port, token, 1, args.seconds, "stream")
        for name in ("p50_us", "p99_us"):
            row[f"added_{name}"] = through[name] - direct[name]
        row["stream_p99_us"] = streamed["p99_us"]
    later = free_port()
    with running([args.program, "provider", f"127.0.0.1:{later}", "20"], lambda: listens(later)):
        with gateway(args, later, folder, governed) as (port, token, pid, _):
            found = [call(args.program, port, token, n, args.seconds) for n in CONCURRENCIES]
            sound = [f["per_second"] for f in found if f["failed"] == 0 and f["p99_us"] < 1_000_000]
            row["per_second"] = max(sound, default=0)
            row["rss_mb"] = resident_mb(pid)
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--peer")
    parser.add_argument("--seconds", type=int, default=8)
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
        "A request of 2 KB to a provider in the same machine. Plain: a token, the ledger, audit of refusals. Governed: also guardrails. LiteLLM has two workers; plain without, governed with a master key.",
        "",
        "| gateway | | added p50 µs | added p99 µs | stream p99 µs | requests/s, p99 < 1 s | RSS MB | start s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, governed, row in rows:
        figures = [f"{row[k]:.0f}" for k in ("added_p50_us", "added_p99_us", "stream_p99_us", "per_second", "rss_mb")] + [f"{row['start_s']:.1f}"]
        lines.append(f"| {name} | {'governed' if governed else 'plain'} | {' | '.join(figures)} |")
    text = "\n".join(lines)
    print(text)
    if args.write:
        sys.path.insert(0, str(ROOT / "bench"))
        from results import add

        add("Gateway", "bench/gateway/run.sh --write", load, text)


if __name__ == "__main__":
    main()
