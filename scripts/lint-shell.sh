#!/usr/bin/env bash
# Every shell script parses; with shellcheck when it is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

files=(.ci/run scripts/*.sh bench/*.sh bench/*/*.sh)
for file in "${files[@]}"; do bash -n "$file"; done
if command -v shellcheck >/dev/null; then
  shellcheck -x -P SCRIPTDIR -e SC1091,SC2153 "${files[@]}"
else
  say 'shellcheck is not there: the scripts were only parsed'
fi
