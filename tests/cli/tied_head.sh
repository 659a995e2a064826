# A checkpoint with a separate head whose config ties it to the embedding: every command uses the separate head, and models
# that are written from it have an untied config.
. "$(dirname "$0")/common.sh"
data=$tiny/questions.json

# Makes a model with a separate head, and the same model under a config that ties it, with and without the key.
sed 's/"pad_token_id": 3/"pad_token_id": 3, "tie_word_embeddings": false/' "$tiny/config.json" >"$tmp/untied.json"
"$LOAM" init --config "$tmp/untied.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/untied" >/dev/null
cp -r "$tmp/untied" "$tmp/declared"
sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true/' "$tmp/declared/config.json"
cp -r "$tmp/untied" "$tmp/model"
cp "$tiny/config.json" "$tmp/model/config.json"

# reports: checks that the last run reports once which head it uses, and where.
reports() {
    [ "$(grep -c 'lm_head.weight is not transformer.word_embeddings.weight, although config.json ties them' "$tmp/stderr")" -eq "${1:-1}" ] ||
        fail "not reported ${1:-once}: $(cat "$tmp/stderr")"
}
# same A B: checks that two files are equal.
same() {
    cmp -s "$1" "$2" || fail "$1 and $2 differ"
}
loss_of() {
    ok "eval: $1" eval --model "$1" --data "$data" --json "${one_thread[@]}"
    number eval_loss "$tmp/stdout"
}

expected=$(loss_of "$tmp/untied")
reports 0
for model in declared model; do
    [ "$(loss_of "$tmp/$model")" = "$expected" ] || fail "$model: another loss than $expected"
    reports
done
ok inspect inspect "$tmp/model" --json
reports
[ "$(grep -c '"tie_word_embeddings": false' "$tmp/stdout")" -eq 1 ] || fail 'it is reported as tied'
parameters=$(number parameters "$tmp/stdout")
ok 'inspect: the untied one' inspect "$tmp/untied" --json
[ "$(number parameters "$tmp/stdout")" = "$parameters" ] || fail "parameters: $parameters"
for model in untied model; do
    ok "plan: $model" plan --model "$tmp/$model" --data "$data" --method full --json "${one_thread[@]}"
    number activations "$tmp/stdout" >"$tmp/$model.plan"
    grep -E '"(weights|trained|gradients|optimiser)' "$tmp/stdout" >>"$tmp/$model.plan" || fail "$(cat "$tmp/stdout")"
done
same "$tmp/untied.plan" "$tmp/model.plan"

# ---- What is trained and written ----
for model in untied model; do
    ok "LoRA: $model" train --model "$tmp/$model" --data "$data" --out "$tmp/$model.lora" --max-steps 2 "${one_thread[@]}"
    ok "full: $model" train --model "$tmp/$model" --data "$data" --out "$tmp/$model.full" --max-steps 2 --save-steps 1 \
        --method full "${one_thread[@]}"
done
reports
same "$tmp/untied.lora/adapter_model.safetensors" "$tmp/model.lora/adapter_model.safetensors"
same "$tmp/untied.full/model.safetensors" "$tmp/model.full/model.safetensors"
for out in model.full model.full/checkpoint-1; do
    grep -q '"tie_word_embeddings": false' "$tmp/$out/config.json" || fail "$out: $(cat "$tmp/$out/config.json")"
done
trained=$(loss_of "$tmp/model.full")
reports 0
[ "$trained" = "$(loss_of "$tmp/untied.full")" ] || fail "full: another loss"
for limit in 5GB 50KB; do
    rm -rf "$tmp/merged"
    ok "merge: $limit" merge --model "$tmp/model" --adapter "$tmp/model.lora" --out "$tmp/merged" --max-shard-size "$limit" \
        "${one_thread[@]}"
    grep -q '"tie_word_embeddings": false' "$tmp/merged/config.json" || fail "$(cat "$tmp/merged/config.json")"
    merged=$(loss_of "$tmp/merged")
    reports 0
    ok 'base and adapter' eval --model "$tmp/untied" --adapter "$tmp/untied.lora" --data "$data" --json --dtype f32 \
        "${one_thread[@]}"
    awk -v a="$merged" -v b="$(number eval_loss "$tmp/stdout")" 'BEGIN { exit !((a - b) ^ 2 < 1e-4) }' ||
        fail "merged: $merged, not $(number eval_loss "$tmp/stdout")"
done
# Shards with such a config.
cp "$tiny/config.json" "$tmp/merged/config.json"
[ "$(loss_of "$tmp/merged")" = "$merged" ] || fail "shards: another loss than $merged"
reports

# ---- A stored copy of the embedding is not a separate head ----
# A tied model keeps its config when it is written.
make_model "$tmp/tied"
ok 'full: tied' train --model "$tmp/tied" --data "$data" --out "$tmp/tied.full" --max-steps 1 --method full "${one_thread[@]}"
! grep -q tie_word_embeddings "$tmp/tied.full/config.json" || fail "$(cat "$tmp/tied.full/config.json")"

finish
