# loam train --modules-to-save, --bias and --ensure-weight-tying: the saved adapter, going on from it, resuming, the best
# step, merging, and what refuses such an adapter.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
data=$tiny/questions.json
train=(train --model "$tmp/model" --data "$data" --learning-rate 2e-2 "${one_thread[@]}")
whole=("${train[@]}" --lora-dropout 0.1 --modules-to-save word_embeddings,ln_f --bias lora_only)

has() { grep -qaF "$2" "$1" || fail "$1 lacks $2"; }
ok 'train' "${whole[@]}" --out "$tmp/adapter" --max-steps 6
has "$tmp/adapter/adapter_config.json" '"bias": "lora_only"'
has "$tmp/adapter/README.md" '`modules to save ln_f, word_embeddings, biases lora_only`'
has "$tmp/adapter/adapter_config.json" '"word_embeddings"'
for name in transformer.word_embeddings.weight transformer.ln_f.weight transformer.ln_f.bias \
    transformer.h.1.self_attention.query_key_value.base_layer.bias; do
    has "$tmp/adapter/adapter_model.safetensors" "\"base_model.model.$name\""
done
grep -qaF 'lm_head' "$tmp/adapter/adapter_model.safetensors" && fail 'the head was saved, too'
ok 'inspect' inspect "$tmp/adapter"
output_has 'saved:      ln_f, word_embeddings'
output_has 'biases:     lora_only'
output_has 'transformer.ln_f.bias [64]'
ok 'inspect as JSON' inspect "$tmp/adapter" --json
parameters=$(number parameters "$tmp/stdout")
ok 'what would be trained' inspect "$tmp/model" --modules-to-save word_embeddings,ln_f --bias lora_only --json
grep -qF "\"trainable_parameters\": $parameters" "$tmp/stdout" || fail "$(cat "$tmp/stdout") without $parameters"

# Stopped after three steps and resumed: the same bytes. In bf16 the model reads mirrors of the f32 masters.
for dtype in f32 bf16; do
    ok "six steps in $dtype" "${whole[@]}" --dtype "$dtype" --out "$tmp/$dtype" --max-steps 6
    ok "three steps in $dtype" "${whole[@]}" --dtype "$dtype" --out "$tmp/resumed" --overwrite --max-steps 6 --save-steps 3
    rm -rf "$tmp/resumed/checkpoint-6" "$tmp/resumed"/adapter_*
    ok "resume in $dtype" "${whole[@]}" --dtype "$dtype" --out "$tmp/resumed" --max-steps 6 --save-steps 3 --resume
    cmp -s "$tmp/$dtype/adapter_model.safetensors" "$tmp/resumed/adapter_model.safetensors" || fail 'another adapter'
done
rm -rf "$tmp/resumed/checkpoint-6"
refuses 1 '--bias was lora_only and is' 'resume with other biases' "${train[@]}" --lora-dropout 0.1 --dtype bf16 --quiet \
    --modules-to-save ln_f --out "$tmp/resumed" --max-steps 6 --save-steps 3 --resume

# A rate of 0 changes nothing: the file of an adapter that is read is written again.
ok 'go on from it' "${train[@]}" --adapter "$tmp/adapter" --out "$tmp/next" --max-steps 1 --learning-rate 0
cmp -s "$tmp/adapter/adapter_model.safetensors" "$tmp/next/adapter_model.safetensors" || fail 'going on changed the values'
cmp -s "$tmp/adapter/adapter_config.json" "$tmp/next/adapter_config.json" || fail "$(cat "$tmp/next/adapter_config.json")"

# The result of the best step is the checkpoint of that step.
ok 'the best step' "${whole[@]}" --out "$tmp/best" --max-steps 6 --eval-data "$data" --eval-steps 2 --load-best-at-end
ok 'its loss' eval --model "$tmp/model" --adapter "$tmp/best" --data "$data" "${one_thread[@]}" --json

