#!/usr/bin/env python3
"""Makes the texts and vectors of bench/search/run.sh: real ones first, then mixtures of them.

A real chunk is three sentences of a document of the collections, with its embedding. A mixed chunk takes a real one, a near one
(among its 24 nearest) and a farther one (among its 200 nearest): its vector is the first moved towards both by random shares, plus a
little of the difference of two random real ones, of length 1; its text takes sentences of the first two, and every twentieth word
is one of two hundred thousand invented ones, drawn so that word n is n times rarer than the first, since mixtures alone would have no
rare words. So vectors lie where embeddings lie, and words go with them. Queries are real questions and their embeddings.
"""

import argparse
import json
import lzma
import pathlib
import re
import subprocess
import sys

import numpy

REAL = 2400
QUERIES = 500
BLOCK = 10000


def collections(folders):
    """Texts of the documents as (language, sentences), and the questions."""
    documents, questions = [], []
    for folder in folders:
        lang = folder.name.split("_")[0]
        with lzma.open(folder / "corpus.jsonl.xz", "rt", encoding="utf-8") as lines:
            for line in lines:
                text = " ".join(json.loads(line)["text"].split())
                documents.append((lang, [s for s in re.split(r"(?<=[.!?])\s+", text) if len(s) > 20]))
        with open(folder / "queries.jsonl", encoding="utf-8") as lines:
            texts = [" ".join(json.loads(line)["text"].split()) for line in lines]
        questions.append(texts)
    return documents, questions


def embed(program, model, texts, work, name):
    """The embeddings of texts, by our own embedder."""
    source, target = work / f"{name}.txt", work / f"{name}.f32"
    source.write_text("\n".join(texts) + "\n", encoding="utf-8")
    if not target.exists() or target.stat().st_size != len(texts) * 384 * 4:
        subprocess.run([program, "embed", model, source, target], check=True, stdout=sys.stderr)
    return numpy.fromfile(target, dtype=numpy.float32).reshape(-1, 384)


def normal(vectors):
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def words(random, count):
    """Invented words, rare ones rarer."""
    ranks = (200000 ** random.random(count)).astype(int)
    return [f"qz{rank:x}" for rank in ranks]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--chunks", required=True, type=int)
    parser.add_argument("collections", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    work = options.work
    done = work / "data.json"
    if done.exists() and json.loads(done.read_text())["chunks"] >= options.chunks:
        return
    work.mkdir(parents=True, exist_ok=True)
    documents, questions = collections(options.collections)
    random = numpy.random.default_rng(11)
    windows = [(lang, sentences[i : i + 3]) for lang, sentences in documents for i in range(0, len(sentences), 2)]
    random.shuffle(windows)
    windows = windows[:REAL]
    share = QUERIES // len(questions)
    queries = [text for texts in questions for text in random.choice(texts, share, replace=False)]
    random.shuffle(queries)
    print(f"search: {len(windows)} real chunks of {len(documents)} documents, {len(queries)} questions", file=sys.stderr)
    embed(options.program, options.model, queries, work, "queries")
    real = embed(options.program, options.model, [" ".join(s) for _, s in windows], work, "real")
    near = numpy.argsort(-(real @ real.T), axis=1)[:, 1:201].astype(numpy.int32)
    with open(work / "texts.tsv", "w", encoding="utf-8") as texts, open(work / "vectors.f32", "wb") as vectors:
        real.tofile(vectors)
        for lang, sentences in windows:
            texts.write(f"{lang}\t{' '.join(sentences)}\n")
        left = options.chunks - len(windows)
        while left > 0:
            count = min(left, BLOCK)
            left -= count
            a = random.integers(len(real), size=count)
            b = near[a, random.integers(24, size=count)]
            c = near[a, random.integers(200, size=count)]
            d, e = random.integers(len(real), size=(2, count))
            u, v, w = (random.random((count, 1), dtype=numpy.float32) * most for most in (0.8, 0.4, 0.3))
            mixed = real[a] + u * (real[b] - real[a]) + v * (real[c] - real[a]) + w * (real[d] - real[e])
            normal(mixed).astype(numpy.float32).tofile(vectors)
            rare = iter(words(random, count * 8))
            for i in range(count):
                (lang, first), (_, second) = windows[a[i]], windows[b[i]]
                tokens = " ".join([*first[: 1 + i % 3], *second[: 1 + i % 2]]).split()
                for at in range(i % 20, min(len(tokens), 160), 20):
                    tokens[at] = next(rare)
                texts.write(f"{lang}\t{' '.join(tokens)}\n")
    done.write_text(json.dumps({"chunks": options.chunks, "real": len(windows), "queries": len(queries)}))


if __name__ == "__main__":
    main()
