#!/usr/bin/env bash
# Measures search in the embedded index beside FAISS and pgvector, on the same vectors and queries. Needs a quiet machine.
#
#   bench/search/run.sh [--write] [--json FILE] [--only ours,faiss,pgvector] [--graph CHUNKS] [CHUNKS ...]
#
#   CHUNKS              sizes to measure (10000 100000); 1000000 needs 8 GB of disk, and 20 minutes the first time
#   --write             add the figures to bench/RESULTS.md
#   --json FILE         write them as JSON, too
#   --only              engines to measure
#   --graph CHUNKS      largest size at which the peers build graphs (100000); a graph of a million takes a quarter of an hour
#   COLLECTIONS         folders in BEIR layout, named by their language (en_..., pl_..., ru_...), as a list with colons; required
#   RUN_PROFILE=release cargo profile of our program
#
# Data and indexes are kept in $ASTROLABE_TEST_DIR/search-bench, so that a second run measures only.
set -euo pipefail
. "$(dirname "$0")/../lib.sh"

arguments=() sizes=() only=ours,faiss,pgvector
while [ $# -gt 0 ]; do
  case $1 in
    --write) arguments+=("$1") ;;
    --only) only=$2 && shift ;;
    --json | --graph) arguments+=("$1" "$2") && shift ;;
    [0-9]*) sizes+=("$1") ;;
    *)
      sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p;}' "$0"
      exit 2
      ;;
  esac
  shift
done
[ ${#sizes[@]} -gt 0 ] || sizes=(10000 100000)
[ -n "${COLLECTIONS:-}" ] || die 'COLLECTIONS is empty: name the folders of the retrieval collections, with colons between them'
IFS=: read -ra collections <<<"$COLLECTIONS"

profile=${RUN_PROFILE:-release}
cargo build --locked --quiet --profile "$profile" -p astrolabe-backends --example index_bench
program=$(dirname "$(binary_of "$profile")")/examples/index_bench
scripts/models.sh >&2
python=$(venv search 'faiss-cpu==1.15.1' 'numpy==2.4.6' 'psycopg[binary]==3.3.9')/bin/python
work=$SCRATCH/search-bench
largest=$(printf '%s\n' "${sizes[@]}" | sort -n | tail -n 1)
nice -n 5 "$python" bench/search/data.py --program "$program" --model "$ASTROLABE_MODELS_DIR/all-MiniLM-L6-v2" --work "$work" --chunks "$largest" "${collections[@]}"
postgres=''
[[ $only != *pgvector* ]] || postgres=$(scripts/postgres.sh start) || warn 'PostgreSQL does not start: pgvector is left out'
"$python" bench/search/measure.py --program "$program" --profile "$profile" --work "$work" --postgres "$postgres" --only "$only" "${arguments[@]}" "${sizes[@]}"
