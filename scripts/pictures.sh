#!/usr/bin/env bash
# Takes the picture of the README, docs/images/ask.png: a question to the example documents, asked in headless Chromium.
#
#   scripts/pictures.sh            the picture of the README
#   scripts/pictures.sh FOLDER     pictures of every view instead, in three languages, two widths and both themes, to look at
#
#   RUN_PROFILE=quick cargo profile of the binary
#   CHROMIUM=path     the browser, when it is not chromium on the path
set -euo pipefail
. "$(dirname "$0")/lib.sh"

CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$CHROMIUM" ] || die 'no Chromium: apt-get install chromium, or set CHROMIUM to one'
export CHROMIUM
views=${1:+$(realpath -m "$1")}

scripts/web.sh
build_server "${RUN_PROFILE:-quick}"

work=$(mktemp -d)
trap 'stop_server; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
start_server "$work/data" "$work/server.log" 127.0.0.1:0
astrolabe ingest docs/handbook --source handbook --data-dir "$work/data"
for language in en pl ru; do astrolabe ingest "examples/$language" --source "examples-$language" --data-dir "$work/data"; done
link=$(astrolabe login-link --data-dir "$work/data")
picture=$ROOT/docs/images/ask.png
[ -z "$views" ] || picture=''
ASTROLABE_URL=$URL ASTROLABE_SIGNIN_URL=$link VIEWS=$views README_PICTURE=$picture scripts/web.sh --exec node scripts/pictures.mjs
