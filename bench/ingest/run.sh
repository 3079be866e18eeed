#!/usr/bin/env bash
# Measures ingest from end to end beside the raw embedder on the very same chunks, in turns. Needs a quiet machine; about two minutes.
#
#   bench/ingest/run.sh [--write] [--texts FILE.jsonl[.xz]] [--documents N] [--rounds N] [--int8] [--binary FILE]
#
#   --write    add the figures to bench/RESULTS.md
#   --texts    JSON lines with `text` and perhaps `title`, a document each; without it the files of examples/ and docs/handbook
set -euo pipefail
. "$(dirname "$0")/../lib.sh"

released_binary "$@"
scripts/models.sh
"${serve_env[@]:?}" python3 bench/ingest/measure.py --models "$ASTROLABE_MODELS_DIR" --binary "$BINARY" "$@"
