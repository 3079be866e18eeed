#!/usr/bin/env bash
# From a fresh clone to a server that answers from documents: builds the page and the program, fetches the weights, starts on a data
# directory, ingests, and serves until Ctrl+C. Run it as often as you like; what is done already is not done again.
#
#   scripts/run.sh                       all of this
#   scripts/run.sh --stop                stop the server that runs on the data directory
#   scripts/run.sh --command ARG...      build, and run one `astrolabe` command on the data directory
#
#   DOCS=path         ingest this folder (or file) as source "docs" instead of the handbook and the examples
#   PORT=8080         port to listen on; 0 picks a free one
#   DATA_DIR=data     data directory
#   RUN_PROFILE=quick cargo profile: quick (fast to build, fast embedder), dev, release
#   RUN_BACKGROUND=1  return when everything is ready; the server goes on
set -euo pipefail
. "$(dirname "$0")/lib.sh"

DATA=${DATA_DIR:-data}
PROFILE=${RUN_PROFILE:-quick}
PORT=${PORT:-8080}

case ${1:-} in
  '') ;;
  --stop)
    if ! pid=$(server_on "$DATA"); then
      say "no server runs on $DATA"
      exit 0
    fi
    kill -TERM "$pid"
    tries=0
    while kill -0 "$pid" 2>/dev/null; do
      tries=$((tries + 1))
      [ "$tries" -le 300 ] || die "process $pid does not stop"
      sleep 0.1
    done
    say "stopped the server on $DATA"
    exit 0
    ;;
  --command)
    shift
    build_server "$PROFILE" --quiet
    exec "${serve_env[@]:?}" "$BINARY" "$@" --data-dir "$DATA"
    ;;
  *)
    sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p;}' "$0"
    [ "$1" = --help ] && exit 0
    exit 2
    ;;
esac

need cargo 'install Rust 1.95 or later with rustup'
need curl 'apt-get install curl'
if [ -n "${DOCS:-}" ]; then
  [ -e "$DOCS" ] || die "DOCS=$DOCS does not exist; a relative path starts at $ROOT"
  [ -r "$DOCS" ] || die "DOCS=$DOCS cannot be read: correct its rights"
  # The same files as `astrolabe ingest` takes; building for minutes first would be a bad way to say it.
  [ ! -d "$DOCS" ] || [ -n "$(find -L "$DOCS" -type f \( -iname '*.md' -o -iname '*.markdown' -o -iname '*.txt' -o -iname '*.text' -o -iname '*.htm' -o -iname '*.*html' -o -iname '*.pdf' -o -iname '*.docx' -o -iname '*.pptx' -o -iname '*.xls*' -o -iname '*.od[tsp]' -o -iname '*.epub' -o -iname '*.rtf' -o -iname '*.eml' -o -iname '*.csv' \) -print -quit 2>/dev/null)" ] ||
    die "DOCS=$DOCS holds no document: docs/handbook/sources-and-documents.md tells what is read"
fi

need_no_server "$DATA"

started=$SECONDS
scripts/web.sh --optional

say "building the program (cargo, profile $PROFILE); the first time this takes some minutes"
build_server "$PROFILE"

# Exit 3: cannot be had, which is no reason to stop.
scripts/models.sh || [ $? -eq 3 ] || say 'going on without the model: search works by words alone'

# Also makes the data directory, so that the log can lie in it.
astrolabe migrate --data-dir "$DATA" >/dev/null
trap stop_server EXIT
trap 'echo; say "stopping"; exit 0' INT TERM
start_server "$DATA" "$DATA/server.log" "127.0.0.1:$PORT"

# Exit 3: some files could not be read, which were named; the others can be asked about.
add() {
  local status=0
  say "ingesting $1 as source $2"
  astrolabe ingest "$1" --source "$2" --data-dir "$DATA" || status=$?
  [ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status"
}
if [ -n "${DOCS:-}" ]; then
  add "$DOCS" docs
  question='YOUR QUESTION'
else
  add docs/handbook handbook
  add examples/en examples-en
  add examples/pl examples-pl
  add examples/ru examples-ru
  question='How long are daily backups kept?'
fi

token=$(cat "$DATA/token")
link=$(astrolabe login-link --data-dir "$DATA")
lacking=$(curl -s --noproxy '*' "$URL/readyz" | sed -n 's/.*"degraded":\[\([^]]*\)\].*/\1/p')
cat <<TEXT

Astrolabe answers at $URL (ready after $((SECONDS - started)) s)

  open this once in a browser:
    $link

  ask from the command line:
    curl -s $URL/api/v1/ask -H 'Authorization: Bearer $token' \\
      -H 'Content-Type: application/json' -d '{"question":"$question"}'

  run an agent:
    curl -s $URL/v1/agents/run -H 'Authorization: Bearer $token' \\
      -H 'Content-Type: application/json' -d '{"agent":"support","input":"$question","tool_calls":[],"meta":{}}'

  API: $URL/docs    log: $DATA/server.log${lacking:+
  not there: $lacking (search works by words alone)}
TEXT

if [ -n "${RUN_BACKGROUND:-}" ]; then
  trap - EXIT INT TERM
  disown "$SERVER_PID" 2>/dev/null || true
  printf '\nIt goes on in the background; stop it with: make down\n'
  exit 0
fi
printf '\nStop it with Ctrl+C.\n'
wait "$SERVER_PID"
