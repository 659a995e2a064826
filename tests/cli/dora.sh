# loam train --use-dora: the saved adapter, going on from it, resuming, merging, and the refusal of an export.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
data=$tiny/questions.json
train=(train --model "$tmp/model" --data "$data" --learning-rate 2e-2 "${one_thread[@]}")
dora=("${train[@]}" --lora-dropout 0.1 --use-dora --target-modules all-linear)

ok 'train' "${dora[@]}" --out "$tmp/adapter" --max-steps 6
grep -qF '"use_dora": true' "$tmp/adapter/adapter_config.json" || fail "$(cat "$tmp/adapter/adapter_config.json")"
grep -qaF 'self_attention.dense.lora_magnitude_vector"' "$tmp/adapter/adapter_model.safetensors" || fail 'no magnitude'
ok 'without DoRA' "${train[@]}" --lora-dropout 0.1 --target-modules all-linear --out "$tmp/plain" --max-steps 6
cmp -s "$tmp/adapter/adapter_model.safetensors" "$tmp/plain/adapter_model.safetensors" && fail 'DoRA changes nothing'
ok 'inspect' inspect "$tmp/adapter"
output_has 'DoRA'
ok 'inspect as JSON' inspect "$tmp/adapter" --json
dora_parameters=$(number parameters "$tmp/stdout")
ok 'inspect the plain one' inspect "$tmp/plain" --json
# A magnitude for each output of the four linears of both layers.
[ $((dora_parameters - $(number parameters "$tmp/stdout"))) = $((2 * (192 + 64 + 256 + 64))) ] || fail "$dora_parameters"
ok 'what would be trained' inspect "$tmp/model" --lora-r 8 --use-dora --target-modules all-linear --json
grep -qF "\"trainable_parameters\": $dora_parameters" "$tmp/stdout" || fail "$(cat "$tmp/stdout")"

# Stopped after three steps and resumed: the same bytes.
ok 'three steps' "${dora[@]}" --out "$tmp/resumed" --max-steps 6 --save-steps 3
rm -rf "$tmp/resumed/checkpoint-6" "$tmp/resumed"/adapter_*
ok 'resume' "${dora[@]}" --out "$tmp/resumed" --max-steps 6 --save-steps 3 --resume
cmp -s "$tmp/adapter/adapter_model.safetensors" "$tmp/resumed/adapter_model.safetensors" || fail 'another adapter'
rm -rf "$tmp/resumed/checkpoint-6"
refuses 1 '--use-dora was true and is false' 'resume without DoRA' "${train[@]}" --lora-dropout 0.1 \
    --target-modules all-linear --out "$tmp/resumed" --max-steps 6 --save-steps 3 --resume

ok 'go on from it' "${train[@]}" --adapter "$tmp/adapter" --out "$tmp/next" --max-steps 2
grep -qF '"use_dora": true' "$tmp/next/adapter_config.json" || fail "$(cat "$tmp/next/adapter_config.json")"

ok 'merge' merge --model "$tmp/model" --adapter "$tmp/adapter" --out "$tmp/merged" "${one_thread[@]}" --json
below "$(number max_logit_difference "$tmp/stdout")" 1e-4 || fail "$(cat "$tmp/stdout")"
generate=(generate --prompt 'The bakery' --max-new-tokens 20 "${one_thread[@]}" --dtype f32)
ok 'base and adapter' "${generate[@]}" --model "$tmp/model" --adapter "$tmp/adapter"
cp "$tmp/stdout" "$tmp/expected"
ok 'merged' "${generate[@]}" --model "$tmp/merged"
cmp -s "$tmp/stdout" "$tmp/expected" || fail "$(cat "$tmp/stdout") is not $(cat "$tmp/expected")"

refuses 1 'loam merge' 'export' export --model "$tmp/model" --adapter "$tmp/adapter" --gguf "$tmp/lora.gguf"
[ ! -e "$tmp/lora.gguf" ] || fail 'a file after a refusal'
refuses 1 '(pissa, olora)' 'DoRA of a changed base' "${dora[@]}" --init-lora-weights pissa --out "$tmp/pissa" --max-steps 1
ok 'a plan' plan --model "$tmp/model" --data "$data" --use-dora --target-modules all-linear

finish
