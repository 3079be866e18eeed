#!/usr/bin/env bash
# A person's journeys in headless Chromium against the real binary on an empty data directory.
#
#   RUN_PROFILE=dev   cargo profile of the binary
#   CHROMIUM=path     the browser, when it is not chromium on the path
set -euo pipefail
. "$(dirname "$0")/lib.sh"

CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$CHROMIUM" ] || die 'no Chromium: apt-get install chromium, or set CHROMIUM to one'
export CHROMIUM

scripts/web.sh
build_server "${RUN_PROFILE:-dev}"

work=$(mktemp -d)
trap 'stop_server; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
start_server "$work/data" "$work/server.log" 127.0.0.1:0
link=$(astrolabe login-link --data-dir "$work/data")
status=0
ASTROLABE_URL=$URL ASTROLABE_SIGNIN_URL=$link scripts/web.sh --exec npm run --silent e2e || status=$?
if [ "$status" -ne 0 ]; then
  warn 'the end of the server log:'
  tail -n 30 "$work/server.log" >&2
fi
exit "$status"
