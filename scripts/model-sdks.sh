#!/usr/bin/env bash
# The vendors' own SDKs (openai, boto3, google-genai) against the scripted model, so that it speaks the formats as they do.
#
#   RUN_PROFILE=dev   cargo profile of the binary
set -euo pipefail
. "$(dirname "$0")/lib.sh"

sdks=$(venv model-sdks 'openai==3.57.0' 'boto3==1.44.8' 'google-genai==3.6.1')
build_server "${RUN_PROFILE:-dev}"

work=$(mktemp -d)
server=''
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# Not through the function of lib.sh: the process in the background would be a shell, and the server would outlive it.
"${serve_env[@]}" "$BINARY" scripted scripts/model_sdks.toml >"$work/address" 2>"$work/log" &
server=$!
tries=0
until [ -s "$work/address" ]; do
  if ! kill -0 "$server" 2>/dev/null || [ "$tries" -ge 300 ]; then
    cat "$work/log" >&2
    die 'the scripted model did not start'
  fi
  tries=$((tries + 1))
  sleep 0.1
done
# Neither a proxy nor keys of the person who runs this.
env -u HTTP_PROXY -u HTTPS_PROXY -u http_proxy -u https_proxy -u ALL_PROXY -u all_proxy -u OPENAI_BASE_URL -u GOOGLE_API_KEY -u GEMINI_API_KEY \
  -u AWS_PROFILE -u AWS_BEARER_TOKEN_BEDROCK NO_PROXY='*' AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null \
  timeout 120 "$sdks/bin/python" scripts/model_sdks.py "$(cat "$work/address")"
