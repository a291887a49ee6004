#!/usr/bin/env bash
# Runs the service for a while (600 s unless told otherwise) behind sentinels, with keys that churn, rules that
# change every ten seconds and a failover each minute; prints what it holds and what failed, at the start and the end.
#
#   cargo build --release && benches/soak.sh [SECONDS] [REQUESTS_PER_SECOND]
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
rate=${2:-5000}
binary=target/release/slidegate
folder=$(mktemp -d)
pids=()
stop() {
    kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT

start() { # NAME COMMAND...
    local name=$1
    shift
    "$@" >"$folder/$name.log" 2>&1 &
    pids+=($!)
}

rules() { # The number of requests changes each time.
    printf 'domain: soak\ndescriptors:\n- {key: user, rate_limit: {unit: minute, requests_per_unit: %s}}\n' "$1" \
        >"$folder/next"
    mv "$folder/next" "$folder/rules/soak.yaml"
}

mkdir "$folder/rules"
rules 1000
start master redis-server --port 7701 --save '' --appendonly no --dir "$folder"
start replica redis-server --port 7702 --save '' --appendonly no --dir "$folder" --replicaof 127.0.0.1 7701
sleep 1
for port in 7711 7712 7713; do
    printf 'port %s\nsentinel monitor main 127.0.0.1 7701 2\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n' \
        "$port" >"$folder/$port.conf"
    start "sentinel-$port" redis-server "$folder/$port.conf" --sentinel
done
sleep 3
start service "$binary" serve --rules "$folder/rules" --grpc-addr 127.0.0.1:7721 --http-addr 127.0.0.1:7722 \
    --debug-addr 127.0.0.1:7723 --metrics-addr 127.0.0.1:7724 \
    --store redis+sentinel://127.0.0.1:7711,127.0.0.1:7712,127.0.0.1:7713/main
service=${pids[-1]}
sleep 2

held() {
    local status=/proc/$service/status
    printf '%s: %s kB resident, %s descriptors, %s threads, %s lines logged\n' "$1" \
        "$(awk '/VmRSS/ {print $2}' "$status")" "$(find "/proc/$service/fd" | wc -l)" \
        "$(awk '/Threads/ {print $2}' "$status")" "$(wc -l <"$folder/service.log")"
    exec 3<>/dev/tcp/127.0.0.1/7724
    printf 'GET /metrics HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n' >&3
    grep -E '^slidegate_(requests|request_errors|fallback_[a-z]+|store_errors|store_outages|config_loads)_total' <&3 | tr -d '\r'
    exec 3>&-
}

start load "$binary" load --target 127.0.0.1:7721 --domain soak --rate "$rate" --duration "${seconds}s" --keys 1000000
load=${pids[-1]}
sleep 10
held "after 10 s"
for ((second = 10; second < seconds; second += 10)); do
    sleep 10
    rules $((1000 + second))
    if ((second % 60 == 0)); then
        redis-cli -p 7711 sentinel failover main
    fi
done
wait "$load" || true
held "after $seconds s"
cat "$folder/load.log"
