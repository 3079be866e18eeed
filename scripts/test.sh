#!/usr/bin/env bash
# The Rust tests, on SQLite and then on PostgreSQL. With nextest when it is there, else with cargo test.
#
#   scripts/test.sh                   both
#   scripts/test.sh --sqlite          SQLite alone
#   scripts/test.sh --postgres        PostgreSQL alone
#   scripts/test.sh [...] -- ARG...   arguments for the test runner, such as a filter
#
# The PostgreSQL at TEST_POSTGRES_URI is used when there is one; otherwise scripts/postgres.sh starts one, and it is stopped at the end.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

engines=()
while [ $# -gt 0 ]; do
  case $1 in
    --sqlite) engines+=(sqlite) ;;
    --postgres) engines+=(postgres) ;;
    --)
      shift
      break
      ;;
    *) die "unknown argument $1: see the first lines of scripts/test.sh" ;;
  esac
  shift
done
[ ${#engines[@]} -gt 0 ] || engines=(sqlite postgres)

if cargo nextest --version >/dev/null 2>&1; then
  runner=(cargo nextest run --locked --workspace --no-tests=pass)
  [ -z "${CI:-}" ] || runner+=(--profile ci)
else
  say 'cargo-nextest is not there; using cargo test'
  runner=(cargo test --locked --workspace --no-fail-fast --quiet)
fi

ours=''
finish() { [ -z "$ours" ] || scripts/postgres.sh stop; }
trap finish EXIT
trap 'exit 130' INT TERM

for engine in "${engines[@]}"; do
  case $engine in
    sqlite)
      say 'on SQLite'
      env -u TEST_POSTGRES_URI "${runner[@]}" "$@"
      ;;
    postgres)
      uri=${TEST_POSTGRES_URI:-}
      if [ -z "$uri" ]; then
        # One that runs already belongs to somebody else and stays.
        uri=$(scripts/postgres.sh uri 2>/dev/null) || {
          ours=yes
          uri=$(scripts/postgres.sh start)
        }
      fi
      say 'on PostgreSQL'
      TEST_POSTGRES_URI=$uri "${runner[@]}" "$@"
      ;;
  esac
done
