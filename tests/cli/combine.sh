# loam combine: the new adapter is the weighted sum, and wrong input is refused.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
train() {
    local out=$1
    shift
    "$LOAM" train --model "$tmp/model" --data "$tiny/questions.json" --out "$out" --max-steps 3 --lr 0.05 \
        "${one_thread[@]}" "$@" >/dev/null 2>&1
}
train "$tmp/a" --lora-r 4
train "$tmp/b" --lora-r 2 --target-modules all-linear --seed 7 --use-rslora
train "$tmp/c" --lora-r 4 --seed 8 --layers-to-transform 1
# loss_of ADAPTER...: the loss of a sum of adapters.
loss_of() {
    local arguments=() adapter
    for adapter; do arguments+=(--adapter "$adapter"); done
    ok "eval $*" eval --model "$tmp/model" "${one_thread[@]}" --dtype f32 --data "$tiny/questions.json" --json "${arguments[@]}"
    loss=$(number eval_loss "$tmp/stdout")
}
same() {
    awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d * d < 1e-10) }'
}
# is_sum OUT ADAPTER...: checks that OUT has the loss of the sum.
is_sum() {
    local out=$1 sum
    shift
    loss_of "$@"
    sum=$loss
    loss_of "$out"
    same "$loss" "$sum" || fail "$out has the loss $loss, the sum $sum"
}

ok 'cat' combine "$tmp/a:0.5" "$tmp/b:-2" --combination-type cat --out "$tmp/cat"
output_has '2 adapters by cat, 8 modules of rank 6'
is_sum "$tmp/cat" "$tmp/a:0.5" "$tmp/b:-2"
ok 'svd of the full rank' combine "$tmp/a:0.5" "$tmp/b:-2" --svd-rank 6 --out "$tmp/svd" --json
[ "$(number r "$tmp/stdout")" = 6 ] || fail "$(cat "$tmp/stdout")"
is_sum "$tmp/svd" "$tmp/a:0.5" "$tmp/b:-2"
for key in '"r": 6' '"lora_alpha": 6' '"use_rslora": false' "\"base_model_name_or_path\": \"$tmp/model\""; do
    grep -qF "$key" "$tmp/svd/adapter_config.json" || fail "no $key: $(cat "$tmp/svd/adapter_config.json")"
done
ok 'svd' combine "$tmp/a" "$tmp/b" --out "$tmp/low"
output_has '2 adapters by svd, 8 modules of rank 4'
ok 'linear of one' combine "$tmp/a:-0.75" --out "$tmp/one"
output_has '1 adapter by linear'
is_sum "$tmp/one" "$tmp/a:-0.75"
ok 'linear' combine "$tmp/a" "$tmp/a" --combination linear --out "$tmp/linear" # (A + A) (B + B) = 4 B A at equal scales
is_sum "$tmp/linear" "$tmp/a:4"
ok 'layers of one' combine "$tmp/c:2" "$tmp/a" --combination-type cat --out "$tmp/layers"
is_sum "$tmp/layers" "$tmp/c:2" "$tmp/a"
ok 'over it' combine "$tmp/a" "$tmp/b" --out "$tmp/low" --overwrite
ok 'inspect' inspect "$tmp/layers"
output_has 'h.0.self_attention.query_key_value'

# ---- Refusals ----
refuses 2 'loam combine needs DIR|NAME' 'no adapter' combine --out "$tmp/out"
refuses 2 '--out' 'no output' combine "$tmp/a"
refuses 2 '--combination-type' 'a type that is none' combine "$tmp/a" "$tmp/b" --combination-type ties --out "$tmp/out"
refuses 2 '--svd-rank' 'a rank without svd' combine "$tmp/a" "$tmp/b" --combination-type cat --svd-rank 3 --out "$tmp/out"
refuses 2 '--svd-rank' 'a rank of 0' combine "$tmp/a" "$tmp/b" --svd-rank 0 --out "$tmp/out"
refuses 2 'too large' 'a weight beyond f32' combine "$tmp/a:1e99" --out "$tmp/out"
refuses 1 "$tmp/b has the rank 2" 'linear of two ranks' combine "$tmp/a" "$tmp/b" --combination-type linear --out "$tmp/out"
refuses 1 "$tmp/nowhere" 'an adapter that is not there' combine "$tmp/a" "$tmp/nowhere:2" --out "$tmp/out"
refuses 1 "$tmp/model is a model" 'a model' combine "$tmp/a" "$tmp/model" --out "$tmp/out"
refuses 1 'choose another' 'over an adapter' combine "$tmp/a" "$tmp/b" --out "$tmp/b" --overwrite
mkdir "$tmp/full" && touch "$tmp/full/file"
refuses 1 "$tmp/full" 'a directory that is not empty' combine "$tmp/a" "$tmp/b" --out "$tmp/full"
train "$tmp/dora" --use-dora
refuses 1 "$tmp/dora: DoRA" 'DoRA' combine "$tmp/a" "$tmp/dora" --out "$tmp/out"
train "$tmp/saved" --modules-to-save ln_f
refuses 1 '"modules_to_save"' 'parameters of the model' combine "$tmp/a" "$tmp/saved" --out "$tmp/out"
train "$tmp/biases" --bias all
refuses 1 '"bias"' 'trained biases' combine "$tmp/a" "$tmp/biases" --out "$tmp/out"
train "$tmp/of-b" --lora-bias --init-lora-weights true
refuses 1 '"lora_bias"' 'biases of B' combine "$tmp/a" "$tmp/of-b" --out "$tmp/out"
train "$tmp/tokens" --trainable-token-indices 3,5
refuses 1 'trained tokens' 'trained tokens' combine "$tmp/a" "$tmp/tokens" --out "$tmp/out"
train "$tmp/embedding" --target-modules query_key_value,word_embeddings
refuses 1 'an adapter of an embedding' 'an adapted embedding' combine "$tmp/a" "$tmp/embedding" --out "$tmp/out"
for key in '"init_lora_weights": "pissa"'; do
    name=${key%%:*}
    rm -rf "$tmp/other" && cp -r "$tmp/a" "$tmp/other"
    sed -i "s/$name: [^,]*/$key/" "$tmp/other/adapter_config.json"
    refuses 1 "$tmp/other" "an adapter with $name" combine "$tmp/a" "$tmp/other" --out "$tmp/out"
done
sed 's/"hidden_size": 64/"hidden_size": 32/' "$tiny/config.json" >"$tmp/small.json"
"$LOAM" init --config "$tmp/small.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/small" >/dev/null
"$LOAM" train --model "$tmp/small" --data "$tiny/questions.json" --out "$tmp/d" --max-steps 1 "${one_thread[@]}" >/dev/null 2>&1
refuses 1 "$tmp/d: transformer.h.0" 'an adapter of another model' combine "$tmp/a" "$tmp/d" --out "$tmp/out"
finish
