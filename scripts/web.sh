#!/usr/bin/env bash
# Builds the page into web/dist, unless it is there and newer than everything it is made of.
#
#   scripts/web.sh             install what is missing and build
#   scripts/web.sh --install   only install the page's dependencies
#   scripts/web.sh --optional  as without an argument, but go on without Node or a network, saying so
#   scripts/web.sh --exec C..  install, and run a command in web/ with a Node that is new enough
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

new_enough() { node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; }

{ command -v node && command -v npm; } >/dev/null || without 'Node and npm are missing (Debian and Ubuntu: apt-get install nodejs npm)'
if ! new_enough; then
  # Debian 12 and Ubuntu 24.04 have Node 18, and the page's build needs 20.19. The npm registry has Node, too.
  own=$SCRATCH/node
  if [ ! -x "$own/node_modules/.bin/node" ]; then
    say "Node $(node --version) is too old to build the page; fetching Node 22 into $own (npm)"
    npm install --prefix "$own" --no-audit --no-fund --loglevel=error node@22 npm@11 || without 'Node 22 could not be fetched; is there a network?'
  fi
  PATH=$own/node_modules/.bin:$PATH
  # Unlike Debian's, this Node knows only its own authorities; a company's are among those of the machine.
  [ ! -r /etc/ssl/certs/ca-certificates.crt ] || export NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}
  new_enough || without "Node $(node --version) is too old to build the page, which needs 20.19 or later"
fi

stamp=web/node_modules/.package-lock.json
if [ ! -f "$stamp" ] || [ web/package-lock.json -nt "$stamp" ]; then
  say 'installing the dependencies of the page (npm ci)'
  (cd web && npm ci --no-audit --no-fund --loglevel=error) || without 'npm ci failed; is there a network?'
fi
case $mode in
  --install) exit 0 ;;
  --exec)
    shift
    cd web
    exec "$@"
    ;;
esac

if [ -f web/dist/index.html ] &&
  [ -z "$(find web/src web/index.html web/package-lock.json web/vite.config.ts web/public -newer web/dist/index.html -print -quit 2>/dev/null)" ]; then
  exit 0
fi
say 'building the page (npm run build)'
(cd web && npm run --silent build) || without 'the page could not be built; what npm said is above'
