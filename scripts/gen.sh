#!/usr/bin/env bash
# Writes what is generated from the code: docs/generated/{openapi.json,config.md,errors.md,metrics.md} and the page's API types.
# CI runs it and fails when the result differs from what is committed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

build_server "${RUN_PROFILE:-dev}"
mkdir -p docs/generated
# A file that is half written would look like a change of the API.
write() {
  local file=docs/generated/$1
  shift
  astrolabe "$@" >"$file.new"
  mv "$file.new" "$file"
}
trap 'rm -f docs/generated/*.new' EXIT
write openapi.json openapi
write config.md config markdown
write errors.md docs errors
write metrics.md docs metrics
if command -v npm >/dev/null; then
  scripts/web.sh --exec npm run --silent gen >/dev/null
else
  say 'npm is missing: the types of the page were left as they are'
fi
