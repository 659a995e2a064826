# scripts/gpu-check on the driver library of the tests: parts that are right, one that fails, and those that need it.
. "$(dirname "$0")/common.sh"
export LOAM_TEST_OPS=cast

# check CODE NAME ARGUMENT...: rehearses.
check() {
    local expected=$1
    case_name=$2
    code=0
    "$LOAM_SOURCE/scripts/gpu-check" --rehearse --build "$LOAM_BUILD" --json "$tmp/json" "${@:3}" >"$tmp/stdout" 2>&1 || code=$?
    [ "$code" -eq "$expected" ] || fail "exit code $code: $(cat "$tmp/stdout")"
}
check 0 'parts that are right' --only devices,ops,sanitizer
output_has 'build      ok '
output_has 'fake GPU 0, capability '
grep -q '^ops  *ok .* cases on cuda:0$' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
grep -q '"result": "ok"' "$tmp/json" || fail "$(cat "$tmp/json")"
export FAKE_CUDA='fail_symbol=cuLaunchKernel fail_at=30 fail_result=719'
check 1 'a part that fails' --only ops
grep -q '^ops  *FAILED ' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
export FAKE_CUDA='devices=0'
check 1 'a machine without a GPU' --only ops
grep -q '^devices  *FAILED .*there is no cuda:0' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
grep -q '^ops  *skipped .*an earlier part is needed$' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
unset FAKE_CUDA
check 0 'no time' --only ops --seconds 1
output_has 'no time is left'
check 2 'an unknown part' --only speed
output_has 'the parts are machine, build, devices, ops'
finish
