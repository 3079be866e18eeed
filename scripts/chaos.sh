#!/usr/bin/env bash
# The long form of the kill tests: the real binary is killed at random points while it ingests, and in the middle of calls of models, on SQLite and on
# PostgreSQL with fsync.
# The short form is part of `make test`.
#
#   scripts/chaos.sh [--files N] [--kills N] [--seed N] [--model-kills N]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

export ASTROLABE_KILL_FILES=1000 ASTROLABE_KILLS=10 ASTROLABE_MODEL_KILLS=50
while [ $# -gt 0 ]; do
  case $1 in
    --files) ASTROLABE_KILL_FILES=${2:?--files needs a number} ;;
    --kills) ASTROLABE_KILLS=${2:?--kills needs a number} ;;
    --model-kills) ASTROLABE_MODEL_KILLS=${2:?--model-kills needs a number} ;;
    --seed) export ASTROLABE_KILL_SEED=${2:?--seed needs a number} ;;
    *) die "unknown argument $1" ;;
  esac
  shift 2
done

ours=''
# shellcheck disable=SC2317 # called by the trap
finish() { [ -z "$ours" ] || scripts/postgres.sh stop; }
trap finish EXIT
trap 'exit 130' INT TERM
scripts/postgres.sh uri >/dev/null 2>&1 || ours=yes
# Kills prove nothing about a database that does not write to the disk.
uri=$(scripts/postgres.sh start --durable)
for engine in '' "$uri"; do
  say "$ASTROLABE_KILL_FILES files with $ASTROLABE_KILLS kills, calls of models with $ASTROLABE_MODEL_KILLS, ${engine:-SQLite}"
  TEST_POSTGRES_URI=$engine cargo test --locked -p astrolabe-server --test it -- kill --nocapture
done
