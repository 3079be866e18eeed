"""Ingests documents into a fresh data directory, then embeds the chunks that came of it without anything else. Started by run.sh."""

import argparse
import json
import lzma
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def corpus(args, folder):
    """Writes the documents as files and returns how many there are."""
    if not args.texts:
        files = [p for place in ("examples", "docs/handbook") for p in sorted((ROOT / place).rglob("*")) if p.suffix in (".md", ".txt", ".html")]
        for number, file in enumerate(files):
            shutil.copy(file, folder / f"{number:04}-{file.name}")
        return len(files)
    opener = lzma.open if args.texts.endswith(".xz") else open
    with opener(args.texts, "rt", encoding="utf-8") as lines:
        number = 0
        for number, (line, _) in enumerate(zip(lines, range(args.documents)), 1):
            document = json.loads(line)
            (folder / f"{number:06}.md").write_text(f"# {document.get('title') or number}\n\n{document['text']}\n", encoding="utf-8")
    return number


def environment(args):
    precision = {"ASTROLABE_KNOWLEDGE_EMBED_PRECISION": "int8"} if args.int8 else {}
    return os.environ | {"ASTROLABE_MODELS_DIR": args.models, "ASTROLABE_LOG_LEVEL": "warn"} | precision


def ready(data, server):
    """Waits until the server says that the model is loaded."""
    for _ in range(600):
        if server.poll() is not None:
            sys.exit("the server stopped at once: start it by hand to see why")
        try:
            url = json.loads((data / "lock").read_text(encoding="utf-8"))["url"]
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (OSError, ValueError, KeyError, urllib.error.URLError):
            pass
        time.sleep(0.1)
    sys.exit("the server is not ready after a minute")


def ingest(args, folder, work):
    """Seconds of `astrolabe ingest` against a running server, and the chunks' texts as the embedder saw them."""
    data = work / "data"
    shutil.rmtree(data, ignore_errors=True)
    server = subprocess.Popen(
        [args.binary, "serve", "--data-dir", str(data), "--listen", "127.0.0.1:0"], env=environment(args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        ready(data, server)
        start = time.perf_counter()
        subprocess.run([args.binary, "ingest", str(folder), "--source", "bench", "--data-dir", str(data)], env=environment(args), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    finally:
        server.terminate()
        server.wait()
    (database,) = data.rglob("*.db")
    rows = sqlite3.connect(database).execute("SELECT heading, text, text_hash FROM chunks").fetchall()
    made = sqlite3.connect(database).execute("SELECT COUNT(*) FROM embeddings").fetchone()[0]
    texts = list({hash: f"{heading}\n{text}" if heading else text for heading, text, hash in rows}.values())
    if made != len(texts):
        sys.exit(f"{len(texts)} different chunks, but {made} vectors: the run is worth nothing")
    return seconds, texts


def raw(args, texts, work):
    """Seconds that the embedder alone takes for the texts, once it is loaded."""
    file = work / "texts.jsonl"
    file.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    command = [args.binary, "bench-embed", "--model", f"{args.models}/all-MiniLM-L6-v2", "--texts", str(file), "--threads", "0"]
    process = subprocess.Popen(command + (["--int8"] if args.int8 else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdin.write("batch\n")
    process.stdin.flush()
    seconds = json.loads(process.stdout.readline())["seconds"]
    process.stdin.close()
    process.wait()
    return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--texts")
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        folder = work / "documents"
        folder.mkdir()
        documents = corpus(args, folder)
        whole, alone = [], []
        for _ in range(args.rounds):
            seconds, texts = ingest(args, folder, work)
            whole.append(len(texts) / seconds)
            alone.append(len(texts) / raw(args, texts, work))
    ratio = statistics.median(w / a for w, a in zip(whole, alone))
    text = "\n".join([
        f"{documents} documents, {len(texts)} different chunks, {args.rounds} rounds in turns{', 8 bits' if args.int8 else ''}.",
        "",
        "| chunks/s | best | median |",
        "| --- | ---: | ---: |",
        f"| `astrolabe ingest`, from the file to the index | {max(whole):.1f} | {statistics.median(whole):.1f} |",
        f"| the embedder alone on the same chunks | {max(alone):.1f} | {statistics.median(alone):.1f} |",
        f"| ratio, median of the rounds | | {ratio:.2f} |",
    ])  # fmt: skip
    print(text)
    print(json.dumps({"load": load, "documents": documents, "chunks": len(texts), "ingest_per_s": whole, "embedder_per_s": alone, "ratio": ratio}))
    if args.write:
        sys.path.insert(0, str(ROOT / "bench"))
        from results import add

        add("Ingest", "bench/ingest/run.sh --write", load, text)


if __name__ == "__main__":
    main()
