#!/usr/bin/env bash
# Measures Astrolabe beside a peer in the same run, and the quality of its answers. Needs a quiet machine, and wrk and hey (apt-get install).
#
#   bench/run.sh [--write] [--rounds N] [--seconds N] [--only start,memory,load,questions,search]
#
#   --write             add the figures to bench/RESULTS.md
#   RUN_PROFILE=release cargo profile of the binary
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need wrk 'apt-get install wrk'
need hey 'apt-get install hey'
scripts/web.sh --optional
build_server "${RUN_PROFILE:-release}"
scripts/models.sh || [ $? -eq 3 ]
peer=$(venv peer 'fastapi==0.165.0' 'uvicorn[standard]==0.54.0')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
"${serve_env[@]:?}" python3 bench/measure.py --binary "$BINARY" --profile "${RUN_PROFILE:-release}" --peer "$peer" --models "$ASTROLABE_MODELS_DIR" --work "$work" "$@"
