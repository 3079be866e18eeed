#!/usr/bin/env bash
# Measures the embedder beside sentence-transformers and ONNX Runtime in the same run. Needs a quiet machine. The first run installs torch
# (5.9 GB) into the scratch folder and exports the model; later runs take under four minutes.
#
#   bench/embed/run.sh [--write] [--texts FILE.jsonl] [--count N] [--rounds N] [--threads 1,2] [--binary FILE]
#
#   --write    add the figures to bench/RESULTS.md
#   --texts    JSON lines with a field `text`; without it the texts of examples/ and docs/handbook
set -euo pipefail
. "$(dirname "$0")/../lib.sh"

released_binary "$@"
scripts/models.sh
peers=$(venv embed-peer torch==2.15.0 sentence-transformers==6.2.0 onnxruntime==1.31.1 onnx numpy)
"${serve_env[@]:?}" "$peers/bin/python" bench/embed/measure.py --model "$ASTROLABE_MODELS_DIR/all-MiniLM-L6-v2" --cache "$SCRATCH/embed-onnx" --binary "$BINARY" "$@"
