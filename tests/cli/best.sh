# --metric-for-best-model exact_match: answers are generated at each evaluation, and the best and the end go by them.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train=(train --model "$tmp/model" --data "$data" --max-steps 12 --logging-steps 12 "${one_thread[@]}")
by_answers=(--eval-data "$data" --eval-steps 2 --metric-for-best-model exact_match --max-new-tokens 4)

# Nothing is learnt, so that no evaluation is better than the first: random weights have some empty answers right.
ok 'by exact match' "${train[@]}" "${by_answers[@]}" --learning-rate 0 --out "$tmp/by" --load-best-at-end \
    --early-stopping-patience 2
[ "$(grep -c '^step  *[246]/12  eval loss .*  exact match [0-9.]* %  F1 [0-9.]* %$' "$tmp/stdout")" -eq 3 ] ||
    fail "$(cat "$tmp/stdout")"
grep -q 'ended early at step 6 of 12: 2 evaluations in a row were no better than that of step 2, with an exact match of [0-9.]* %' \
    "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
grep -q 'the result is that of step 2, with an exact match of [0-9.]* %' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
[ "$(grep -c '"eval_exact_match": [0-9.]*, "eval_f1": ' "$tmp/by/metrics.jsonl")" -eq 3 ] || fail "$(cat "$tmp/by/metrics.jsonl")"
grep -q '^metric-for-best-model: exact_match$' "$tmp/by/run.yaml" || fail "$(cat "$tmp/by/run.yaml")"
cmp -s "$tmp/by/checkpoint-2/adapter_model.safetensors" "$tmp/by/adapter_model.safetensors" || fail 'another adapter'
ok 'the same from its file' train --config "$tmp/by/run.yaml" --out "$tmp/again"
cmp -s "$tmp/by/adapter_model.safetensors" "$tmp/again/adapter_model.safetensors" || fail 'another adapter'

ok 'measured only, as JSON' "${train[@]}" "${by_answers[@]}" --out "$tmp/measured" --json --save-steps 4
[ -n "$(number eval_exact_match "$tmp/stdout")" ] && [ -n "$(number eval_f1 "$tmp/stdout")" ] || fail "$(cat "$tmp/stdout")"
ok 'without' "${train[@]}" --eval-data "$data" --eval-steps 2 --out "$tmp/without"
cmp -s "$tmp/without/adapter_model.safetensors" "$tmp/measured/adapter_model.safetensors" || fail 'answering changes the training'
grep -q exact_match "$tmp/without/metrics.jsonl" && fail 'answers that nobody asked for'
run 'resumed by another metric' "${train[@]}" --eval-data "$data" --eval-steps 2 --out "$tmp/measured" --resume
[ "$code" -eq 1 ] && grep -qF -- '--metric-for-best-model was exact_match and is eval_loss' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/measured/checkpoint-12"
ok 'resumed' "${train[@]}" "${by_answers[@]}" --out "$tmp/measured" --resume
cmp -s "$tmp/without/adapter_model.safetensors" "$tmp/measured/adapter_model.safetensors" || fail 'another adapter'

refuses 1 '--metric-for-best-model goes by the evaluations: it needs --eval-data' 'no evaluation' "${train[@]}" \
    --metric-for-best-model exact_match --out "$tmp/out"
refuses 1 'is not a SQuAD file: --metric-for-best-model' 'no questions' "${train[@]}" --metric-for-best-model exact_match \
    --eval-data "$tiny/text.txt" --out "$tmp/out"
refuses 2 '--metric-for-best-model' 'no such metric' "${train[@]}" --metric-for-best-model accuracy --out "$tmp/out"

# What answering takes is planned for.
ok 'plan' plan --model "$tmp/model" --data "$data" --eval-data "$data" --json
without=$(number activations_bytes "$tmp/stdout")
ok 'plan with answers' plan --model "$tmp/model" --data "$data" "${by_answers[@]}" --json
below "$without" "$(number activations_bytes "$tmp/stdout")" || fail "$without, $(cat "$tmp/stdout")"
finish
