# Sourced by the scripts beside it: where things are, and how a server is started, awaited and stopped.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT" || exit 1

NAME=${0##*/}
say() { printf '%s: %s\n' "${NAME%.sh}" "$*"; }
warn() { say "$@" >&2; }
die() {
  warn "$@"
  exit 1
}

# A scratch folder for what tests download or start; the same one as scripts/postgres.sh uses.
SCRATCH=${ASTROLABE_TEST_DIR:-${TMPDIR:-/tmp}/astrolabe-test}
# `astrolabe` refuses settings it does not know, and this one is ours alone.
[ -z "${ASTROLABE_TEST_DIR:-}" ] || export ASTROLABE_TEST_DIR
serve_env=(env -u ASTROLABE_TEST_DIR -u ASTROLABE_TEST_USER -u ASTROLABE_GIT_SHA -u ASTROLABE_SIGNIN_URL -u ASTROLABE_URL)

# The server and scripts/models.sh must look into the same folder.
export ASTROLABE_MODELS_DIR=${ASTROLABE_MODELS_DIR:-${XDG_DATA_HOME:-${HOME:-$ROOT}/.local/share}/astrolabe/models}

target_dir() {
  local dir=${CARGO_TARGET_DIR:-target}
  case $dir in
    /*) printf '%s\n' "$dir" ;;
    *) printf '%s/%s\n' "$ROOT" "$dir" ;;
  esac
}

# The binary that a cargo profile leaves behind.
binary_of() {
  case $1 in
    dev) printf '%s/debug/astrolabe\n' "$(target_dir)" ;;
    *) printf '%s/%s/astrolabe\n' "$(target_dir)" "$1" ;;
  esac
}

need() {
  command -v "$1" >/dev/null || die "$1 is missing: $2"
}

# build_server PROFILE [ARG...]: builds the server with a cargo profile and sets BINARY.
build_server() {
  need cargo 'install Rust 1.95 or later with rustup'
  cargo build --locked --profile "$1" -p astrolabe-server "${@:2}"
  BINARY=$(binary_of "$1")
}

# Runs the server's program without the variables that are ours.
astrolabe() { "${serve_env[@]}" "$BINARY" "$@"; }

# start_server DATA LOG ADDRESS [NAME=VALUE ...]: starts a server of its own process group, so that Ctrl+C reaches this script first, and
# waits until it answers. Sets SERVER_PID and URL. The log must not lie in a data directory that does not exist yet.
start_server() {
  local data=$1 log=$2 address=$3
  shift 3
  set -m
  "${serve_env[@]}" "$@" "$BINARY" serve --data-dir "$data" --listen "$address" >"$log" 2>&1 </dev/null &
  SERVER_PID=$!
  set +m
  await_server "$data" "$log"
}

# The address that the lock file of a data directory names.
url_of() {
  sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$1/lock" 2>/dev/null
}

# The process that the lock file of a data directory names.
pid_of() {
  sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$1/lock" 2>/dev/null
}

# Prints the process of the server that runs on a data directory; fails when there is none.
server_on() {
  local pid
  pid=$(pid_of "$1" || true)
  [ -n "$pid" ] && [ -n "$(url_of "$1")" ] && grep -qs astrolabe "/proc/$pid/cmdline" && printf '%s\n' "$pid"
}

# Stops with a word on the way out when a server runs on a data directory: a second one could not, and would only empty the first one's log.
need_no_server() {
  ! server_on "$1" >/dev/null ||
    die "a server already runs on $1, at $(url_of "$1"): add documents with make ingest DOCS=path, or stop it with make down (Ctrl+C where it was started)"
}

# Waits until the server with SERVER_PID on data directory $1 is ready, at most two minutes; shows the log $2 otherwise.
await_server() {
  local data=$1 log=$2 tries=0 status
  URL=''
  until [ "$tries" -ge 1200 ]; do
    if ! kill -0 "$SERVER_PID" 2>/dev/null; then
      tail -n 20 "$log" >&2
      die 'the server stopped at once; what it said is above'
    fi
    if [ "$(pid_of "$data")" = "$SERVER_PID" ]; then
      URL=$(url_of "$data")
      status=$([ -z "$URL" ] || curl -s -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 5 "$URL/readyz" || true)
      [ "$status" != 200 ] || return 0
    fi
    tries=$((tries + 1))
    sleep 0.1
  done
  tail -n 20 "$log" >&2
  die "the server is not ready after two minutes (last status: ${status:-none}); what it said is above"
}

# Stops the server softly and waits for it; a second call does nothing.
stop_server() {
  [ -n "${SERVER_PID:-}" ] || return 0
  kill -TERM "$SERVER_PID" 2>/dev/null || true
  wait "$SERVER_PID" 2>/dev/null || true
  SERVER_PID=''
}

# venv NAME PACKAGE...: a Python environment in the scratch folder with these packages; prints its folder. What is there is kept.
venv() {
  local name=$1 dir
  shift
  dir=$SCRATCH/$name
  if [ ! -f "$dir/.ready" ] || [ "$(cat "$dir/.ready")" != "$*" ]; then
    need python3 'apt-get install python3 python3-venv'
    rm -rf "$dir"
    mkdir -p "$SCRATCH"
    python3 -m venv "$dir" >&2 || die 'python3 cannot make a virtual environment: apt-get install python3-venv'
    "$dir/bin/pip" install --quiet --disable-pip-version-check "$@" >&2 || die "could not install $*"
    printf '%s' "$*" >"$dir/.ready"
  fi
  printf '%s\n' "$dir"
}