merge_and_compare() { # ADAPTER
    rm -rf "$tmp/merged"
    ok "merge $1" merge --model "$tmp/model" --adapter "$tmp/$1" --out "$tmp/merged" "${one_thread[@]}" --json
    below "$(number max_logit_difference "$tmp/stdout")" 1e-4 || fail "$(cat "$tmp/stdout")"
    local generate=(generate --prompt 'The bakery' --max-new-tokens 20 "${one_thread[@]}" --dtype f32)
    ok "base and $1" "${generate[@]}" --model "$tmp/model" --adapter "$tmp/$1"
    cp "$tmp/stdout" "$tmp/expected"
    ok "$1 merged" "${generate[@]}" --model "$tmp/merged"
    cmp -s "$tmp/stdout" "$tmp/expected" || fail "$(cat "$tmp/stdout") is not $(cat "$tmp/expected")"
}
merge_and_compare adapter
has "$tmp/merged/config.json" '"tie_word_embeddings": false'
has "$tmp/merged/model.safetensors" '"lm_head.weight"'
ok 'a tied head' "${train[@]}" --modules-to-save lm_head --ensure-weight-tying --out "$tmp/tied" --max-steps 3
has "$tmp/tied/adapter_model.safetensors" '"base_model.model.lm_head.weight"'
has "$tmp/tied/adapter_model.safetensors" '"base_model.model.transformer.word_embeddings.weight"'
merge_and_compare tied
grep -qF '"tie_word_embeddings": false' "$tmp/merged/config.json" && fail 'the head was untied'

refuses 1 'no place for parameters of the model' 'export' export --model "$tmp/model" --adapter "$tmp/adapter" \
    --gguf "$tmp/lora.gguf"
[ ! -e "$tmp/lora.gguf" ] || fail 'a file after a refusal'
# Weights that differ from the base's and that no setting names: PEFT puts them in the place of the base's. They are kept.
cp -r "$tmp/tied" "$tmp/unnamed"
sed -z -i 's/"modules_to_save": \[[^]]*\]/"modules_to_save": null/; s/"ensure_weight_tying": true/"ensure_weight_tying": false/' \
    "$tmp/unnamed/adapter_config.json"
mv "$tmp/merged" "$tmp/merged-tied"
merge_and_compare unnamed
cmp -s "$tmp/merged/model.safetensors" "$tmp/merged-tied/model.safetensors" || fail 'merged to another model'
ok 'go on from unnamed weights' "${train[@]}" --adapter "$tmp/unnamed" --out "$tmp/next" --overwrite --max-steps 1 \
    --learning-rate 0 --dtype f32
grep -qF 'differs from the base' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
cmp -s "$tmp/unnamed/adapter_model.safetensors" "$tmp/next/adapter_model.safetensors" || fail 'unnamed weights changed'
refuses 1 'no place for parameters of the model' 'export of unnamed weights' export --model "$tmp/model" \
    --adapter "$tmp/unnamed" --gguf "$tmp/lora.gguf"
# A rate of 0 leaves the weights as they are in the base: they are passed over.
ok 'copies of the base' "${train[@]}" --modules-to-save lm_head --ensure-weight-tying --out "$tmp/copies" --max-steps 1 \
    --learning-rate 0 --dtype f32
cp "$tmp/unnamed/adapter_config.json" "$tmp/copies/adapter_config.json"
ok 'export with copies' export --model "$tmp/model" --adapter "$tmp/copies" --gguf "$tmp/lora.gguf"
grep -qF 'passed over, because they change nothing' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
rm "$tmp/lora.gguf"
ok 'a sum with copies' combine "$tmp/copies" "$tmp/copies" --out "$tmp/sum"
grep -qF "taken for copies of the base's" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

refuses 1 'have no factor' 'a factor' generate --model "$tmp/model" --adapter "$tmp/tied:0.5" --prompt x --quiet
refuses 1 'both adapters have parameters' 'two of them' generate --model "$tmp/model" --adapter "$tmp/tied" \
    --adapter "$tmp/tied" --prompt x --quiet
refuses 1 'matches no module with parameters' 'a name of nothing' "${train[@]}" --modules-to-save nothing \
    --out "$tmp/none" --max-steps 1
refuses 1 'which the adapter adapts' 'a module in both' "${train[@]}" --target-modules query_key_value \
    --modules-to-save value --out "$tmp/none" --max-steps 1
refuses 2 'none|all|lora_only' 'a bias that is none' "${train[@]}" --bias some --out "$tmp/none" --max-steps 1
ok 'a plan' plan --model "$tmp/model" --data "$data" --modules-to-save word_embeddings --bias all

finish
