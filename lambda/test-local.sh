#!/usr/bin/env bash
# The function on this machine: under the local Lambda, under AWS's own emulator, as an image.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/.." && pwd)/.venv/bin

usage() {
    cat <<'USAGE'
Usage: test-local.sh [--image]

Calls the function with good and bad input, and shows what it answers:
  1. under the local Lambda (needs `make install`; no Docker);
  2. under AWS's runtime interface emulator, if there is one: RIE=/path/to/aws-lambda-rie,
     `aws-lambda-rie` on the PATH, or the one that `make infra` brings;
  3. with --image: builds the image with the embedded model and runs it read-only.

Answers must be the same everywhere; the script ends with 1 where they are not.
USAGE
}

calls=(
    '{"texts": ["I love this!", "This is terrible"], "ids": ["1", "2"]}'
    '{"texts": ["fine", null]}'
    '{"texts": "one"}'
    '{"warmup": true}'
    '{"httpMethod": "GET", "path": "/nowhere"}'
)
path=/2015-03-31/functions/function/invocations
scratch=$(mktemp -d)
running=()
free_port() {
    "$bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
end() {
    local pid
    for pid in ${running[@]+"${running[@]}"}; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap end EXIT

# call_all URL FILE: the answers to `calls`, a line each.
call_all() {
    local body
    for body in "${calls[@]}"; do
        curl -s --retry 20 --retry-all-errors --retry-delay 1 -d "$body" "$1"
        echo
    done >"$2"
}

case ${1:-} in
    -h | --help)
        usage
        exit
        ;;
    "" | --image) ;;
    *)
        usage >&2
        exit 2
        ;;
esac
[[ -x $bin/sentiment-worker ]] || {
    echo "test-local.sh: run \`make install\` first." >&2
    exit 2
}

echo "== the local Lambda"
"$bin/sentiment-worker" lambda local --port 0 --name function >"$scratch/url" 2>/dev/null &
running+=($!)
until [[ -s $scratch/url ]]; do
    kill -0 "${running[0]}" 2>/dev/null || {
        echo "test-local.sh: the local Lambda did not start: sentiment-worker lambda local" >&2
        exit 1
    }
    sleep 0.1
done
call_all "$(head -n 1 "$scratch/url")$path" "$scratch/local"
cat "$scratch/local"

rie=${RIE:-$(command -v aws-lambda-rie || echo "$bin/../tools/bin/aws-lambda-rie")}
if [[ -x $rie ]]; then
    echo "== AWS's runtime interface emulator"
    port=$(free_port)
    (cd "$here" && exec "$rie" --runtime-interface-emulator-address "127.0.0.1:$port" \
        --runtime-api-address "127.0.0.1:$(free_port)" "$bin/python" -m awslambdaric sentiment_function.handler.handler) >"$scratch/rie.log" 2>&1 &
    running+=($!)
    call_all "http://127.0.0.1:$port$path" "$scratch/rie"
    kill -0 "${running[1]}" || {
        cat "$scratch/rie.log" >&2
        exit 1
    }
    diff "$scratch/local" "$scratch/rie"
    echo "the same answers"
else
    echo "== AWS's runtime interface emulator is not here: make infra, or RIE=..."
fi

if [[ ${1:-} == --image ]]; then
    echo "== the image"
    docker buildx build --load -t sentiment-test-local --build-arg MODEL_NAME=embedded "$here" >&2
    port=$(free_port)
    docker run --rm --read-only --tmpfs /tmp --user 65534:65534 -p "127.0.0.1:$port:8080" \
        --name "sentiment-test-local-$$" sentiment-test-local >"$scratch/image.log" 2>&1 &
    running+=($!)
    call_all "http://127.0.0.1:$port$path" "$scratch/image"
    docker stop "sentiment-test-local-$$" >/dev/null
    diff "$scratch/local" "$scratch/image"
    echo "the same answers"
fi
