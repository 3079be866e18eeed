# Sourced by the measurements beside it: scripts/lib.sh, and the binary that is measured.
# shellcheck shell=bash

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

# released_binary ARGUMENT...: sets BINARY to what stands behind --binary, or builds the server for release.
released_binary() {
  BINARY=''
  while [ $# -gt 0 ]; do
    [ "$1" != --binary ] || BINARY=${2:?'--binary names a file'}
    shift
  done
  [ -n "$BINARY" ] || build_server release
}
