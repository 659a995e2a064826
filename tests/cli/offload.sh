# Models beyond the memory of a device: what the plan tells, and layers in the host's memory, on the driver library of the tests.
. "$(dirname "$0")/common.sh"
export XDG_CACHE_HOME=$tmp/cache FAKE_CUDA_REPORT=$tmp/report
export LD_LIBRARY_PATH=$LOAM_BUILD/tests/tools/fake_cuda${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
sed 's/"n_layer": 2/"n_layer": 8/' "$tiny/config.json" >"$tmp/config8.json"
"$LOAM" init --config "$tmp/config8.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/model" >/dev/null
for i in 1 2 3; do echo "{\"text\": \"line $i of it\"}"; done >"$tmp/data.jsonl"
sizes=(--model "$tmp/model" --batch-size 1 --max-length 16 --device cuda)
train=(train "${sizes[@]}" --data "$tmp/data.jsonl" --max-steps 1)

# peak_is_below BYTES: what the last run took of the device, of which it left nothing.
peak_is_below() {
    local peak
    peak=$(sed -n 's/^peak //p' "$tmp/report")
    [ "$peak" -gt 0 ] && [ "$peak" -le "$1" ] || fail "$peak bytes were taken; the limit is $1"
    grep -q '^live 0$' "$tmp/report" && grep -q '^used 0$' "$tmp/report" || fail "left on the device: $(cat "$tmp/report")"
}

# ---- the plan ----
ok 'both places' plan "${sizes[@]}"
for text in 'of the device' 'of the host' "It fits in the device's memory: this GPU allows 960 MiB." "It fits in the host's memory: "; do
    output_has "$text"
done
ok 'as JSON' plan "${sizes[@]}" --json
whole=$(number device_peak_bytes "$tmp/stdout")
sum=0
for part in weights_converted trained gradients optimiser activations scratch; do
    sum=$((sum + $(number "${part}_bytes" "$tmp/stdout")))
done
[ "$sum" = "$whole" ] || fail "the parts are $sum: $(cat "$tmp/stdout")"
[ "$(number peak_bytes "$tmp/stdout")" = "$(number process_bytes "$tmp/stdout")" ] || fail "$(cat "$tmp/stdout")"
output_has '"device_limited_by": "this GPU"'
output_has '"offloaded_layers": 0'
# A limit that six offloaded layers keep. A layer has 98,304 bytes and its vectors.
few=6
ok 'six layers' plan "${sizes[@]}" --offload layers=$few --json
limit=$(number device_peak_bytes "$tmp/stdout")
[ $((whole - limit)) -gt $((3 * 98304 - 65536)) ] || fail "$whole and $limit bytes"
[ "$(number weights_offloaded_bytes "$tmp/stdout")" -gt $((few * 98304)) ] || fail "$(cat "$tmp/stdout")"
limited=(--device-memory-limit "$limit")
ok 'as few layers as needed' plan "${sizes[@]}" "${limited[@]}" --json
[ "$(number offloaded_layers "$tmp/stdout")" = $few ] || fail "$(cat "$tmp/stdout")"
[ "$(number device_peak_bytes "$tmp/stdout")" = "$limit" ] || fail "$(cat "$tmp/stdout")"
ok 'one layer less does not fit' plan "${sizes[@]}" "${limited[@]}" --offload layers=$((few - 1))
output_has "It does not fit in the device's memory: --device-memory-limit allows "
output_has 'With --offload auto it takes '
ok 'a limit in its unit' plan "${sizes[@]}" --device-memory-limit 200k
output_has "It does not fit in the device's memory: --device-memory-limit allows 200.0 KiB."
ok 'the host has a limit, too' plan "${sizes[@]}" "${limited[@]}" --memory-limit 1M
output_has "It does not fit in the host's memory: --memory-limit allows 1 MiB."

# opens_once ARGUMENT...: the command opens the GPU once for all that it plans and does.
opens_once() {
    FAKE_CUDA='fail_symbol=cuDevicePrimaryCtxRetain' ok "$@"
    grep -q '^calls 1$' "$tmp/report" || fail "the GPU was opened several times: $(cat "$tmp/report")"
}

# ---- training ----
ok 'train' "${train[@]}" --out "$tmp/whole"
peak_is_below "$whole"
opens_once 'plan' plan "${sizes[@]}" "${limited[@]}"
opens_once 'train in less' "${train[@]}" --out "$tmp/parts" "${limited[@]}"
grep -q "^$few of 8 layers stay in the host's memory: " "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
peak_is_below "$limit"
cmp -s "$tmp/whole/adapter_model.safetensors" "$tmp/parts/adapter_model.safetensors" || fail 'another adapter'
refuses 1 'with --offload auto it needs' 'none' "${train[@]}" --out "$tmp/out" "${limited[@]}" --offload none
refuses 1 '--device-memory-limit allows 200.0 KiB; no option makes it fit' 'too little' "${train[@]}" --out "$tmp/out" --device-memory-limit 200K
refuses 1 'the model has 8 layers' 'more layers than there are' "${train[@]}" --out "$tmp/out" --offload layers=9
refuses 1 'only a frozen base can be offloaded' 'full' "${train[@]}" --out "$tmp/out" --offload layers=4 --method full
refuses 2 'auto|none|layers=N' 'no number' "${train[@]}" --out "$tmp/out" --offload layers=x
ok 'no effect' train --model "$tmp/model" --data "$tmp/data.jsonl" --max-steps 1 --batch-size 1 --out "$tmp/cpu" --device cpu \
    --offload layers=4
grep -q -- '--offload has no effect with --device cpu' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
[ "$(grep -c 'no effect' "$tmp/stderr")" -eq 1 ] || fail "told more than once: $(cat "$tmp/stderr")"
ok 'no effect of more layers than there are' train --model "$tmp/model" --data "$tmp/data.jsonl" --max-steps 1 --batch-size 1 \
    --out "$tmp/cpu" --overwrite --device cpu --offload layers=9
[ "$(grep -c 'no effect' "$tmp/stderr")" -eq 1 ] || fail "not told once: $(cat "$tmp/stderr")"
ok 'no effect on a full fine-tuning' train --model "$tmp/model" --data "$tmp/data.jsonl" --max-steps 1 --batch-size 1 \
    --out "$tmp/full" --device ref --offload layers=4 --method full
[ "$(grep -c 'no effect' "$tmp/stderr")" -eq 1 ] || fail "not told once: $(cat "$tmp/stderr")"
ok 'no effect on generation' generate --model "$tmp/model" --prompt 'line 1' --max-new-tokens 1 --device cpu --offload layers=9
ok 'no effect on the reference' generate --model "$tmp/model" --prompt 'line 1' --max-new-tokens 1 --device ref --offload layers=4
grep -q -- '--offload and --device-memory-limit have no effect on device ref' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- generation and evaluation ----
# lower_limit: sets $limited to what the last run took, less two layers: five or six of them have to leave.
lower_limit() {
    limit=$(($(sed -n 's/^peak //p' "$tmp/report") - 2 * 98304))
    limited=(--device-memory-limit "$limit")
}
generate=(generate --model "$tmp/model" --adapter "$tmp/whole" --device cuda --prompt 'line 1' --max-new-tokens 2)
ok 'generate' "${generate[@]}"
mv "$tmp/stdout" "$tmp/expected"
lower_limit
generation=("${limited[@]}")
opens_once 'generate in less' "${generate[@]}" "${limited[@]}"
cmp -s "$tmp/stdout" "$tmp/expected" || fail "another text: $(cat "$tmp/stdout")"
grep -q "^[56] of 8 layers stay in the host's memory: each forward (one for a generated token) and each backward copies [0-9.]* [KM]iB to" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
peak_is_below "$limit"
refuses 1 '--offload auto offloads as many as needed' 'none' "${generate[@]}" "${limited[@]}" --offload none
refuses 1 'with all 8 layers offloaded, and --device-memory-limit allows 100.0 KiB' 'too little' "${generate[@]}" --device-memory-limit 100K
eval=(eval --model "$tmp/model" --device cuda --data "$tmp/data.jsonl" --max-length 16 --token-budget 16 --limit 1)
ok 'eval' "${eval[@]}" --json
mv "$tmp/stdout" "$tmp/expected"
lower_limit
ok 'eval in less' "${eval[@]}" --json "${limited[@]}"
[ "$(number loss "$tmp/stdout")" = "$(number loss "$tmp/expected")" ] || fail "$(cat "$tmp/stdout")"
grep -q '^[56] of 8 layers' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
peak_is_below "$limit"

# ---- measurements ----
few=(--steps 1 --warm-up 1 --no-ceiling --json)
step=(bench step --model "$tmp/model" --device cuda --lengths 16 --lora-r 4 "${few[@]}")
ok 'bench step' "${step[@]}"
mv "$tmp/stdout" "$tmp/expected"
lower_limit
ok 'bench step in less' "${step[@]}" "${limited[@]}"
[ "$(number loss "$tmp/stdout")" = "$(number loss "$tmp/expected")" ] || fail "$(cat "$tmp/stdout")"
grep -q '^[56] of 8 layers' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
peak_is_below "$limit"
refuses 2 'leave out --device-memory-limit and --offload' 'ceiling' bench step --model "$tmp/model" --device cuda --lengths 16 "${limited[@]}"
refuses 2 'leave out --device-memory-limit and --offload' 'ceiling' bench matmul --model "$tmp/model" --device cuda --lengths 16 --offload layers=1
ok 'bench step with as many layers as named' "${step[@]}" --offload layers=8
grep -q '^8 of 8 layers' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
refuses 1 'with --offload auto it needs' 'none' "${step[@]}" "${limited[@]}" --offload none
generate=(bench generate --model "$tmp/model" --device cuda --prompt-tokens 8 --new-tokens 2 "${few[@]}")
ok 'bench generate' "${generate[@]}"
limit=${generation[1]}
ok 'bench generate in less' "${generate[@]}" "${generation[@]}"
grep -q '^[4-7] of 8 layers' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
peak_is_below "$limit"
refuses 2 'leave out --device-memory-limit and --offload' 'ceiling' bench generate --model "$tmp/model" --device cuda --prompt-tokens 8 "${generation[@]}"
ok 'bench without effect' bench step --model "$tmp/model" --device cpu --lengths 16 "${few[@]}" --offload layers=4
grep -q -- '--offload has no effect with --device cpu' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
finish
