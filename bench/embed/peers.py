"""One peer of the embedder: reads a word a line from standard input and answers each with a line of JSON, as `astrolabe bench-embed` does."""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SINGLE = 48


def sentence_transformers(args):
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(args.threads)
    model = SentenceTransformer(args.model, device="cpu")
    batches = {f"batch {size}": size for size in (1, 8, 32)}

    def embed(texts, way):
        return model.encode(texts, batch_size=batches[way], normalize_embeddings=True, show_progress_bar=False)

    return embed, list(batches)


def onnxruntime(args, name):
    import numpy
    import onnxruntime as ort
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(args.model, "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()

    def session(threads):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        return ort.InferenceSession(os.path.join(args.cache, name), options, providers=["CPUExecutionProvider"])

    one = session(args.threads)
    workers = [session(1) for _ in range(args.threads)] if args.threads > 1 else []
    pool = ThreadPoolExecutor(len(workers)) if workers else None

    def run(session, texts):
        encoded = tokenizer.encode_batch(texts)
        ids = numpy.array([e.ids for e in encoded], dtype=numpy.int64)
        mask = numpy.array([e.attention_mask for e in encoded], dtype=numpy.int64)
        hidden = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return mean / numpy.linalg.norm(mean, axis=1, keepdims=True)

    # Sorted by length, so that padding costs little; the vectors come back in the texts' order.
    def embed(texts, way):
        size, several = WAYS[way]
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = [order[i : i + size] for i in range(0, len(order), size)]
        out = [None] * len(texts)

        def work(lane, parts):
            for part in parts:
                for i, vector in zip(part, run(lane, [texts[i] for i in part])):
                    out[i] = vector

        if several:
            list(pool.map(work, workers, [parts[i :: len(workers)] for i in range(len(workers))]))
        else:
            work(one, parts)
        return out

    WAYS = {f"batch {size}": (size, False) for size in (1, 8, 32)}
    if workers:
        WAYS |= {f"batch {size}, one thread each": (size, True) for size in (1, 8)}
    return embed, list(WAYS)


def export(args):
    """Makes the ONNX graph from the weights, and the 8-bit one from that. Kept in the cache."""
    full, small = os.path.join(args.cache, "model.onnx"), os.path.join(args.cache, "model-int8.onnx")
    if os.path.exists(small):
        return
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel

    os.makedirs(args.cache, exist_ok=True)
    model = AutoModel.from_pretrained(args.model, attn_implementation="eager").eval()

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    ids = torch.ones(2, 16, dtype=torch.int64)
    axes = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        Hidden(), (ids, ids), full, dynamo=False, opset_version=17, input_names=["input_ids", "attention_mask"], output_names=["hidden"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "hidden": axes},
    )  # fmt: skip
    quantize_dynamic(full, small + ".part", weight_type=QuantType.QInt8, per_channel=True)
    os.replace(small + ".part", small)


def memory():
    lines = open("/proc/self/status", encoding="ascii").read().splitlines()
    value = {line.split(":")[0]: line.split() for line in lines}
    return {"mb": int(value["VmRSS"][1]) / 1024, "peak_mb": int(value["VmHWM"][1]) / 1024}


def blas(threads):
    """What numpy's BLAS reaches: the best of 20 products of 1,024 squared, in operations a second."""
    import numpy

    a = numpy.random.default_rng(1).random((1024, 1024), dtype=numpy.float32)
    shortest = min(timed(lambda: a @ a)[0] for _ in range(20))
    return 2 * 1024**3 / shortest


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=["export", "blas", "sentence-transformers", "onnxruntime", "onnxruntime-int8"], required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--texts")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.engine == "export":
        return export(args)
    if args.engine == "blas":
        return print(json.dumps({"operations": blas(args.threads)}))
    start = time.perf_counter()
    if args.engine == "sentence-transformers":
        embed, ways = sentence_transformers(args)
    else:
        embed, ways = onnxruntime(args, "model.onnx" if args.engine == "onnxruntime" else "model-int8.onnx")
    texts = [json.loads(line) for line in open(args.texts, encoding="utf-8")]
    print(json.dumps({"loaded_s": time.perf_counter() - start, "ways": ways}), flush=True)
    for line in sys.stdin:
        word, _, way = line.strip().partition(" ")
        if word == "batch":
            answer = {"seconds": timed(lambda: embed(texts, way))[0]}
        elif word == "single":
            answer = {"seconds": [timed(lambda: embed([text], "batch 1"))[0] for text in texts[:SINGLE]]}
        elif word == "vectors":
            answer = {"vectors": [[float(x) for x in vector] for vector in embed(texts, "batch 8")]}
        elif word == "memory":
            answer = memory()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
