# Sourced by the tests of the hub after tests/cli/common.sh. Starts a hub (server.py) in $tmp/hub, makes an empty cache and
# defines helpers. No request leaves this machine.
command -v python3 >/dev/null || {
    echo 'python3 is missing; it runs the server of these tests'
    exit 77
}
hub=$tmp/hub
mkdir -p "$hub/repos"
# The server ends when its standard input is closed, which happens when the test ends.
exec {server}> >(exec python3 "$LOAM_SOURCE/tests/hub/server.py" "$hub" >"$tmp/server.log" 2>&1)
for _ in $(seq 600); do
    [ -e "$hub/address" ] && break
    sleep 0.05
done
[ -e "$hub/address" ] || {
    cat "$tmp/server.log"
    exit 1
}
unset HF_TOKEN HF_TOKEN_PATH HF_HUB_CACHE HF_HUB_OFFLINE HUGGINGFACE_HUB_CACHE HUGGING_FACE_HUB_TOKEN XDG_CACHE_HOME \
    HF_HUB_DISABLE_IMPLICIT_TOKEN TRANSFORMERS_OFFLINE
export HF_ENDPOINT HF_HOME=$tmp/home
HF_ENDPOINT=$(cat "$hub/address")
export LOAM_HUB_DELAY_SCALE=0.001 LOAM_HUB_STALL_SECONDS=60
token=hf_SecretSecretSecret

# fault REGEX FAULT...: makes the server fail once, at a request whose "METHOD PATH" matches. Write a space as a dot.
fault() { printf '%s\n' "$*" >>"$hub/faults"; }
# begin [fresh]: clears the faults and the log, and with "fresh" also the cache.
begin() {
    : >"$hub/faults"
    : >"$hub/log"
    [ "${1:-}" != fresh ] || rm -rf "$tmp/home"
}
settings() { printf '%s\n' "$1" >"$hub/settings"; }
# count_requests PATTERN: prints the number of lines in the hub's log that match.
count_requests() { grep -cE -- "$1" "$hub/log" || true; }
# stopped_at REQUEST ARGUMENT...: runs loam and sends SIGTERM once the hub has logged a request that matches REQUEST.
stopped_at() {
    local request=$1 process
    shift
    "$LOAM" "$@" >"$tmp/stdout" 2>"$tmp/stderr" &
    process=$!
    for _ in $(seq 600); do
        [ "$(count_requests "$request")" -eq 0 ] || break
        sleep 0.05
    done
    kill -TERM "$process"
    code=0
    wait "$process" || code=$?
    [ "$code" -eq 143 ] || fail "exit code $code: $(cat "$tmp/stderr")"
}
# Checks that the hub received no request.
no_requests() { [ ! -s "$hub/log" ] || fail "requests to the hub: $(cat "$hub/log")"; }
# Checks that every fault has occurred.
faults_occurred() { [ ! -s "$hub/faults" ] || fail "faults left over: $(cat "$hub/faults")"; }
# Checks that the output and the cache do not contain the token.
no_token() {
    ! grep -rqF "$token" "$tmp/stdout" "$tmp/stderr" "$tmp/home" 2>/dev/null || fail "the token is in the output or the cache"
    ! grep -qF 'Signature=' "$tmp/stderr" || fail 'a signed address is in the output'
}
