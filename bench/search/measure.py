#!/usr/bin/env python3
"""Measures search in the embedded index beside FAISS and pgvector, on the same vectors and queries. Started by bench/search/run.sh.

What is measured, and how:

- recall@10: the share of the ten nearest by a full scan of the 32-bit vectors (FAISS IndexFlatIP) that an engine finds.
- times: one query after another from one thread, after warm-up; the first hundred questions also set the peers' search breadth, which
  is the least that finds 0.98 of the neighbours, the others are timed. Ours has one setting. A peer finds ten, ours a hundred, which
  is what fusion takes. The filter is a source that holds every hundredth document.
- bytes: of the file (ours, all of it: words, vectors, documents), of the index as FAISS saves it, of table and index in PostgreSQL.
- what was built once is kept beside the data, with the time that it took, until the program or the data changes.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import faiss
import numpy
import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from results import add  # noqa: E402

DIMS = 384
WARM_UP = 100
TARGET = 0.98
K = 10


class Bench:
    def __init__(self, options):
        self.options = options
        self.rows = []
        self.json = {"load": os.getloadavg()[0], "date": str(datetime.date.today()), "sizes": {}}
        self.queries = numpy.fromfile(options.work / "queries.f32", dtype=numpy.float32).reshape(-1, DIMS)
        self.vectors = numpy.memmap(options.work / "vectors.f32", dtype=numpy.float32, mode="r").reshape(-1, DIMS)

    def row(self, chunks, engine, case, recall, times, notes=""):
        p50, p95 = (float(numpy.percentile(times, q)) for q in (50, 95)) if len(times) else (0.0, 0.0)
        cells = (f"{chunks:,}", engine, case, "" if recall is None else f"{recall:.3f}", f"{p50:.2f}", f"{p95:.2f}", notes)
        self.rows.append(cells)
        print("  {:>9}  {:<34} {:<14} {:>6} {:>8} {:>8}  {}".format(*cells), flush=True)
        entry = {"recall@10": recall, "p50_ms": p50, "p95_ms": p95, "notes": notes}
        self.json["sizes"].setdefault(str(chunks), {})[f"{engine}, {case}"] = entry

    def cached(self, folder, key):
        """A folder and whether it already holds what `key` describes; an old one is emptied."""
        mark = folder / "key"
        if mark.exists() and mark.read_text() == key:
            return True
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return False

    def truth(self, chunks):
        """The ten nearest by a full scan, without and with the filter."""
        folder = self.options.work / f"truth-{chunks}"
        if not self.cached(folder, "2"):
            faiss.omp_set_num_threads(os.cpu_count())
            for name, rows in (("all", numpy.arange(chunks)), ("part", self.part(chunks))):
                best = numpy.full((len(self.queries), K), -numpy.inf), numpy.zeros((len(self.queries), K), dtype=numpy.int64)
                for start in range(0, len(rows), 100000):
                    ids = rows[start : start + 100000]
                    scores, found = faiss.knn(self.queries, numpy.ascontiguousarray(self.vectors[ids]), K, metric=faiss.METRIC_INNER_PRODUCT)
                    scores, found = numpy.hstack([best[0], scores]), numpy.hstack([best[1], ids[found]])
                    order = numpy.argsort(-scores, axis=1)[:, :K]
                    best = numpy.take_along_axis(scores, order, 1), numpy.take_along_axis(found, order, 1)
                numpy.save(folder / f"{name}.npy", best[1])
            (folder / "key").write_text("2")
        return numpy.load(folder / "all.npy"), numpy.load(folder / "part.npy")

    @staticmethod
    def part(chunks):
        """The chunks of every hundredth document of ten."""
        return numpy.concatenate([numpy.arange(i, min(i + 10, chunks)) for i in range(0, chunks, 1000)])

    @staticmethod
    def recall(found, truth):
        hits = sum(len(set(map(int, f[:K])) & set(map(int, t))) for f, t in zip(found, truth))
        return hits / (len(truth) * K)

    def ours(self, chunks, truth):
        folder = self.options.work / f"ours-{chunks}"
        program = hashlib.sha256(pathlib.Path(self.options.program).read_bytes()).hexdigest()
        if not self.cached(folder, program):
            data = [self.options.work / "texts.tsv", self.options.work / "vectors.f32"]
            built = self.run("build", folder / "index", *data, str(chunks))
            (folder / "built.json").write_text(json.dumps(built))
            (folder / "key").write_text(program)
        built = json.loads((folder / "built.json").read_text())
        measured = self.run("search", folder / "index", self.options.work / "queries.txt", self.options.work / "queries.f32")
        notes = (
            f"built in {built['build_s']:.1f} s, loaded in {measured['load_s']:.1f} s, {built['disk_bytes'] / chunks:.0f} bytes a chunk on disk, "
            f"{measured['memory_bytes'] / chunks:.0f} in memory, one document of ten in {numpy.median(measured['one_document_ms']):.1f} ms"
        )
        for run, exact, case in zip(measured["runs"], truth, ("", ", 1 % filter")):
            recall = self.recall([found["dense"] for found in run["found"]], exact)
            self.row(chunks, "Astrolabe", f"dense{case}", recall, run["dense_ms"])
            self.row(chunks, "Astrolabe", f"lexical{case}", 1.0, run["lexical_ms"], "exact by construction")
            self.row(chunks, "Astrolabe", f"hybrid{case}", recall, run["hybrid_ms"], notes)
            notes = ""

    def run(self, *arguments):
        done = subprocess.run([self.options.program, *arguments], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    def timed(self, search, queries):
        times, found = [], []
        for query in queries:
            began = time.perf_counter()
            result = search(query)
            times.append((time.perf_counter() - began) * 1000)
            found.append(result)
        return times, found

    def swept(self, chunks, engine, case, widths, search_with, truth, notes=""):
        """Times a peer at the least breadth that finds enough."""
        for width in widths:
            _, found = self.timed(lambda query: search_with(query, width), self.queries[:WARM_UP])
            if self.recall(found, truth[:WARM_UP]) >= TARGET:
                break
        times, found = self.timed(lambda query: search_with(query, width), self.queries[WARM_UP:])
        notes = f"breadth {width}" + (f", {notes}" if notes else "")
        self.row(chunks, engine, case, self.recall(found, truth[WARM_UP:]), times, notes)

    def faiss(self, chunks, truth):
        factories = ["HNSW32,Flat"] if chunks <= self.options.graph else []
        for factory in [*factories, f"IVF{4 * int(chunks**0.5)},SQ8"]:
            folder = self.options.work / f"faiss-{factory.replace(',', '-')}-{chunks}"
            if not self.cached(folder, faiss.__version__):
                faiss.omp_set_num_threads(os.cpu_count())
                index = faiss.index_factory(DIMS, factory, faiss.METRIC_INNER_PRODUCT)
                vectors = numpy.ascontiguousarray(self.vectors[:chunks])
                began = time.perf_counter()
                if not index.is_trained:
                    index.train(vectors[:: max(1, chunks // (index.nlist * 40))])
                index.add(vectors)
                seconds = time.perf_counter() - began
                faiss.write_index(index, str(folder / "index"))
                (folder / "built.json").write_text(json.dumps({"seconds": seconds}))
                (folder / "key").write_text(faiss.__version__)
                del vectors
            faiss.omp_set_num_threads(1)
            index = faiss.read_index(str(folder / "index"))
            seconds = json.loads((folder / "built.json").read_text())["seconds"]
            notes = f"built in {seconds:.1f} s, {(folder / 'index').stat().st_size / chunks:.0f} bytes a vector"
            graph = factory.startswith("HNSW")
            widths = [16, 32, 64, 128, 256, 512, 1024] if graph else [1, 2, 4, 8, 16, 32, 64, 128, 256]
            parameters = faiss.SearchParametersHNSW if graph else faiss.SearchParametersIVF
            name = "efSearch" if graph else "nprobe"
            selector = faiss.IDSelectorBatch(self.part(chunks))

            def search(query, width, **more):
                return index.search(query[None], K, params=parameters(**{name: width}, **more))[1][0]

            self.swept(chunks, f"FAISS {factory}", "dense", widths, search, truth[0], notes)
            wide = [*widths, 2048, 4096] if graph else [*widths, 512, 1024, 4096]
            self.swept(chunks, f"FAISS {factory}", "dense, 1 %", wide, lambda q, w: search(q, w, sel=selector), truth[1])

    def pgvector(self, chunks, truth):
        with psycopg.connect(self.options.postgres, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone():
                print("  pgvector is not there: left out")
                return
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            connection.execute("CREATE SCHEMA IF NOT EXISTS bench_search")
            table = f"bench_search.c{chunks}"
            key = hashlib.sha256(self.vectors[chunks - 1].tobytes()).hexdigest()
            connection.execute("CREATE TABLE IF NOT EXISTS bench_search.built (chunks int PRIMARY KEY, key text, seconds float)")
            built = connection.execute("SELECT seconds FROM bench_search.built WHERE chunks = %s AND key = %s", (chunks, key)).fetchone()
            if not built:
                connection.execute(f"DROP TABLE IF EXISTS {table}")
                connection.execute(f"CREATE TABLE {table} (id int, source int, v halfvec({DIMS}))")
                began = time.perf_counter()
                with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                    copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
                    for start in range(0, chunks, 10000):
                        copy.write(self.binary(start, min(start + 10000, chunks)))
                    copy.write(b"\xff\xff")
                connection.execute("SET maintenance_work_mem = '3GB'")
                connection.execute("SET max_parallel_maintenance_workers = 2")
                connection.execute(f"CREATE INDEX ON {table} USING hnsw (v halfvec_ip_ops) WITH (m = 16, ef_construction = 64)")
                connection.execute(f"CREATE INDEX ON {table} (source)")
                seconds = time.perf_counter() - began
                connection.execute(f"ANALYZE {table}")
                connection.execute(
                    "INSERT INTO bench_search.built VALUES (%s, %s, %s) ON CONFLICT (chunks) DO UPDATE SET key = excluded.key, seconds = excluded.seconds",
                    (chunks, key, seconds),
                )
                built = (seconds,)
            size = connection.execute("SELECT pg_total_relation_size(%s)", (table,)).fetchone()[0]
            notes = f"built in {built[0]:.1f} s, {size / chunks:.0f} bytes a row with its index"
            connection.execute("SET hnsw.iterative_scan = relaxed_order")
            connection.execute("SET hnsw.max_scan_tuples = 1000000")

            def search(query, width, where=""):
                if self.width != width:
                    connection.execute(f"SET hnsw.ef_search = {width}")
                    self.width = width
                text = "[" + ",".join(f"{x:.7g}" for x in query) + "]"
                rows = connection.execute(f"SELECT id FROM {table} {where} ORDER BY v <#> %s::halfvec LIMIT {K}", (text,), prepare=True)
                return [row[0] for row in rows]

            self.width = None
            widths = [20, 40, 80, 160, 320, 640, 1000]
            self.swept(chunks, "pgvector HNSW, halfvec", "dense", widths, search, truth[0], notes)
            part = "WHERE source = 0"
            self.swept(chunks, "pgvector HNSW, halfvec", "dense, 1 %", widths, lambda q, w: search(q, w, part), truth[1])

    def binary(self, start, end):
        """Rows in PostgreSQL's binary copy format: id, source, halfvec."""
        ids = numpy.arange(start, end)
        row = numpy.dtype(
            [("fields", ">i2"), ("a", ">i4"), ("id", ">i4"), ("b", ">i4"), ("source", ">i4"), ("c", ">i4"), ("dim", ">i2"), ("x", ">i2"), ("v", ">f2", DIMS)]
        )
        rows = numpy.zeros(end - start, dtype=row)
        rows["fields"], rows["a"], rows["b"], rows["c"], rows["dim"] = 3, 4, 4, 4 + 2 * DIMS, DIMS
        rows["id"], rows["source"], rows["v"] = ids, ids // 10 % 100, self.vectors[start:end]
        return rows.tobytes()

    def growth(self):
        """How much slower our hybrid search gets from each size to the next."""
        sizes = sorted(map(int, self.json["sizes"]))
        for case in ("hybrid", "hybrid, 1 % filter"):
            for quantile in ("p50_ms", "p95_ms"):
                times = [self.json["sizes"][str(n)][f"Astrolabe, {case}"][quantile] for n in sizes]
                steps = [f"{b / a:.2f}" for a, b in zip(times, times[1:])]
                print(f"  growth of {case}, {quantile[:3]}: {', '.join(steps) or 'one size'}")

    def write(self):
        rows = "\n".join(f"| {' | '.join(row)} |" for row in self.rows)
        text = (
            f"Profile `{self.options.profile}`. What is measured and how: `bench/search/measure.py`; the data: `bench/search/data.py`.\n\n"
            "| chunks | engine | search | recall@10 | p50 ms | p95 ms | |\n| ---: | --- | --- | ---: | ---: | ---: | --- |\n" + rows + "\n"
        )
        add("Search", f"bench/search/run.sh --write {' '.join(map(str, self.options.sizes))}", self.json["load"], text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--postgres", default="", help="URI of a PostgreSQL with pgvector; without one it is left out")
    parser.add_argument("--graph", type=int, default=100000, help="largest size at which graphs (HNSW) are built; lists are at every size")
    parser.add_argument("--only", default="ours,faiss,pgvector")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("sizes", nargs="+", type=int)
    options = parser.parse_args()
    bench = Bench(options)
    only = options.only.split(",")
    print(f"load {bench.json['load']:.2f}")
    print("  {:>9}  {:<34} {:<14} {:>6} {:>8} {:>8}".format("chunks", "engine", "search", "recall", "p50 ms", "p95 ms"))
    for chunks in options.sizes:
        truth = bench.truth(chunks)
        if "ours" in only:
            bench.ours(chunks, truth)
        if "faiss" in only:
            bench.faiss(chunks, truth)
        if "pgvector" in only and options.postgres and chunks <= options.graph:
            bench.pgvector(chunks, truth)
    if "ours" in only:
        bench.growth()
    if options.json:
        options.json.write_text(json.dumps(bench.json, indent=1))
    if options.write:
        bench.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
