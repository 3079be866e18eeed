#!/usr/bin/env bash
# A throw-away OpenID Connect provider for the tests, on loopback.
#
#   scripts/oidc-provider.sh start   start it unless it runs; print its issuer
#   scripts/oidc-provider.sh stop    stop it
#
#   TEST_OIDC_ISSUER=$(scripts/oidc-provider.sh start) cargo nextest run -p astrolabe-platform -E 'test(oidc)'
#
# It is the npm package `oidc-provider`, installed into the scratch folder ASTROLABE_TEST_DIR (default: ${TMPDIR:-/tmp}/astrolabe-test). The port is
# ASTROLABE_OIDC_PORT (default: 5817). Only the issuer goes to standard output. Exit codes: 0 done, 1 could not start, 2 wrong usage, 4 node is missing.
set -euo pipefail

readonly PACKAGE='oidc-provider@9.13.3'
here=$(cd "$(dirname "$0")" && pwd)
folder=${ASTROLABE_TEST_DIR:-${TMPDIR:-/tmp}/astrolabe-test}/oidc
port=${ASTROLABE_OIDC_PORT:-5817}
issuer=http://127.0.0.1:$port

say() { printf 'oidc-provider.sh: %s\n' "$*" >&2; }
runs() { [ -f "$folder/pid" ] && kill -0 "$(cat "$folder/pid")" 2>/dev/null; }

case ${1:-} in
  start) ;;
  stop)
    if runs; then kill "$(cat "$folder/pid")"; fi
    rm -f "$folder/pid"
    exit 0
    ;;
  *)
    sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
    ;;
esac

for tool in node npm; do
  command -v "$tool" >/dev/null || {
    say "$tool is missing: install the packages nodejs and npm"
    exit 4
  }
done
if ! runs; then
  mkdir -p "$folder"
  if [ ! -d "$folder/node_modules/oidc-provider" ]; then
    say "installing $PACKAGE"
    npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts "$PACKAGE" >&2
  fi
  nohup node "$here/oidc-provider.mjs" "$folder" "$port" >"$folder/log" 2>&1 </dev/null &
  echo $! >"$folder/pid"
  for _ in $(seq 100); do
    grep -qx "$issuer" "$folder/log" && break
    runs || break
    sleep 0.1
  done
  grep -qx "$issuer" "$folder/log" || {
    say "it did not start; $folder/log has:"
    tail -n 20 "$folder/log" >&2
    exit 1
  }
fi
echo "$issuer"
