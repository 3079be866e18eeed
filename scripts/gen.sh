#!/usr/bin/env bash
# Writes what is generated from the code: docs/generated (API description, settings, codes, metrics) and the page's API types.
# The tests that compare these files with the code write them instead, when UPDATE=1. CI runs this and fails when the result differs
# from what is committed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need cargo 'install Rust 1.95 or later with rustup'
mkdir -p docs/generated
env -u TEST_POSTGRES_URI UPDATE=1 cargo test --quiet --locked -p astrolabe-server --test it up_to_date >/dev/null
if command -v npm >/dev/null; then
  scripts/web.sh --exec npm run --silent gen >/dev/null
else
  say 'npm is missing: the types of the page were left as they are'
fi
