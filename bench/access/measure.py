"""Runs the program and shows what it measured beside the target."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET_US = 40


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    found = json.loads(subprocess.run([args.program], check=True, stdout=subprocess.PIPE).stdout)
    lines = [
        f"Verification, limits, rights and policies, with a cached verdict; target: p99 below {TARGET_US} µs. Beside it the whole of `GET /api/v1/settings`.",
        "",
        "| credential | policies | p50 µs | p99 µs | endpoint p50 µs | endpoint p99 µs | share of the endpoint |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        figures = [f"{row[name]:.1f}" for name in ("p50_us", "p99_us", "endpoint_p50_us", "endpoint_p99_us")]
        lines.append(f"| {row['credential']} | {row['policies']} | {' | '.join(figures)} | {row['share']:.0%} |")
    lines += [f"Without a cached verdict, the signature of an access token alone: p50 {found['verify_p50_us']:.0f} µs, p99 {found['verify_p99_us']:.0f} µs."]
    for row in found["anew"][1:]:
        lines.append(f"A decision of {row['policies']} policies that was not made in this minute yet: p50 {row['p50_us']:.0f} µs, p99 {row['p99_us']:.0f} µs.")
    text = "\n\n".join(["\n".join(lines[:-3]), *lines[-3:]])
    print(text)
    if args.write:
        sys.path.insert(0, str(ROOT / "bench"))
        from results import add

        add("Access", "bench/access/run.sh --write", load, text)


if __name__ == "__main__":
    main()
