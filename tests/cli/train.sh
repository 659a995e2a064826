# The main workflow: init, train, generate, eval, continue, and full training.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train=(train --model "$tmp/model" --batch-size 4 "${one_thread[@]}")
set_loss() { grep -o '"loss": *[0-9.e+-]*' "$1/metrics.jsonl" | sed 's/.*: *//' >"$tmp/losses"; }

# ---- LoRA ----
ok 'train' "${train[@]}" --data "$data" --out "$tmp/adapter" --max-steps 20 --logging-steps 5 \
    --learning-rate 1e-2 --target-modules all-linear
[ "$(grep -c '^step  *[0-9]*/20  loss ' "$tmp/stdout")" -eq 4 ] || fail "not four lines of steps: $(cat "$tmp/stdout")"
for text in 'mean loss ' ' tokens/s)' 'peak memory ' "the adapter is in $tmp/adapter" \
    "loam generate --model $tmp/model --adapter $tmp/adapter --template squad --field context='...' --field question='...'"; do
    output_has "$text"
done
grep -q 'training [0-9,]* of [0-9,]* parameters' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
for name in adapter_config.json adapter_model.safetensors metrics.jsonl README.md tokenizer.json; do
    [ -s "$tmp/adapter/$name" ] || fail "$name is missing"
done
[ -z "$(find "$tmp/adapter" -name '*tmp*')" ] || fail "left over: $(find "$tmp/adapter" -name '*tmp*')"
set_loss "$tmp/adapter"
below "$(tail -n 1 "$tmp/losses")" "$(head -n 1 "$tmp/losses")" || fail "the loss did not fall: $(cat "$tmp/losses")"

# The same command gives the same adapter, bit for bit.
ok 'train again' "${train[@]}" --data "$data" --out "$tmp/again" --max-steps 20 --logging-steps 5 \
    --learning-rate 1e-2 --target-modules all-linear --json
cmp -s "$tmp/adapter/adapter_model.safetensors" "$tmp/again/adapter_model.safetensors" || fail 'another adapter'
[ "$(number steps "$tmp/stdout")" = 20 ] || fail "$(cat "$tmp/stdout")"
grep -q '^step ' "$tmp/stderr" || fail 'with --json the steps are on standard error'

# Options that save memory give the same bits. The option takes an optional value.
for level in --gradient-checkpointing '--gradient-checkpointing mlp' --gradient-checkpointing=block; do
    # shellcheck disable=SC2086
    ok "train with $level" "${train[@]}" $level --data "$data" --out "$tmp/again" --max-steps 20 --logging-steps 5 \
        --learning-rate 1e-2 --target-modules all-linear --overwrite
    cmp -s "$tmp/adapter/adapter_model.safetensors" "$tmp/again/adapter_model.safetensors" ||
        fail "another adapter with $level"
done

ok 'inspect the adapter' inspect "$tmp/adapter"
output_has 'rank:       8'
output_has 'transformer.h.1.mlp.dense_4h_to_h'
ok 'inspect the adapter as JSON' inspect "$tmp/adapter" --json
[ "$(grep -c '"module"' "$tmp/stdout")" -eq 8 ] || fail "$(cat "$tmp/stdout")"

# ---- Generate ----
generate=(generate --model "$tmp/model" --prompt 'The bakery' --max-new-tokens 12 "${one_thread[@]}")
ok 'generate' "${generate[@]}"
cp "$tmp/stdout" "$tmp/plain"
ok 'generate with the adapter' "${generate[@]}" --adapter "$tmp/adapter"
cmp -s "$tmp/plain" "$tmp/stdout" && fail 'the adapter changes nothing'
cp "$tmp/stdout" "$tmp/adapted"
ok 'generate as JSON' "${generate[@]}" --adapter "$tmp/adapter" --json
below "$(number new_tokens "$tmp/stdout")" 13 || fail "$(cat "$tmp/stdout")"
ok 'generate on the reference device' "${generate[@]}" --adapter "$tmp/adapter" --device ref
cmp -s "$tmp/adapted" "$tmp/stdout" || fail "ref says: $(cat "$tmp/stdout"); cpu: $(cat "$tmp/adapted")"
for seed in 1 1 2; do
    ok "sample, seed $seed" "${generate[@]}" --temperature 1 --top-k 0 --seed "$seed"
    cksum <"$tmp/stdout" >>"$tmp/sums"
done
[ "$(uniq "$tmp/sums" | grep -c '')" -eq 2 ] || fail 'a seed does not repeat, or two seeds agree'
ok 'generate from a template' generate "${one_thread[@]}" --model "$tmp/model" --template squad \
    --field 'context=Loam is a soil.' --field 'question=What is loam?' --max-new-tokens 5 --json
[ "$(number prompt_tokens "$tmp/stdout")" -gt 20 ] || fail "$(cat "$tmp/stdout")"
printf '### QUESTION\nWhat?\n' >"$tmp/prompt"
ok 'prompt from a file' generate "${one_thread[@]}" --model "$tmp/model" --prompt-file "$tmp/prompt" --max-new-tokens 5
cp "$tmp/stdout" "$tmp/plain"
ok 'the same prompt' generate "${one_thread[@]}" --model "$tmp/model" --prompt "$(cat "$tmp/prompt")" --max-new-tokens 5
cmp -s "$tmp/plain" "$tmp/stdout" || fail 'other text'

