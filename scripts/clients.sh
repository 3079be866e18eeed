#!/usr/bin/env bash
# Clients that others wrote (OpenAI's for Python and Node, LangChain, LlamaIndex) do forty steps each against /v1, with the scripted model behind it.
#
#   RUN_PROFILE=dev   cargo profile of the binary
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need node 'apt-get install nodejs npm'
need npm 'apt-get install npm'
python=$(venv clients 'openai==3.57.0')
# The frameworks want an older one.
frameworks=$(venv clients-frameworks 'langchain-openai==1.7.4' 'llama-index-llms-openai-like==0.8.1' 'llama-index-core==0.14.25' 'openai==2.54.0')
npm_dir=$SCRATCH/clients-node
if [ ! -f "$npm_dir/.ready" ]; then
  mkdir -p "$npm_dir"
  (cd "$npm_dir" && npm init --yes >/dev/null && npm install --silent --no-audit --no-fund openai@6.49.0) || die 'could not install openai for Node'
  touch "$npm_dir/.ready"
fi
build_server "${RUN_PROFILE:-dev}"

work=$(mktemp -d)
trap '[ -z "${SERVER_PID:-}" ] || kill -TERM "$SERVER_PID" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
start_server "$work/data" "$work/log" 127.0.0.1:0 "ASTROLABE_MODEL_NAME=scripted/$ROOT/scripts/clients/rules.toml"
token=$(cat "$work/data/token")
# Neither a proxy nor keys of the person who runs this.
clean=(env -u HTTP_PROXY -u HTTPS_PROXY -u http_proxy -u https_proxy -u ALL_PROXY -u all_proxy -u OPENAI_BASE_URL -u OPENAI_API_KEY NO_PROXY='*' LANGSMITH_TRACING=false)
"${clean[@]}" timeout 120 "$python/bin/python" scripts/clients/openai_python.py "$URL" "$token"
cp scripts/clients/openai_node.mjs "$npm_dir/steps.mjs"
"${clean[@]}" timeout 120 node "$npm_dir/steps.mjs" "$URL" "$token"
"${clean[@]}" timeout 240 "$frameworks/bin/python" scripts/clients/frameworks.py "$URL" "$token"
