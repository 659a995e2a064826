# Prompts: generation uses the form of training, the end of an answer is learnt, and tokens that cannot be written are
# reported.
. "$(dirname "$0")/common.sh"
stories=$LOAM_SOURCE/examples/stories
question=(--field 'context=Erna gave Paula a fiddle.' --field 'question=What did Erna give Paula?')

# ---- A template that ends in a space ----
printf '### CONTEXT\n{context}\n\n### QUESTION\n{question}\n\n### ANSWER: {answer}{eos}\n' >"$tmp/space.txt"
printf '### CONTEXT\n{context}\n\n### QUESTION\n{question}\n\n### ANSWER:{answer}{eos}\n' >"$tmp/bare.txt"
ok 'train' train --model "$stories/model" --data "$stories/train.json" --template "$tmp/space.txt" --loss-on completion \
    --target-modules all-linear --lora-r 16 --lora-alpha 32 --learning-rate 5e-3 --max-steps 60 --batch-size 16 \
    --dtype f32 "${one_thread[@]}" --quiet --out "$tmp/adapter"
adapter=(--model "$stories/model" --adapter "$tmp/adapter" --dtype f32 "${one_thread[@]}")
# The model was trained on ":" followed by " word". Without the space the prompt ends in ":" as well.
for template in space bare; do
    ok "answers, $template" eval "${adapter[@]}" --data "$stories/dev.json" --template "$tmp/$template.txt" \
        --loss-on completion --generate --max-new-tokens 16 --limit 40 --json
    sed -n '/"overall"/,/}/p' "$tmp/stdout" >"$tmp/$template"
    ok "an answer, $template" generate "${adapter[@]}" --template "$tmp/$template.txt" "${question[@]}" \
        --max-new-tokens 16 --json
    sed -n '/"ids"/,/]/p' "$tmp/stdout" >"$tmp/$template.ids"
    sed -n 's/^ *"text": "\(.*\)",$/\1/p' "$tmp/stdout" >"$tmp/$template.text"
done
below 5 "$(number exact_match "$tmp/space")" || fail "$(cat "$tmp/space")"
cmp -s "$tmp/space" "$tmp/bare" || fail "other scores: $(cat "$tmp/space" "$tmp/bare")"
cmp -s "$tmp/space.ids" "$tmp/bare.ids" || fail 'other ids'
# A space at the end of a prompt from the user stays.
[ " $(cat "$tmp/space.text")" = "$(cat "$tmp/bare.text")" ] || fail "$(cat "$tmp/space.text" "$tmp/bare.text")"
ok 'a prompt that ends in a space' generate "${adapter[@]}" --prompt 'Paula eats ' --max-new-tokens 3
grep -q '^[^ ]' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"

# ---- Fields ----
asked=(generate --model "$stories/model" "${one_thread[@]}" --template squad --max-new-tokens 2)
refuses 1 '--template squad asks for --field question=VALUE' 'a field is missing' "${asked[@]}" "${question[@]:0:2}"
refuses 1 '--template squad asks for --field question=VALUE' 'a field is misspelt' "${asked[@]}" "${question[@]:0:2}" \
    --field qestion=x
ok 'a field too many' "${asked[@]}" "${question[@]}" --field answer=x
grep -q 'warning: --field answer has no effect: the prompt of --template squad has no such field' "$tmp/stderr" ||
    fail "$(cat "$tmp/stderr")"
ok 'the right fields' "${asked[@]}" "${question[@]}"
! grep -q warning "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- The end of an answer ----
cp -r "$stories/model" "$tmp/endless"
printf '{"bos_token": "<s>"}' >"$tmp/endless/tokenizer_config.json"
sed -i 's/"eos_token_id": 2/"eos_token_id": 99999/' "$tmp/endless/config.json"
endless=(train --model "$tmp/endless" --max-steps 1 --batch-size 1 "${one_thread[@]}" --out "$tmp/out")
refuses 1 'config.json gives eos_token_id 99999, which is not a token of tokenizer.json' '{eos} that is none' \
    "${endless[@]}" --data "$stories/train.json"
head -n 1 "$stories/held-out.jsonl" >"$tmp/text.jsonl"
cp -r "$stories/model" "$tmp/renamed"
printf '{"bos_token": "<s>", "eos_token": "<none>"}' >"$tmp/renamed/tokenizer_config.json"
ok 'another file names the end' train --model "$tmp/renamed" --data "$tmp/text.jsonl" --max-steps 1 "${one_thread[@]}" --out "$tmp/out"
grep -q 'names "<none>", which is not a token of tokenizer.json; </s> is taken as the end of sequence' "$tmp/stderr" ||
    fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/out"
ok 'texts without an end' "${endless[@]}" --data "$tmp/text.jsonl"
grep -q "warning: $tmp/text.jsonl: examples have no end" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/out"
printf '{question} {answer}<pad>' >"$tmp/pad.txt"
ok 'a template without an end' train --model "$stories/model" --data "$stories/train.json" --template "$tmp/pad.txt" \
    --max-steps 1 --batch-size 1 "${one_thread[@]}" --out "$tmp/out"
[ "$(grep -c 'warning: .*examples do not end in </s>' "$tmp/stderr")" -eq 1 ] || fail "$(cat "$tmp/stderr")"

# Training and generation both use BOS, which only the post-processor adds here.
bos=$LOAM_SOURCE/../shared/data/stories260K
if [ -e "$bos/model.safetensors" ]; then
    mkdir "$tmp/bos"
    cp "$bos/model.safetensors" "$bos/tokenizer.json" "$tmp/bos"
    grep -v '"[be]os_token_id"' "$bos/config.json" >"$tmp/bos/config.json"
    ok 'BOS' generate --model "$tmp/bos" --prompt 'Once upon a time' --max-new-tokens 1 "${one_thread[@]}" --json
    [ "$(number prompt_tokens "$tmp/stdout")" = 5 ] || fail "$(cat "$tmp/stdout")"

    # ---- Why generation ends ----
    ok 'the context' generate --model "$bos" --prompt 'Once upon a time' --max-new-tokens 2000 "${one_thread[@]}" --json
    [ "$(number new_tokens "$tmp/stdout")" = 508 ] || fail "$(number new_tokens "$tmp/stdout")"
    output_has '"finish_reason": "context"'
    grep -q 'warning: the context is full after 508 of the 2000 tokens of --max-new-tokens' "$tmp/stderr" ||
        fail "$(cat "$tmp/stderr")"
fi
ok 'the length' generate "${adapter[@]}" --prompt 'Paula eats' --max-new-tokens 1 --json
output_has '"finish_reason": "length"'
ok 'the end' generate "${adapter[@]}" --template "$tmp/space.txt" "${question[@]}" --max-new-tokens 40 --json
output_has '"finish_reason": "stop"'
rm -rf "$tmp/out"
for tokens in 1000000000 2147483647; do
    refuses 1 "--max-new-tokens $tokens: the keys and values of" 'more than memory' \
        generate --model "$stories/model" --prompt 'Paula eats' --max-new-tokens "$tokens" "${one_thread[@]}"
    refuses 1 '--max-new-tokens 10' 'answers beyond memory' eval "${adapter[@]}" --data "$stories/dev.json" --generate --max-new-tokens "$tokens"
done
finish
