#!/usr/bin/env bash
# Measures what access costs a request: verification with a cached verdict, limits, rights and 0, 20 and 200 policies, and its share of a plain endpoint.
# Needs a quiet machine; about a minute.
#
#   bench/access/run.sh [--write]
#
#   --write             add the figures to bench/RESULTS.md
#   RUN_PROFILE=release cargo profile of our program
set -euo pipefail
. "$(dirname "$0")/../lib.sh"

profile=${RUN_PROFILE:-release}
cargo build --locked --quiet --profile "$profile" -p astrolabe-server --example access_bench
python3 bench/access/measure.py --program "$(dirname "$(binary_of "$profile")")/examples/access_bench" "$@"
