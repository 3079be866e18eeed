"""Runs the embedder and its peers in turns, and prints a table and one line of JSON. Started by run.sh."""

import argparse
import json
import lzma
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINES = ["astrolabe", "astrolabe int8", "sentence-transformers", "onnxruntime", "onnxruntime-int8"]
HIDDEN, INNER, LAYERS = 384, 1536, 6


def own_texts():
    """Parts of about 500 characters of the examples and the handbook."""
    files = sorted(p for folder in ("examples", "docs/handbook") for p in (ROOT / folder).rglob("*") if p.suffix in (".md", ".txt"))
    for file in files:
        part = ""
        for paragraph in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            part = f"{part} {' '.join(paragraph.split())}".strip()
            while len(part) >= 500:
                yield part[:500]
                part = part[500:]


def given_texts(path):
    opener = lzma.open if path.endswith(".xz") else open
    part = ""
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            part = f"{part} {json.loads(line)['text']}".strip()
            while len(part) >= 500:
                yield part[:500]
                part = part[500:]


class Engine:
    def __init__(self, name, args, texts, threads):
        self.name = name
        command = (
            [args.binary, "bench-embed", "--model", args.model, "--texts", texts, "--threads", str(threads)] + (["--int8"] if "int8" in name else [])
            if name.startswith("astrolabe")
            else [sys.executable, str(ROOT / "bench/embed/peers.py"), "--engine", name, "--model", args.model, "--cache", args.cache]
            + ["--texts", texts, "--threads", str(threads)]
        )  # fmt: skip
        # A library that takes more threads than it was told to would be measured with them.
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        self.log = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        self.hello = self.answer()
        self.ways = self.hello.get("ways", [""])

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            sys.exit(f"{self.name} ended without an answer (exit code {self.process.wait()}): {self.log.read()[-2000:]}")
        return json.loads(line)

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def cosines(left, right):
    return [sum(a * b for a, b in zip(x, y)) for x, y in zip(left, right)]


def operations(tokens):
    """Multiplications and additions of the forward pass: the four layers of every token, and attention by the square of the length."""
    dense = 2 * LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER)
    return sum(dense * n + 4 * LAYERS * HIDDEN * n * n for n in tokens)


def measure(args, texts, count, threads):
    engines = [Engine(name, args, texts, threads) for name in ENGINES]
    batch, single = {e.name: {way: [] for way in e.ways} for e in engines}, {e.name: [] for e in engines}
    for engine in engines:
        engine.ask("single")
    for _ in range(args.rounds):
        for engine in engines:
            single[engine.name].append(statistics.median(engine.ask("single")["seconds"]))
            for way in engine.ways:
                batch[engine.name][way].append(engine.ask(f"batch {way}".strip())["seconds"])
    rows, vectors = {}, {}
    for engine in engines:
        ways = {way: (min(s), statistics.median(s)) for way, s in batch[engine.name].items()}
        way = min(ways, key=lambda w: ways[w][0])
        memory = engine.ask("memory")
        if threads == 1:
            vectors[engine.name] = engine.ask("vectors")["vectors"]
        rows[engine.name] = {
            "texts_per_s": count / ways[way][0], "texts_per_s_median": count / ways[way][1], "way": way,
            "single_ms": 1e3 * min(single[engine.name]), "single_ms_median": 1e3 * statistics.median(single[engine.name]),
            "mb": memory["mb"], "peak_mb": memory["peak_mb"], "loaded_s": engine.hello["loaded_s"],
        }  # fmt: skip
    result = {"threads": threads, "engines": rows}
    reference = vectors.get("sentence-transformers")
    for name, found in vectors.items():
        if name != "sentence-transformers":
            values = cosines(found, reference)
            rows[name] |= {"cosine_min": min(values), "cosine_mean": statistics.mean(values)}
    if threads == 1:
        result["peak"] = engines[0].ask("peak")
        result["operations"] = operations(engines[0].hello["tokens"])
        result["tokens"] = statistics.mean(engines[0].hello["tokens"])
    for engine in engines:
        engine.end()
    return result


