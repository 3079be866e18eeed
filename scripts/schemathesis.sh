#!/usr/bin/env bash
# Schemathesis against the real binary: every phase and check, signed in, at least 50 examples an operation, on an empty data directory.
#
#   scripts/schemathesis.sh [ARG...]   further arguments for `schemathesis run`, such as --include-path /api/v1/ask
#
#   RUN_PROFILE=dev   cargo profile of the binary
#   EXAMPLES=50       examples an operation
#   WORKERS=1         more are quicker, but Python 3.11 has a fault in its parser that threads run into
set -euo pipefail
. "$(dirname "$0")/lib.sh"

tool=$(venv schemathesis 'schemathesis==4.32.5')
build_server "${RUN_PROFILE:-dev}"

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# CI tries the same examples every time, so that a red run is the change's doing; people get new ones.
if [ -n "${CI:-}" ]; then generation=(--generation-deterministic); else generation=(--generation-database none); fi

# try NAME ARG...: one run against a server and a data directory of its own.
try() (
  name=$1 DATA=$work/$1 status=0
  shift
  trap stop_server EXIT
  trap 'exit 130' INT TERM
  # Streams without an end would hold a worker until its time is over; one second of silence ends them here.
  start_server "$DATA" "$work/$name.log" 127.0.0.1:0 ASTROLABE_SERVER_STREAM_IDLE_S=1 ASTROLABE_LIMITS_WRITE_PER_MINUTE=0 \
    ASTROLABE_LIMITS_ASK_PER_MINUTE=0 ASTROLABE_LIMITS_UPLOAD_PER_MINUTE=0 ASTROLABE_LIMITS_SIGN_IN_PER_MINUTE=0
  astrolabe ingest docs/handbook --source handbook --data-dir "$DATA" >/dev/null
  ASTROLABE_TOKEN=$(cat "$DATA/token") PYTHONPATH=scripts SCHEMATHESIS_HOOKS=schemathesis_hooks "$tool/bin/schemathesis" --config-file scripts/schemathesis.toml run \
    "$URL/api/openapi.json" --checks all --mode all --max-examples "${EXAMPLES:-50}" --workers "${WORKERS:-1}" \
    --continue-on-failure --request-timeout 30 "${generation[@]}" "$@" || status=$?
  if grep -q '"panicked\|panicked at' "$work/$name.log"; then
    warn 'a handler panicked:'
    grep 'panicked' "$work/$name.log" | head -n 20 >&2
    status=1
  fi
  exit "$status"
)

if [ $# -gt 0 ]; then
  try all --phases examples,coverage,fuzzing,stateful "$@"
  exit
fi

# Two halves side by side, about as many operations each; then all of them together, one call's reply leading to the next.
readonly HALF='^/api/v1/[p-z]'
status=0
try first --phases examples,coverage,fuzzing --exclude-path-regex "$HALF" >"$work/first.out" 2>&1 &
try second --phases examples,coverage,fuzzing --include-path-regex "$HALF" >"$work/second.out" 2>&1 || status=$?
wait $! || status=$?
cat "$work/first.out" "$work/second.out"
[ "$status" -eq 0 ] || exit "$status"
try together --phases stateful
