#!/usr/bin/env bash
# Kills the real binary at random points while it ingests, and proves that nothing is lost or done twice.
#
#   scripts/chaos.sh [--files N] [--kills N] [--database sqlite|postgres|both] [--seed N]
#
#   RUN_PROFILE=dev   cargo profile of the binary
set -euo pipefail
. "$(dirname "$0")/lib.sh"

database=both
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --database)
      database=${2:-}
      shift
      ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
case $database in
  sqlite | postgres | both) ;;
  *) die "--database is sqlite, postgres or both" ;;
esac
need python3 'apt-get install python3'
build_server "${RUN_PROFILE:-dev}"

work=$(mktemp -d)
ours=''
# shellcheck disable=SC2317 # called by the trap
finish() {
  [ -z "$ours" ] || scripts/postgres.sh stop
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ "$database" != postgres ]; then
  "${serve_env[@]:?}" -u DATABASE_URL python3 scripts/chaos.py --binary "$BINARY" --work "$work/sqlite" ${arguments[@]+"${arguments[@]}"}
fi
if [ "$database" != sqlite ]; then
  scripts/postgres.sh uri >/dev/null 2>&1 || ours=yes
  # Kills prove nothing about a database that does not write to the disk.
  uri=$(scripts/postgres.sh start --durable)
  psql=$(find "$SCRATCH/pgserver" -path '*/pginstall18/bin/psql' 2>/dev/null | head -n 1)
  psql=${psql:-$(command -v psql || true)}
  [ -n "$psql" ] || die 'no psql: apt-get install postgresql-client'
  name=chaos_$$
  "$psql" -q "$uri" -c "CREATE DATABASE $name"
  status=0
  DATABASE_URL=${uri%/*}/$name "${serve_env[@]:?}" python3 scripts/chaos.py --binary "$BINARY" --work "$work/postgres" \
    ${arguments[@]+"${arguments[@]}"} || status=$?
  "$psql" -q "$uri" -c "DROP DATABASE $name WITH (FORCE)"
  exit "$status"
fi