# ---- Evaluate ----
ok 'eval' eval "${one_thread[@]}" --model "$tmp/model" --data "$data" --json
before=$(number eval_loss "$tmp/stdout")
ok 'eval with the adapter' eval "${one_thread[@]}" --model "$tmp/model" --adapter "$tmp/adapter" --data "$data" --json
below "$(number eval_loss "$tmp/stdout")" "$before" || fail "the adapter does not help: $before, $(cat "$tmp/stdout")"
ok 'eval with answers' eval "${one_thread[@]}" --model "$tmp/model" --adapter "$tmp/adapter" --data "$data" --generate \
    --max-new-tokens 8
output_has 'perplexity'
for group in 'overall +29' 'answerable +22' 'unanswerable +7'; do
    grep -qE "^$group questions  exact match +[0-9.]+ %  F1 +[0-9.]+ %\$" "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
done
ok 'eval of the first records' eval "${one_thread[@]}" --model "$tmp/model" --data "$data" --limit 6
output_has '(6 examples'

# ---- Continuing from an adapter ----
ok 'go on' "${train[@]}" --data "$data" --adapter "$tmp/adapter" --out "$tmp/more" --max-steps 10 \
    --logging-steps 1 --learning-rate 1e-2
first=$(number loss "$tmp/more/metrics.jsonl" | head -n 1)
set_loss "$tmp/again"
below "$first" "$(head -n 1 "$tmp/losses")" || fail "begins at $first, no better than without the adapter"

# ---- Every parameter ----
ok 'train in full' "${train[@]}" --data "$data" --method full --out "$tmp/full" --max-steps 10 \
    --logging-steps 2 --learning-rate 2e-3 --eval-data "$data" --eval-steps 5
output_has "the model is in $tmp/full"
grep -q '^step  *5/10  eval loss ' "$tmp/stdout" || fail "no evaluation at step 5: $(cat "$tmp/stdout")"
set_loss "$tmp/full"
below "$(tail -n 1 "$tmp/losses")" "$(head -n 1 "$tmp/losses")" || fail "the loss did not fall: $(cat "$tmp/losses")"
ok 'generate with the trained model' generate "${one_thread[@]}" --model "$tmp/full" --prompt 'The bakery' --max-new-tokens 5
ok 'inspect the trained model' inspect "$tmp/full"

# ---- Other kinds of examples ----
printf '{"text": "Rye bread keeps for a week."}\n{"text": "The mill stands on the left bank."}\n' >"$tmp/data.jsonl"
ok 'JSONL' "${train[@]}" --data "$tmp/data.jsonl" --out "$tmp/jsonl" --max-steps 2
output_has "--prompt '...'"
printf 'Q: {q}\nA: {a}{eos}' >"$tmp/template.txt"
printf '{"q": "What?", "a": "That."}\n' >"$tmp/data.jsonl"
ok 'own template' "${train[@]}" --data "$tmp/data.jsonl" --template "$tmp/template.txt" \
    --loss-on completion --out "$tmp/own" --max-steps 2
output_has "--field q='...'"
! grep -q 'has no effect' "$tmp/stderr" || fail "a template has a completion: $(cat "$tmp/stderr")"
printf 'Rye bread keeps for a week.\nThe mill stands on the left bank.\n' >"$tmp/data.txt"
ok 'plain text' "${train[@]}" --data "$tmp/data.txt" --out "$tmp/text" --max-steps 2
loss=$(grep train_loss "$tmp/text/metrics.jsonl" | grep -o '"train_loss": [0-9.]*')
# Without a template there is no completion.
ok 'no completion' "${train[@]}" --data "$tmp/data.txt" --out "$tmp/text" --max-steps 2 --loss-on completion --overwrite
grep -q 'data.txt: --loss-on completion has no effect without --template' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
grep -q "$loss" "$tmp/text/metrics.jsonl" || fail "the loss is not that of the whole text: $loss"
printf '{"text": "one"}\n{"text": \n{"text": "three"}\n' >"$tmp/data.jsonl"
ok 'broken lines skipped' "${train[@]}" --data "$tmp/data.jsonl" --out "$tmp/skipped" --max-steps 2 --skip-bad
grep -q '1 broken' "$tmp/stderr" || fail "the skipped line is not reported: $(cat "$tmp/stderr")"
ok 'steps without labels' "${train[@]}" --data "$data" --out "$tmp/dropped" --max-steps 4 --logging-steps 1 --max-length 60 \
    --too-long drop --no-shuffle
output_has 'step 3/4  no labels'
[ "$(grep -c 'of 4 steps were skipped: their examples have no label that counts' "$tmp/stderr")" -eq 1 ] ||
    fail "not reported exactly once: $(cat "$tmp/stderr")"
[ -s "$tmp/dropped/adapter_model.safetensors" ] || fail 'no adapter'
grep -q 'dropped' "$tmp/stderr" || fail "what was dropped is not reported: $(cat "$tmp/stderr")"
run 'nothing to learn from' "${train[@]}" --data "$data" --out "$tmp/nothing" --max-steps 3 --max-length 60 \
    --too-long drop --no-shuffle
[ "$code" -eq 1 ] && grep -q '^loam: .* no example has a label' "$tmp/stderr" || fail "$code: $(cat "$tmp/stderr")"
[ ! -e "$tmp/nothing/adapter_config.json" ] || fail 'an adapter was written'
finish
