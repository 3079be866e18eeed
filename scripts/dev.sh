#!/usr/bin/env bash
# The server and the page's development server; both reload on change. Ctrl+C stops both.
#
#   DATA_DIR=data   data directory
#   PORT=8080       port of the server
#   WEB_PORT=5173   port of the page that reloads; the server's own page is the one that was built last
set -euo pipefail
. "$(dirname "$0")/lib.sh"

DATA=${DATA_DIR:-data}
PORT=${PORT:-8080}
WEB_PORT=${WEB_PORT:-5173}
need_no_server "$DATA"
build_server dev
astrolabe migrate --data-dir "$DATA" >/dev/null
vite=''
# shellcheck disable=SC2317 # called by the trap
finish() {
  stop_server
  [ -z "$vite" ] || kill "$vite" 2>/dev/null || true
}
trap finish EXIT
trap 'exit 0' INT TERM
start_server "$DATA" "$DATA/server.log" "127.0.0.1:$PORT"
say "the server is at $URL; its log is $DATA/server.log"
link=$(astrolabe login-link --data-dir "$DATA")

if command -v npm >/dev/null; then
  ASTROLABE_URL=$URL scripts/web.sh --exec npx vite --port "$WEB_PORT" --strictPort &
  vite=$!
  # A session belongs to the address where it began, so the link has to lead to the page that reloads.
  link=http://localhost:$WEB_PORT${link#"$URL"}
else
  say 'npm is missing: only the server reloads'
fi
say "sign in with $link"

# Names, sizes and times of everything the binary is made of; a change of any of them is a change of this text.
fingerprint() { find crates Cargo.toml Cargo.lock \( -name '*.rs' -o -name '*.sql' -o -name '*.toml' -o -name '*.txt' -o -name '*.css' -o -name Cargo.lock \) -printf '%p %s %T@\n' | sort | cksum; }
seen=$(fingerprint)
while sleep 1; do
  now=$(fingerprint)
  [ "$now" != "$seen" ] || continue
  seen=$now
  say 'building again'
  # A build that fails leaves the server that runs.
  if cargo build --locked -p astrolabe-server; then
    stop_server
    start_server "$DATA" "$DATA/server.log" "127.0.0.1:$PORT"
    say "the server is at $URL again"
  fi
done
