#!/usr/bin/env bash
# Runs the service for a while (600 s unless told otherwise) on a Redis with TLS behind sentinels, at half of what
# it can do (or a rate that is given), with keys that churn, rules that change every ten seconds, certificates every
# thirty, and a failover each minute. Prints what it holds and what failed, at the start and at the end.
#
#   cargo build --release && benches/soak.sh [SECONDS] [REQUESTS_PER_SECOND]
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
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

authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=soak \
        -keyout "$folder/ca.key" -out "$folder/ca.crt" 2>"$folder/openssl.log"
}

certificate() { # NAME: another one each time.
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$folder/$1.key.next" \
        -out "$folder/$1.csr" 2>>"$folder/openssl.log"
    printf 'subjectAltName=IP:127.0.0.1\n' >"$folder/names"
    openssl x509 -req -in "$folder/$1.csr" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial -days 2 \
        -extfile "$folder/names" -out "$folder/$1.crt.next" 2>>"$folder/openssl.log"
    mv "$folder/$1.key.next" "$folder/$1.key"
    mv "$folder/$1.crt.next" "$folder/$1.crt"
}

redis() { # NAME PORT ARGUMENTS...
    local name=$1 port=$2
    shift 2
    start "$name" redis-server "$@" --port 0 --tls-port "$port" --tls-replication yes --save '' --appendonly no \
        --dir "$folder" --tls-ca-cert-file "$folder/ca.crt" --tls-cert-file "$folder/redis.crt" \
        --tls-key-file "$folder/redis.key"
}

metrics() {
    exec 3<>/dev/tcp/127.0.0.1/7724
    printf 'GET /metrics HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n' >&3
    tr -d '\r' <&3
    exec 3>&-
}

held() {
    local status=/proc/$service/status
    printf '%s: %s kB resident, %s descriptors, %s threads, %s tasks, %s lines logged\n' "$1" \
        "$(awk '/VmRSS/ {print $2}' "$status")" "$(find "/proc/$service/fd" | wc -l)" \
        "$(awk '/Threads/ {print $2}' "$status")" "$(metrics | awk '/^slidegate_tasks / {print $2}')" \
        "$(wc -l <"$folder/service.log")"
    metrics | grep -E '^slidegate_(requests|request_errors|fallback_[a-z]+|store_errors|store_outages|config_loads)_total'
}

mkdir "$folder/rules"
rules 1000
authority
certificate redis
certificate client
redis master 7701
redis replica 7702 --replicaof 127.0.0.1 7701
sleep 1
for port in 7711 7712 7713; do
    printf 'sentinel monitor main 127.0.0.1 7701 2\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n' \
        >"$folder/$port.conf"
    redis "sentinel-$port" "$port" "$folder/$port.conf" --sentinel
done
sleep 3
start service "$binary" serve --rules "$folder/rules" --grpc-addr 127.0.0.1:7721 --http-addr 127.0.0.1:7722 \
    --debug-addr 127.0.0.1:7723 --metrics-addr 127.0.0.1:7724 \
    --redis-ca "$folder/ca.crt" --redis-cert "$folder/client.crt" --redis-key "$folder/client.key" \
    --store rediss+sentinel://127.0.0.1:7711,127.0.0.1:7712,127.0.0.1:7713/main
service=${pids[-1]}
sleep 2

ask=("$binary" load --target 127.0.0.1:7721 --domain soak --keys 1000000)
if [[ $# -ge 2 ]]; then
    rate=$2
else
    all=$("${ask[@]}" --concurrency 200 --duration 10s --json | grep -oE '"requests":[0-9]+' | grep -oE '[0-9]+')
    rate=$((all / 20))
fi
printf '%s requests a second for %s s\n' "$rate" "$seconds"
start load "${ask[@]}" --rate "$rate" --duration "${seconds}s"
load=${pids[-1]}
sleep 10
held "after 10 s"
for ((second = 10; second < seconds; second += 10)); do
    sleep 10
    rules $((1000 + second))
    if ((second % 30 == 0)); then
        certificate client
    fi
    if ((second % 60 == 0)); then
        redis-cli --tls --cacert "$folder/ca.crt" --cert "$folder/client.crt" --key "$folder/client.key" -p 7711 \
            sentinel failover main
    fi
done
wait "$load" || true
sleep 10
held "after $seconds s, and 10 s of rest"
cat "$folder/load.log"
grep -cE 'redis connected' "$folder/service.log" | sed 's/$/ connections to Redis in all/'
