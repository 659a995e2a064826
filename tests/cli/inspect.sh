# loam init and loam inspect.
. "$(dirname "$0")/common.sh"

# The reference model consists of its config only.
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

# ---- Families ----
ok 'families' inspect --families
output_has 'falcon, where new_decoder_architecture is true and parallel_attn is true and alibi is false (FalconForCausalLM)'
output_has '  norms:      RMSNorm before and after each branch, scale 1 + w, over each head of query and key'
output_has '  positions:  RoPE, a table for each kind of layer'
output_has '  windows:    by layer'
output_has 'the text part of gemma3, mistral3'
ok 'families as JSON' inspect --families --json
[ "$(grep -c '"model_type"' "$tmp/stdout")" -ge 31 ] || fail "$(grep -c '"model_type"' "$tmp/stdout") families"
refuses 2 '--families' 'families and a path' inspect "$tmp/bloom-1b7" --families
ok 'what a model is made of' inspect "$LOAM_SOURCE/tests/parity/goldens/gemma3-two-ropes"
output_has 'windows:    4 tokens on layers 0-1, none on layer 2'
output_has 'positions:  RoPE of theta 1000 on 8 of 8, scaling linear, factor 4, RoPE of theta 50 on 8 of 8, at most 64'
ok 'made of, without positions' inspect "$LOAM_SOURCE/tests/parity/goldens/cohere2-pattern"
output_has 'without positions'

# Where PEFT has no default, the choice is told.
ok 'no default targets' inspect "$LOAM_SOURCE/tests/parity/goldens/olmo2-tied" --lora-r 2
[ "$(grep -c 'PEFT has no default for olmo2 models: all linear' "$tmp/stderr")" -eq 1 ] || fail "$(cat "$tmp/stderr")"
ok 'default targets' inspect "$LOAM_SOURCE/tests/parity/goldens/qwen3-tied" --lora-r 2
grep -q 'PEFT has no default' "$tmp/stderr" && fail "$(cat "$tmp/stderr")"
ok 'targets of my own' inspect "$LOAM_SOURCE/tests/parity/goldens/olmo2-tied" --lora-r 2 --target-modules q_proj
grep -q 'PEFT has no default' "$tmp/stderr" && fail "$(cat "$tmp/stderr")"

# The same seed gives the same model, another seed another one.
for seed in 1 1 2; do
    ok "init, seed $seed" init --config "$tiny/config.json" --seed "$seed" --out "$tmp/model" --overwrite
    cksum <"$tmp/model/model.safetensors" >>"$tmp/sums"
done
[ "$(sort -u "$tmp/sums" | grep -c '')" -eq 2 ] && [ "$(uniq "$tmp/sums" | grep -c '')" -eq 2 ] || fail "$(cat "$tmp/sums")"

# 512 x 64 embedding, 2 x 64 its norm; a layer has norms 4 x 64, qkv 192 x 64 + 192, dense 64 x 64 + 64, MLP 2 x 256 x
# 64 + 256 + 64; the last norm has 2 x 64.
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
# ---- Adapters ----
"$LOAM" train --model "$tmp/complete" --data "$tiny/questions.json" --out "$tmp/adapter" --max-steps 2 --lora-r 4 \
    --target-modules '.*mlp.*' "${one_thread[@]}" >/dev/null 2>&1
ok 'an adapter by an expression' inspect "$tmp/adapter"
output_has 'targets:    dense_4h_to_h, dense_h_to_4h'
[ "$(grep -c 'transformer.h.[01].mlp.dense' "$tmp/stdout")" -eq 4 ] || fail "$(cat "$tmp/stdout")"

# changed SCRIPT: makes a copy of the adapter whose config was edited by sed.
changed() {
    rm -rf "$tmp/other" && cp -r "$tmp/adapter" "$tmp/other"
    sed -i "$1" "$tmp/other/adapter_config.json"
}
# inspect refuses an adapter with the same messages as the commands that load it.
for script in 's/"r": 4/"r": 3/' 's/"dense_4h_to_h",//' 's/"use_dora": false/"use_dora": true/' \
    's/"rank_pattern": {}/"rank_pattern": {"dense_h_to_4h": 2}/'; do
    changed "$script"
    refuses 1 "$tmp/other/adapter" "inspect after $script" inspect "$tmp/other"
    refuses 1 "$tmp/other/adapter" "eval after $script" eval --model "$tmp/complete" --adapter "$tmp/other" \
        --data "$tiny/questions.json"
done
# Keys without effect are reported as such.
changed 's/"rank_pattern": {}/"rank_pattern": {"no_such": 2}/; s/"alpha_pattern": {}/"alpha_pattern": {"attention": 2}/'
ok 'patterns that match nothing' inspect "$tmp/other"
grep -q 'others by' "$tmp/stdout" && fail "$(cat "$tmp/stdout")"
for key in rank alpha; do
    grep -q "^loam: warning: .*keys of \"${key}_pattern\" give no adapted module its $key" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
done
ok 'eval with them' eval --model "$tmp/complete" --adapter "$tmp/other" --data "$tiny/questions.json"
[ "$(grep -c '^loam: warning: .*_pattern' "$tmp/stderr")" -eq 2 ] || fail "$(cat "$tmp/stderr")"
changed 's/"alpha_pattern": {}/"alpha_pattern": {"dense_h_to_4h": 2}/'
ok 'a pattern that matches' inspect "$tmp/other"
output_has 'others by alpha_pattern'
[ ! -s "$tmp/stderr" ] || fail "$(cat "$tmp/stderr")"

# Files that Git LFS has not fetched, and a base that does not exist relative to this directory.
for name in adapter_config.json adapter_model.safetensors; do
    changed ''
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 531968\n' >"$tmp/other/$name"
    refuses 1 "$name is only a Git LFS pointer" "a pointer as $name" inspect "$tmp/other"
    refuses 1 "$name is only a Git LFS pointer" "eval, a pointer as $name" eval --model "$tmp/complete" \
        --adapter "$tmp/other" --data "$tiny/questions.json"
done
for base in base ./base sub/base ../base; do
    changed "s|\"base_model_name_or_path\": \"[^\"]*\"|\"base_model_name_or_path\": \"$base\"|"
    refuses 1 "$PWD" "the base $base" generate --adapter "$tmp/other" --prompt x
    for text in "\"$base\"" --model; do
        grep -qF -- "$text" "$tmp/message" || fail "$(cat "$tmp/message")"
    done
done

# A rank above a dimension.
ok 'a large rank' train --model "$tmp/complete" --data "$tiny/questions.json" --out "$tmp/large" --max-steps 1 \
    --target-modules all-linear --lora-r 300 "${one_thread[@]}"
[ "$(grep -c '^loam: warning: LoRA rank 300 is above the smaller dimension' "$tmp/stderr")" -eq 1 ] || fail "$(cat "$tmp/stderr")"
ok 'a large rank, inspected' inspect "$tmp/large"
ok 'a large rank, merged' merge --model "$tmp/complete" --adapter "$tmp/large" --out "$tmp/merged" --quiet
finish
