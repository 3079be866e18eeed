#!/usr/bin/env bash
# What the gateway adds to a call of a model, and how many calls a second it carries, beside LiteLLM: the same provider, callers and two cores.
# Needs a quiet machine; about a quarter of an hour.
#
#   bench/gateway/run.sh [--write] [--without-peer] [--seconds N] [--held N,N]
#
#   --seconds N         seconds of each measurement; 8 unless said otherwise
#   --held N,N          numbers of streams at a time to try; 500,1000,2000,4000 unless said otherwise
#   --write             add the figures to bench/RESULTS.md
#   --without-peer      our gateway alone
#   RUN_PROFILE=release cargo profile of our program
set -euo pipefail
. "$(dirname "$0")/../lib.sh"

profile=${RUN_PROFILE:-release}
cargo build --locked --quiet --profile "$profile" -p astrolabe-gateway --example gateway_bench
cargo build --locked --quiet --profile "$profile" -p astrolabe-server
binary=$(binary_of "$profile")
peer=()
case " $* " in
  *' --without-peer '*) ;;
  *) peer=(--peer "$(venv litellm 'litellm[proxy]')/bin/litellm") ;;
esac
# Thousands of streams are thousands of sockets.
ulimit -n "$(ulimit -Hn)"
python3 bench/gateway/measure.py --program "$(dirname "$binary")/examples/gateway_bench" --ours "$binary" "${peer[@]}" "${@/--without-peer/}"
