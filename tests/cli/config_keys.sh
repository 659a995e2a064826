# Keys of config.json that change the mathematics: one line for each that loam reads otherwise than a user may expect, and a
# refusal of those that are not implemented.
. "$(dirname "$0")/common.sh"
data=$tiny/questions.json
make_model "$tmp/model"

# with KEYS: makes the model with these additional keys in its config.
with() {
    rm -rf "$tmp/other" "$tmp/adapter"
    cp -r "$tmp/model" "$tmp/other"
    sed -i "s/\"pad_token_id\": 3/&, $1/" "$tmp/other/config.json"
}
# reports COUNT TEXT: checks how many lines of the last run contain TEXT.
reports() {
    [ "$(grep -cF -- "$2" "$tmp/stderr")" -eq "$1" ] || fail "\"$2\" is not there $1 times: $(cat "$tmp/stderr")"
}
train() {
    ok "train: $1" train --model "$tmp/other" --data "$data" --out "$tmp/adapter" --max-steps 1 "${one_thread[@]}"
}

with '"attention_dropout": 0.1, "hidden_dropout": 0.0'
train dropout
reports 1 '"attention_dropout" is 0.1: transformers drops out'
reports 0 hidden_dropout
ok 'eval: dropout' eval --model "$tmp/other" --data "$data" --limit 4 "${one_thread[@]}"
reports 0 dropout

with '"num_attention_heads": 8'
line='"num_attention_heads" is 8, and "n_head" is 4: the first one counts'
train 'two spellings'
reports 1 "$line"
ok 'eval: two spellings' eval --model "$tmp/other" --data "$data" --limit 4 --json "${one_thread[@]}"
reports 1 "$line"
both=$(number eval_loss "$tmp/stdout")
ok 'merge: two spellings' merge --model "$tmp/other" --adapter "$tmp/adapter" --out "$tmp/merged" "${one_thread[@]}"
reports 1 "$line"
ok 'inspect: two spellings' inspect "$tmp/other" --json
reports 1 "$line"
grep -q '"heads": 8' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
ok 'init: two spellings' init --config "$tmp/other/config.json" --out "$tmp/random"
reports 1 "$line"
sed -i 's/"n_head": 4,/"n_head": 8,/' "$tmp/other/config.json"
ok 'eval: one value' eval --model "$tmp/other" --data "$data" --limit 4 --json "${one_thread[@]}"
reports 0 num_attention_heads
[ "$(number eval_loss "$tmp/stdout")" = "$both" ] || fail "$both with both spellings"

with '"slow_but_exact": true, "pretraining_tp": 2'
for command in 'eval --limit 4' 'train --max-steps 1 --out out' plan; do
    # shellcheck disable=SC2086
    refuses 1 '"slow_but_exact" is true where "pretraining_tp" is 2' "slow_but_exact: $command" \
        ${command/ out/ $tmp/out} --model "$tmp/other" --data "$data" "${one_thread[@]}"
done
with '"architectures": ["BloomForSequenceClassification"]'
sed -i '0,/"architectures"/s/"architectures": \["BloomForCausalLM"\],//' "$tmp/other/config.json"
refuses 1 '"architectures" is BloomForSequenceClassification' 'a classifier' inspect "$tmp/other"

# The reference device has no block floating point; its products are plain.
"$LOAM" init --config "$tiny/config.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/half" --dtype bf16 >/dev/null
ok 'device ref' eval --model "$tmp/half" --data "$data" --limit 2 --device ref
reports 1 'on device ref'
reports 0 'block floating point'
finish
