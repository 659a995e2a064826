# The small base model of examples/stories: its files are complete, it has learnt its language, and LoRA improves it.
. "$(dirname "$0")/common.sh"
stories=$LOAM_SOURCE/examples/stories

ok 'inspect the base' inspect "$stories/model" --json
[ "$(number parameters "$tmp/stdout")" = 532512 ] || fail "$(cat "$tmp/stdout")"
ok 'its own language' eval --model "$stories/model" --data "$stories/held-out.jsonl" --limit 20 "${one_thread[@]}" --json
below "$(number eval_loss "$tmp/stdout")" 1.3 || fail "the base has not learnt it: $(cat "$tmp/stdout")"

questions=(--data "$stories/dev.json" --loss-on completion --limit 30 "${one_thread[@]}" --json)
ok 'questions before' eval --model "$stories/model" "${questions[@]}"
before=$(number eval_loss "$tmp/stdout")
ok 'a few steps' train --model "$stories/model" --data "$stories/train.json" --loss-on completion "${one_thread[@]}" \
    --target-modules all-linear --learning-rate 5e-3 --max-steps 12 --out "$tmp/adapter"
ok 'questions after' eval --model "$stories/model" --adapter "$tmp/adapter" "${questions[@]}"
below "$(number eval_loss "$tmp/stdout")" "$(awk -v loss="$before" 'BEGIN { print loss / 2 }')" ||
    fail "from $before to $(number eval_loss "$tmp/stdout")"
finish
