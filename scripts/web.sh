#!/usr/bin/env bash
# Builds the page into web/dist, unless it is there and newer than everything it is made of.
#
#   scripts/web.sh             install what is missing and build
#   scripts/web.sh --install   only install the page's dependencies
#   scripts/web.sh --optional  as without an argument, but go on without Node or a network, saying so
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mode=${1:-}
without() {
  case $mode in
    --optional)
      say "$1; going on without the page: the API works, and / says how to build the page"
      exit 0
      ;;
    *) die "$1" ;;
  esac
}

{ command -v node && command -v npm; } >/dev/null || without 'Node and npm are missing (Debian and Ubuntu: apt-get install nodejs npm)'
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
  without "Node $(node --version) is too old for the page's build, which needs 20.19 or later"

stamp=web/node_modules/.package-lock.json
if [ ! -f "$stamp" ] || [ web/package-lock.json -nt "$stamp" ]; then
  say 'installing the dependencies of the page (npm ci)'
  (cd web && npm ci --no-audit --no-fund --loglevel=error) || without 'npm ci failed; is there a network?'
fi
[ "$mode" != --install ] || exit 0

if [ -f web/dist/index.html ] &&
  [ -z "$(find web/src web/index.html web/package-lock.json web/vite.config.ts web/public -newer web/dist/index.html -print -quit 2>/dev/null)" ]; then
  exit 0
fi
say 'building the page (npm run build)'
(cd web && npm run --silent build) || without 'the page could not be built; what npm said is above'
