#!/usr/bin/env bash
# Measures how good search is on retrieval collections with `astrolabe eval`: words, meaning and both, on both engines.
#
#   bench/quality/run.sh [--write] [--binary FILE] [--engines embedded,postgres]
#
#   --write              add the figures to bench/RESULTS.md
#   --binary FILE        measure this program instead of building one
#   --engines            the engines to measure; PostgreSQL is started by scripts/postgres.sh unless DATABASE_URL names a server
#   COLLECTIONS          folders in BEIR layout (corpus.jsonl.xz, queries.jsonl, qrels.tsv), as a list with colons; required
#   RUN_PROFILE=release  cargo profile of our program
#
# What a collection gave is kept in $ASTROLABE_TEST_DIR/quality until the program changes. The figures do not depend on load, the times do.
set -euo pipefail
. "$(dirname "$0")/../../scripts/lib.sh"

arguments=() engines=embedded,postgres BINARY=''
while [ $# -gt 0 ]; do
  case $1 in
    --write) arguments+=("$1") ;;
    --binary) BINARY=$2 && shift ;;
    --engines) engines=$2 && shift ;;
    *)
      sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p;}' "$0"
      exit 2
      ;;
  esac
  shift
done
[ -n "${COLLECTIONS:-}" ] || die 'COLLECTIONS is empty: name the folders of the retrieval collections, with colons between them'
IFS=: read -ra collections <<<"$COLLECTIONS"

[ -n "$BINARY" ] || build_server "${RUN_PROFILE:-release}"
scripts/models.sh >&2
if [[ $engines == *postgres* && -z ${DATABASE_URL:-} ]]; then
  DATABASE_URL=$(scripts/postgres.sh start)
  export DATABASE_URL
fi
"${serve_env[@]:?}" python3 bench/quality/measure.py --binary "$BINARY" --work "$SCRATCH/quality" --engines "$engines" "${arguments[@]}" "${collections[@]}"
