# Sourced by the tests of the hub, after tests/cli/common.sh: starts a hub of the test (server.py) in $tmp/hub, with an
# empty cache, and defines helpers. No test contacts another machine.
command -v python3 >/dev/null || {
    echo 'python3 is not there, in which the server of these tests is written'
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

# fault REGEX FAULT...: a fault of the server, once. REGEX matches "METHOD PATH"; a space is written as a dot.
fault() { printf '%s\n' "$*" >>"$hub/faults"; }
# A test begins: no faults, an empty log, and, with "fresh", an empty cache.
begin() {
    : >"$hub/faults"
    : >"$hub/log"
    [ "${1:-}" != fresh ] || rm -rf "$tmp/home"
}
settings() { printf '%s\n' "$1" >"$hub/settings"; }
# asked PATTERN: the number of requests in the log that match.
asked() { grep -cE -- "$1" "$hub/log" || true; }
# stopped_at REQUEST ARGUMENT...: a command that is stopped once the hub has logged a request that matches REQUEST.
stopped_at() {
    local request=$1 process
    shift
    "$LOAM" "$@" >"$tmp/stdout" 2>"$tmp/stderr" &
    process=$!
    for _ in $(seq 600); do
        [ "$(asked "$request")" -eq 0 ] || break
        sleep 0.05
    done
    kill -TERM "$process"
    code=0
    wait "$process" || code=$?
    [ "$code" -eq 143 ] || fail "exit code $code: $(cat "$tmp/stderr")"
}
silent() { [ ! -s "$hub/log" ] || fail "the hub was asked: $(cat "$hub/log")"; }
# The requested faults have happened.
happened() { [ ! -s "$hub/faults" ] || fail "not carried out: $(cat "$hub/faults")"; }
# The token appears neither on the terminal nor in a file that loam wrote.
no_token() {
    ! grep -rqF "$token" "$tmp/stdout" "$tmp/stderr" "$tmp/home" 2>/dev/null || fail "the token is in the output or the cache"
    ! grep -qF 'Signature=' "$tmp/stderr" || fail 'a signed address is in the output'
}
