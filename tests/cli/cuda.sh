# Training, evaluation and generation with --device cuda, on the driver library of the tests. It counts what is created and
# not destroyed.
. "$(dirname "$0")/common.sh"
export XDG_CACHE_HOME=$tmp/cache FAKE_CUDA_REPORT=$tmp/report
export LD_LIBRARY_PATH=$LOAM_BUILD/tests/tools/fake_cuda${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
make_model "$tmp/model"
for i in 1 2 3 4 5 6; do echo "{\"text\": \"line $i of it\"}"; done >"$tmp/data.jsonl"
weights=adapter_model.safetensors
train=(train --model "$tmp/model" --data "$tmp/data.jsonl" --max-steps 3 --save-steps 1 --batch-size 1 --max-length 16
    --learning-rate 1e-2 --logging-steps 1)

# reported NAME: prints a number of the driver's report.
reported() {
    sed -n "s/^$1 //p" "$tmp/report"
}
nothing_left() {
    [ "$(reported live)" = 0 ] && [ "$(reported used)" = 0 ] || fail "left on the device: $(cat "$tmp/report")"
}
# try_on SETTINGS TEXT NAME ARGUMENT...: a command on a driver that fails. If it fails, the error is one line with TEXT.
try_on() {
    export FAKE_CUDA=$1
    local text=$2
    shift 2
    run "$@"
    unset FAKE_CUDA
    nothing_left
    [ "$code" -ne 0 ] || return 0
    [ "$code" -eq 1 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    [ "$(grep -v '^loam: warning: ' "$tmp/stderr" | grep -c '^loam: ')" -eq 1 ] || fail "not one line of error: $(cat "$tmp/stderr")"
    tail -n 1 "$tmp/stderr" | grep -q "$text" || fail "\"$text\" is not in: $(tail -n 1 "$tmp/stderr")"
}
fails_on() {
    try_on "$@"
    [ "$code" -eq 1 ] || fail "no failure: exit code $code"
}

# ---- training ----
ok 'train' "${train[@]}" --out "$tmp/whole" --device cuda
grep -q 'computing in bf16 on device cuda:0 (fake GPU 0)$' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
nothing_left
calls=$(reported calls)
[ "$(reported launches)" -gt 100 ] || fail "$(cat "$tmp/report")"
ok 'train again, on the first GPU that can be used' "${train[@]}" --out "$tmp/again"
cmp -s "$tmp/whole/$weights" "$tmp/again/$weights" || fail 'another adapter'
grep -q '^device: "cuda:0"$' "$tmp/again/run.yaml" || fail "$(grep device "$tmp/again/run.yaml")"
graphs=$(reported graph_launches)
[ "$graphs" -gt 0 ] || fail "no graphs: $(cat "$tmp/report")"
LOAM_CUDA_GRAPHS=off ok 'without graphs' "${train[@]}" --out "$tmp/without"
cmp -s "$tmp/whole/$weights" "$tmp/without/$weights" || fail 'another adapter'
[ "$(reported graph_launches)" = 0 ] || fail "$(cat "$tmp/report")"
ok 'the losses of the CPU' "${train[@]}" --out "$tmp/cpu" --device cpu --dtype bf16
losses() { sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p' "$1/metrics.jsonl"; }
paste <(losses "$tmp/whole") <(losses "$tmp/cpu") | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 0.02) exit 1; n++ } END { exit n != 3 }' ||
    fail "other losses: $(paste <(losses "$tmp/whole") <(losses "$tmp/cpu"))"

# A step waits for the device once, at its end, and its launches are one graph.
counts=()
for steps in 2 4; do
    ok "$steps steps" "${train[@]}" --save-steps 100 --max-steps "$steps" --out "$tmp/steps" --overwrite
    counts+=("$(reported waits)" "$(reported graph_launches)")
done
[ $((counts[2] - counts[0])) -eq 2 ] && [ $((counts[3] - counts[1])) -eq 2 ] || fail "waits and graphs: ${counts[*]}"

# ---- resuming ----
resumes() {
    ok "$1, then resumed" "${train[@]}" --out "$tmp/out" --resume
    cmp -s "$tmp/whole/$weights" "$tmp/out/$weights" || fail 'another adapter'
    rm -rf "$tmp/out"
}
export FAKE_CUDA="fail_at=$((calls * 3 / 4)) fail_kill=1"
run 'a killed run' "${train[@]}" --out "$tmp/out"
unset FAKE_CUDA
[ "$code" -eq 137 ] && [ -d "$tmp/out/checkpoint-1" ] || fail "exit code $code: $(ls "$tmp/out")"
resumes 'a killed run'
fails_on "fail_at=$((calls * 3 / 4)) fail_result=719 fail_sticky=1" \
    'CUDA_ERROR_LAUNCH_FAILED (719): a kernel failed; the device is lost to this process; .*--resume goes on from ' \
    'a lost device' "${train[@]}" --device cuda --out "$tmp/out"
resumes 'a lost device'
ok 'one step on the CPU' "${train[@]}" --out "$tmp/out" --device cpu --dtype bf16 --max-steps 1
ok 'resumed on the GPU' "${train[@]}" --out "$tmp/out" --resume --allow-change
grep -q 'was made on device cpu: on cuda:0 the last digits may come out otherwise' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/out"

# ---- failures: fewer of them with sanitizers, which make the kernels of the tests slow ----
most=40 parts=(2 3)
[ "${LOAM_SANITIZE:-OFF}" = OFF ] || most=3 parts=(3)
for ((n = 1; n < most; n += (n + 1) / 2)); do # 1, 2, 3, 5, 8, ... until there are no more
    try_on "fail_symbol=cuMemAlloc_v2 fail_at=$n fail_result=2" 'out of memory on device cuda:0: ' "allocation $n" \
        "${train[@]}" --device cuda --out "$tmp/out" --overwrite --max-steps 1
    [ "$code" -ne 0 ] || break
done
[ "$most" -lt 40 ] || { [ "$n" -gt 3 ] && [ "$n" -lt 40 ]; } || fail "$n allocations"
# A failure to release something is no failure of the run: the next calls are tried then.
for part in "${parts[@]}"; do
    for ((n = calls * part / 6; n < calls * part / 6 + 20; n++)); do
        try_on "fail_at=$n fail_result=304" 'CUDA_ERROR_OF_THE_TEST (304): ' "call $n" "${train[@]}" --device cuda \
            --out "$tmp/out" --overwrite
        [ "$code" -eq 0 ] || break
    done
    [ "$code" -ne 0 ] || fail 'no failure'
done
rm -rf "$tmp/out"
fails_on 'capability=61' 'compute capability 6.1; at least 7.5' 'an old GPU' "${train[@]}" --out "$tmp/out" --device cuda
refuses 1 'device cuda:7 does not exist: the driver finds 1, numbered from 0' 'a GPU that is not there' \
    "${train[@]}" --out "$tmp/out" --device cuda:7

# ---- the result ----
ok 'eval' eval --model "$tmp/model" --adapter "$tmp/whole" --data "$tmp/data.jsonl" --max-length 16 --json
nothing_left
loss=$(number eval_loss "$tmp/stdout")
ok 'eval on the CPU' eval --model "$tmp/model" --adapter "$tmp/whole" --data "$tmp/data.jsonl" --max-length 16 --json --device cpu
awk -v a="$loss" -v b="$(number eval_loss "$tmp/stdout")" 'BEGIN { d = a - b; exit !(a > 0 && d < 0.02 && d > -0.02) }' ||
    fail "$loss on the GPU, $(number eval_loss "$tmp/stdout") on the CPU"
counts=() # a token is one graph, and one wait
for tokens in 4 6; do
    ok 'generate' generate --model "$tmp/model" --adapter "$tmp/whole" --prompt 'line' --max-new-tokens "$tokens" --device cuda:0
    nothing_left
    counts+=("$(reported waits)" "$(reported graph_launches)")
done
[ $((counts[2] - counts[0])) -eq 2 ] && [ $((counts[3] - counts[1])) -eq 2 ] || fail "waits and graphs: ${counts[*]}"
[ "$(wc -c <"$tmp/stdout")" -gt 1 ] || fail 'no text'
# An adapter with DoRA keeps norms on the device. These rows are shorter than what a device aligns to.
sed 's/"hidden_size": 64/"hidden_size": 20/; s/"n_head": 4/"n_head": 2/' "$tiny/config.json" >"$tmp/narrow.json"
"$LOAM" init --config "$tmp/narrow.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/narrow" >/dev/null
ok 'DoRA of a narrow model' train --model "$tmp/narrow" --data "$tmp/data.jsonl" --max-steps 2 --max-length 16 --use-dora \
    --target-modules all-linear --learning-rate 1e-2 --device cuda --dtype f32 --out "$tmp/dora"
for device in cpu cuda; do
    ok "eval with DoRA, $device" eval --model "$tmp/narrow" --adapter "$tmp/dora" --data "$tmp/data.jsonl" --max-length 16 \
        --device "$device" --dtype f32 --json
    number eval_loss "$tmp/stdout" >"$tmp/loss.$device"
    ok "generate with DoRA, $device" generate --model "$tmp/narrow" --adapter "$tmp/dora" --prompt 'line' \
        --max-new-tokens 4 --device "$device" --dtype f32
    cp "$tmp/stdout" "$tmp/text.$device"
done
nothing_left
paste "$tmp/loss.cpu" "$tmp/loss.cuda" | awk '{ d = $1 - $2; exit !($1 > 0 && d < 1e-4 && d > -1e-4) }' ||
    fail "losses with DoRA: $(cat "$tmp/loss.cpu" "$tmp/loss.cuda")"
cmp -s "$tmp/text.cpu" "$tmp/text.cuda" || fail 'another text with DoRA'
ok 'threads' generate --model "$tmp/model" --prompt 'line' --max-new-tokens 1 --device cuda --threads 2
grep -q '^loam: warning: --threads 2 has no effect on device cuda:0' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
finish
