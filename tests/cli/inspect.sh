# loam init and loam inspect.
. "$(dirname "$0")/common.sh"

# The reference model needs its config only.
mkdir "$tmp/bloom-1b7"
cat >"$tmp/bloom-1b7/config.json" <<JSON
{"model_type": "bloom", "architectures": ["BloomForCausalLM"], "vocab_size": 250880, "n_embed": 2048, "n_layer": 24,
 "num_attention_heads": 16, "layer_norm_epsilon": 1e-05, "seq_length": 2048}
JSON
ok 'BLOOM-1b7' inspect "$tmp/bloom-1b7" --lora-r 8 --target-modules query_key_value
output_has 'parameters: 1,722,408,960'
output_has '1,572,864 of 1,723,981,824 = 0.09 %'
output_has '(query_key_value): Linear(in_features=2048, out_features=6144, bias=True)'
ok 'BLOOM-1b7 as JSON' inspect "$tmp/bloom-1b7" --json --rank 8
[ "$(number parameters "$tmp/stdout")" = 1722408960 ] || fail "$(number parameters "$tmp/stdout")"
[ "$(number trainable_parameters "$tmp/stdout")" = 1572864 ] || fail "$(number trainable_parameters "$tmp/stdout")"
[ "$(number all_parameters "$tmp/stdout")" = 1723981824 ] || fail "$(number all_parameters "$tmp/stdout")"
ok 'BLOOM-1b7 without LoRA' inspect "$tmp/bloom-1b7"
grep -q trainable "$tmp/stdout" && fail 'a trainable count was not asked for'

# One seed, one model; another seed, another.
for seed in 1 1 2; do
    ok "init, seed $seed" init --config "$tiny/config.json" --seed "$seed" --out "$tmp/model" --overwrite
    cksum <"$tmp/model/model.safetensors" >>"$tmp/sums"
done
[ "$(sort -u "$tmp/sums" | grep -c '')" -eq 2 ] && [ "$(uniq "$tmp/sums" | grep -c '')" -eq 2 ] || fail "$(cat "$tmp/sums")"

# 512 x 64 embedding, 2 x 64 its norm; a layer: norms 4 x 64, qkv 192 x 64 + 192, dense 64 x 64 + 64, MLP 2 x 256 x 64 +
# 256 + 64; 2 x 64 the last norm.
parameters=$((512 * 64 + 128 + 2 * (256 + 192 * 65 + 64 * 65 + 512 * 64 + 320) + 128))
for dtype in f32 f16 bf16; do
    ok "init in $dtype" init --config "$tiny/config.json" --dtype "$dtype" --out "$tmp/$dtype" --json
    [ "$(number parameters "$tmp/stdout")" = $parameters ] || fail "$(cat "$tmp/stdout")"
    ok "inspect $dtype" inspect "$tmp/$dtype"
    [ "$dtype" = f32 ] && bytes=$((parameters * 4)) || bytes=$((parameters * 2))
    [ "$(tr -d , <"$tmp/stdout" | grep -c "^stored: .* $bytes bytes of $dtype\$")" -eq 1 ] || fail "$(tail -n 3 "$tmp/stdout")"
done

make_model "$tmp/complete"
for name in config.json tokenizer.json tokenizer_config.json model.safetensors; do
    [ -s "$tmp/complete/$name" ] || fail "init: $name is missing"
done
finish
