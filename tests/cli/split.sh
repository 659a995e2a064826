# --too-long split: examples as `loam data` shows them, training that is resumed to the bit, and the loss over all pieces.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
weights=adapter_model.safetensors
awk 'BEGIN {
    for (record = 1; record <= 4; record++) {
        printf "{\"text\": \"the bakery"
        for (i = 0; i < 6 * record; i++) printf " number %d opens at %d", record, i
        print "\"}"
    }
}' >"$tmp/long.jsonl"
printf '{"prompt": "When?", "completion": " at five in the morning, and at nine"}\n' >"$tmp/answers.jsonl"
data=(--model "$tmp/model" --data "$tmp/long.jsonl" --max-length 64)

# ---- loam data ----
ok 'whole' data "${data[@]}" --max-length 2000 --json
cp "$tmp/stdout" "$tmp/whole"
ok 'pieces' data "${data[@]}" --too-long split --json
cp "$tmp/stdout" "$tmp/pieces"
grep -q "long.jsonl: of 4 records, 4 are longer than 64 tokens and become $(wc -l <"$tmp/pieces") examples" "$tmp/stderr" ||
    fail "$(cat "$tmp/stderr")"
ids() { sed 's/^{"ids":\[\([^]]*\)\].*/\1/' "$1" | tr '\n' ','; }
[ "$(ids "$tmp/whole")" = "$(ids "$tmp/pieces")" ] || fail 'the pieces do not join to the whole'
[ "$(grep -c '</s>' "$tmp/pieces")" = 4 ] || fail "EOS is not once in a text: $(cat "$tmp/pieces")"
grep -q '"line":1,"piece":1,"pieces":[0-9]*}' "$tmp/pieces" || fail "$(head -n 1 "$tmp/pieces")"
ok 'the summary' data "${data[@]}" --too-long split --summary
examples=$(wc -l <"$tmp/pieces")
output_has "split       4 records became $examples examples: $examples in all"
output_has 'repeated    0 records'
output_has 'findings'
! grep -q 'no-stop\|bos-missing\|cut:' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
ok 'text' data "${data[@]}" --too-long split --limit 2
output_has 'long.jsonl:1  64 tokens, 63 learnt, piece 1 of '
ok 'records with a completion' data --model "$tmp/model" --data "$tmp/answers.jsonl" --max-length 8 --too-long split --summary
grep -q 'answers.jsonl: what is learnt stays with its prompt: long records are cut, not split' "$tmp/stderr" ||
    fail "$(cat "$tmp/stderr")"

# ---- Training ----
train=(train "${data[@]}" --too-long split --learning-rate 1e-2 --lr-scheduler-type constant --batch-size 3
    --logging-steps 1 "${one_thread[@]}")
ok 'mixed with a share' "${train[@]}" --data "$tmp/long.jsonl:0.5" --data "$tmp/answers.jsonl" --epochs 2 --out "$tmp/mixed"
ok 'at once' "${train[@]}" --epochs 2 --save-steps 4 --out "$tmp/at-once"
[ "$(grep -c '"loss"' "$tmp/at-once/metrics.jsonl")" = $((2 * ((examples + 2) / 3))) ] ||
    fail "not 2 epochs of $examples examples: $(cat "$tmp/at-once/metrics.jsonl")"
grep -qx 'too-long: split' "$tmp/at-once/run.yaml" || fail "$(cat "$tmp/at-once/run.yaml")"
ok 'the first part' "${train[@]}" --max-steps 4 --save-steps 4 --out "$tmp/parts"
run 'resumed with another choice' "${train[@]/#split/cut}" --epochs 2 --save-steps 4 --out "$tmp/parts" --resume
grep -q -- '--too-long was split and is cut' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
ok 'resumed' "${train[@]}" --epochs 2 --save-steps 4 --out "$tmp/parts" --resume
cmp -s "$tmp/parts/$weights" "$tmp/at-once/$weights" || fail 'resumed: another adapter'
ok 'by its run file' train --config "$tmp/at-once/run.yaml" --out "$tmp/again"
cmp -s "$tmp/again/$weights" "$tmp/at-once/$weights" || fail 'by its run file: another adapter'

# ---- Evaluation: the loss of all pieces, weighted by tokens ----
ok 'eval' eval "${data[@]}" --too-long split --json "${one_thread[@]}"
[ "$(number examples "$tmp/stdout")" = "$examples" ] || fail "$(cat "$tmp/stdout")"
whole=$(number eval_loss "$tmp/stdout") learnt=$(number labels "$tmp/stdout")
for record in 1 2 3 4; do
    sed -n "${record}p" "$tmp/long.jsonl" >"$tmp/one.jsonl"
    ok "record $record" eval "${data[@]/#*long.jsonl/$tmp/one.jsonl}" --too-long split --json "${one_thread[@]}"
    printf '%s %s\n' "$(number eval_loss "$tmp/stdout")" "$(number labels "$tmp/stdout")"
done >"$tmp/losses"
awk -v whole="$whole" -v learnt="$learnt" '{ sum += $1 * $2; labels += $2 }
    END { exit !(labels == learnt && (sum / labels - whole) ^ 2 < 1e-10) }' "$tmp/losses" ||
    fail "a loss of $whole over $learnt labels, and by record: $(cat "$tmp/losses")"
ok 'the first record' eval "${data[@]}" --too-long split --limit 1 --json "${one_thread[@]}"
[ "$(number examples "$tmp/stdout")" = "$(grep -c '"line":1,' "$tmp/pieces")" ] || fail "$(cat "$tmp/stdout")"
ok 'plan' plan "${data[@]}" --too-long split
finish