def table(results, args, count):
    lines = [
        f"{count} texts, {results[0]['tokens']:.0f} tokens on average, {args.rounds} rounds in turns; best of the rounds (median). "
        "A peer's throughput is that of its best way of batching; texts are sorted by length for it.",
        "",
        "| threads | | texts/s | one text, ms | way | memory, peak MB | lowest cosine |",
        "| ---: | --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for result in results:
        for name, row in result["engines"].items():
            cosine = f"{row['cosine_min']:.6f}" if "cosine_min" in row else ""
            lines.append(
                f"| {result['threads']} | {name} | {row['texts_per_s']:.1f} ({row['texts_per_s_median']:.1f}) "
                f"| {row['single_ms']:.1f} ({row['single_ms_median']:.1f}) | {row['way']} | {row['peak_mb']:.0f} | {cosine} |"
            )
    lines.append("")
    lines += ["| ratio | texts/s | one text |", "| --- | ---: | ---: |"]
    for result in results:
        rows = result["engines"]

        def ratio(ours, others):
            speed = rows[ours]["texts_per_s"] / max(rows[o]["texts_per_s"] for o in others)
            latency = min(rows[o]["single_ms"] for o in others) / rows[ours]["single_ms"]
            return f"{speed:.2f} | {latency:.2f}"

        note = f"{result['threads']} thread{'s' if result['threads'] > 1 else ''}"
        lines.append(f"| 32 bits to the faster peer, {note} | {ratio('astrolabe', ['sentence-transformers', 'onnxruntime'])} |")
        lines.append(f"| int8 to ONNX Runtime's int8, {note} | {ratio('astrolabe int8', ['onnxruntime-int8'])} |")
        lines.append(f"| int8 to ONNX Runtime in 32 bits, {note} | {ratio('astrolabe int8', ['onnxruntime'])} |")
    peak, first = results[0]["peak"], results[0]["engines"]
    rate = {name: results[0]["operations"] / count * first[name]["texts_per_s"] for name in ENGINES}
    lines += [
        "",
        f"One thread in GFLOP/s: multiply-adds in registers {peak['registers'] / 1e9:.0f}, our layer {peak['layer'] / 1e9:.0f}, "
        f"numpy's BLAS {peak['blas'] / 1e9:.0f}, our whole forward pass {rate['astrolabe'] / 1e9:.0f} "
        f"({100 * rate['astrolabe'] / peak['registers']:.0f} % of the ceiling), ONNX Runtime {rate['onnxruntime'] / 1e9:.0f}, "
        f"sentence-transformers {rate['sentence-transformers'] / 1e9:.0f}. In 8 bits: a tile {peak['tile8'] / 1e9:.0f}, our layer "
        f"{peak['layer8'] / 1e9:.0f}, our whole pass {rate['astrolabe int8'] / 1e9:.0f} ({100 * rate['astrolabe int8'] / peak['tile8']:.0f} %), "
        f"ONNX Runtime {rate['onnxruntime-int8'] / 1e9:.0f}.",
    ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--texts")
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    peer = [sys.executable, str(ROOT / "bench/embed/peers.py"), "--model", args.model, "--cache", args.cache]
    subprocess.run([*peer, "--engine", "export"], check=True, stdout=subprocess.DEVNULL)
    texts = [text for text, _ in zip(given_texts(args.texts) if args.texts else own_texts(), range(args.count))]
    load = os.getloadavg()[0]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(json.dumps(text) + "\n" for text in texts)
        file.flush()
        results = [measure(args, file.name, len(texts), int(threads)) for threads in args.threads.split(",")]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    blas = subprocess.run([*peer, "--engine", "blas"], check=True, capture_output=True, text=True, env=environment).stdout
    results[0]["peak"]["blas"] = json.loads(blas)["operations"]
    text = table(results, args, len(texts))
    print(text)
    print(json.dumps({"load": load, "results": results}))
    if args.write:
        sys.path.insert(0, str(ROOT / "bench"))
        from results import add

        add("Embedding", "bench/embed/run.sh --write", load, text)


if __name__ == "__main__":
    main()
