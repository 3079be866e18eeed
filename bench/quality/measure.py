#!/usr/bin/env python3
"""Runs `astrolabe eval` on every collection and engine. Started by bench/quality/run.sh."""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from results import add  # noqa: E402

MODES = ("lexical", "dense", "hybrid")
HEAD = ("collection", "engine", "search", "nDCG@10", "recall@10", "recall@100", "MRR@10", "p50 ms", "p95 ms", "")


def measured(options, folder, engine):
    """What `eval` reports, one object a mode; kept beside what it was measured with."""
    program = hashlib.sha256(options.binary.read_bytes()).hexdigest()[:16]
    kept = options.work / f"{folder.name}-{engine}-{program}.json"
    if not kept.exists():
        files = ["--corpus", folder / "corpus.jsonl.xz", "--queries", folder / "queries.jsonl", "--qrels", folder / "qrels.tsv"]
        command = [options.binary, "eval", *files, "--mode", ",".join(MODES), "--engine", engine, "--json"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        kept.write_text(done.stdout)
    return json.loads(kept.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--engines", default="embedded,postgres")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("collections", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    rows = []
    for folder in options.collections:
        for engine in options.engines.split(","):
            for report in measured(options, folder, engine):
                figures = (report[key] for key in ("ndcg@10", "recall@10", "recall@100", "mrr@10"))
                size = f"{report['documents']:,} documents, {report['chunks']:,} chunks, {report['queries']:,} queries, ingested in {report['ingest_s']:.0f} s"
                cells = [folder.name, engine, report["mode"], *(f"{figure:.4f}" for figure in figures)]
                rows.append([*cells, f"{report['p50_ms']:.1f}", f"{report['p95_ms']:.1f}", size if report["mode"] == MODES[0] else ""])
                print("  {:<16} {:<9} {:<8} {:>8} {:>9} {:>10} {:>8} {:>7} {:>7}  {}".format(*rows[-1]), flush=True)
    if options.write:
        lines = [HEAD, ["---"] * 3 + ["---:"] * 6 + ["---"], *rows]
        text = "Whole documents, searched through the real ingest.\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
        add("Quality of search", "bench/quality/run.sh --write", load, text)


if __name__ == "__main__":
    main()
