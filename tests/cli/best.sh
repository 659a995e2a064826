# --metric-for-best-model exact_match: each evaluation generates answers, and they decide the best checkpoint and the end.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train=(train --model "$tmp/model" --data "$data" --max-steps 12 --logging-steps 12 "${one_thread[@]}")
by_answers=(--eval-data "$data" --eval-steps 2 --metric-for-best-model exact_match --max-new-tokens 4)

# Nothing is learnt, so no evaluation is better than the first: random weights give some empty answers correctly.
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
# The reported evaluation is that of the result, in every place. The rate is so high that the model unlearns.
for metric in eval_loss exact_match; do
    ok "the best by $metric, as JSON" "${train[@]}" "${by_answers[@]}" --metric-for-best-model "$metric" --learning-rate 3 \
        --out "$tmp/json-$metric" --json --load-best-at-end
    best=$(sed -n 's/.*the result is that of step \([0-9]*\), with .*/\1/p' "$tmp/stderr")
    [ -n "$best" ] && [ "$best" -lt 12 ] || fail "the best is the last: $(cat "$tmp/stderr")"
    grep "\"eval_loss\".*\"step\": $best}" "$tmp/json-$metric/metrics.jsonl" >"$tmp/line"
    for key in eval_loss eval_exact_match eval_f1; do
        there=$(number "$key" "$tmp/stdout")
        [ "$metric" = exact_match ] || [ "$key" = eval_loss ] || continue
        awk -v a="$there" -v b="$(sed -n "s/.*\"$key\": \([-0-9.e+]*\),.*/\1/p" "$tmp/line")" \
            'BEGIN { exit !(a != "" && b != "" && a - b < 1e-6 * (1 + b) && b - a < 1e-6 * (1 + b)) }' ||
            fail "$key is $there: $(cat "$tmp/line")"
        row=$(sed -n "s/^| $key (step $best) | \([0-9.]*\) |$/\1/p" "$tmp/json-$metric/README.md")
        awk -v a="$there" -v b="$row" 'BEGIN { exit !(b != "" && a - b < 0.006 && b - a < 0.006) }' ||
            fail "$key in the card: $(grep "$key" "$tmp/json-$metric/README.md"), $there"
    done
done
ok 'without' "${train[@]}" --eval-data "$data" --eval-steps 2 --out "$tmp/without"
cmp -s "$tmp/without/adapter_model.safetensors" "$tmp/measured/adapter_model.safetensors" || fail 'answering changes the training'
grep -q exact_match "$tmp/without/metrics.jsonl" && fail 'answers without the option'
run 'resumed by another metric' "${train[@]}" --eval-data "$data" --eval-steps 2 --out "$tmp/measured" --resume
[ "$code" -eq 1 ] && grep -qF -- '--metric-for-best-model was exact_match and is eval_loss' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/measured/checkpoint-12"
ok 'resumed' "${train[@]}" "${by_answers[@]}" --out "$tmp/measured" --resume
cmp -s "$tmp/without/adapter_model.safetensors" "$tmp/measured/adapter_model.safetensors" || fail 'another adapter'

# Options that decide the result must stay the same; those that only measure may change.
sed 's/bakery/bakehouse/' "$data" >"$tmp/other.json"
judged=("${train[@]}" "${by_answers[@]}" --learning-rate 0 --load-best-at-end --early-stopping-patience 3 --out "$tmp/judged")
ok 'judged' "${judged[@]}"
changed() { # TEXT ARGUMENT...: refused with TEXT
    local text=$1
    shift
    run "changed: $text" "${judged[@]}" --resume "$@"
    [ "$code" -eq 1 ] && tail -n 1 "$tmp/stderr" | grep -qF -- "$text" || fail "exit code $code: $(cat "$tmp/stderr")"
}
same=("${judged[@]}")
judged=("${judged[@]/#"$data"/"$tmp/other.json"}")
changed "--data was $data and is $tmp/other.json, --eval-data was $data and is $tmp/other.json"
judged=("${same[@]}")
changed '--eval-steps was 2 and is 3' --eval-steps 3
changed '--early-stopping-patience was 3 and is 4' --early-stopping-patience 4
changed '--load-best-at-end was true and is false' --no-load-best-at-end
changed '--max-new-tokens was 4 and is 5' --max-new-tokens 5
ok 'changed, and allowed' "${judged[@]}" --resume --early-stopping-patience 4 --allow-change
ok 'measured only' "${train[@]}" --eval-data "$data" --eval-steps 4 --save-steps 4 --out "$tmp/free"
rm -rf "$tmp/free/checkpoint-12"
ok 'measured otherwise from here on' "${train[@]}" --eval-data "$tmp/other.json" --eval-steps 3 --max-new-tokens 5 \
    --save-steps 4 --out "$tmp/free" --resume
grep -q "going on from $tmp/free/checkpoint-8" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

refuses 2 '--metric-for-best-model depends on evaluations: it needs --eval-data' 'no evaluation' "${train[@]}" \
    --metric-for-best-model exact_match --out "$tmp/out"
refuses 1 'has nothing to score: --metric-for-best-model needs' 'no questions' "${train[@]}" --metric-for-best-model exact_match \
    --eval-data "$tiny/text.txt" --out "$tmp/out"
refuses 2 '--metric-for-best-model' 'no such metric' "${train[@]}" --metric-for-best-model bleu --out "$tmp/out"

# The plan includes the memory for answers.
ok 'plan' plan --model "$tmp/model" --data "$data" --eval-data "$data" --json
without=$(number activations_bytes "$tmp/stdout")
ok 'plan with answers' plan --model "$tmp/model" --data "$data" "${by_answers[@]}" --json
below "$without" "$(number activations_bytes "$tmp/stdout")" || fail "$without, $(cat "$tmp/stdout")"
finish
