# loam bench: its output for a small model, and what it refuses. No check depends on speed.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
"$LOAM" init --config "$tiny/config.json" --out "$tmp/bare" >/dev/null # no tokenizer
few=(--steps 2 --warm-up 1 --lora-r 4)

# Checks that the value of each key is a positive, finite number.
positive() {
    for key in "$@"; do
        below 0 "$(number "$key" "$tmp/stdout")" || fail "$key is \"$(number "$key" "$tmp/stdout")\""
    done
}
keys=(gflops tokens_per_second seconds_per_step_median seconds_per_step_min seconds_to_first_step peak_rss_bytes
    weight_bytes flops_per_step tokens_per_step labels_per_step threads steps loss)

ok 'made-up lengths' bench step --model "$tmp/bare" --lengths 18,24,20:5 --json "${few[@]}" "${one_thread[@]}"
positive "${keys[@]}" ceiling_gflops of_ceiling ceiling_products
[ "$(number tokens_per_step "$tmp/stdout")" = 62.0 ] || fail "$(cat "$tmp/stdout")"
[ "$(number labels_per_step "$tmp/stdout")" = 45.0 ] || fail "$(cat "$tmp/stdout")" # 17 + 23 + 5
output_has '"what": "step"'
output_has '"op": "linear_forward"'
output_has '"op": "linear_backward_input"'
output_has '"op": "lora_backward"'
output_has '"op": "linear_cross_entropy"'
output_has '"op": "adamw"'
output_has '"ceiling_weights": "model"'

ok 'lines for a person' bench step --model "$tmp/bare" --lengths 18,24 "${few[@]}" "${one_thread[@]}"
output_has 'of ceiling'
output_has 'linear_forward'
grep -qE '^[a-z0-9 ]+ on cpu .*, 1 threads: 2 steps of 42\.0 tokens, ' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
weights=$(sed -n 's/.* \([0-9]*\) MiB of it weights$/\1/p' "$tmp/stdout")
multiplied=$(sed -n 's/^ceiling .* over \([0-9]*\) MiB of .*/\1/p' "$tmp/stdout")
[ "$multiplied" -le "$weights" ] || fail "$multiplied of $weights MiB: $(cat "$tmp/stdout")"

printf '18\n24 20:5\n,12\n' >"$tmp/lengths"
ok 'lengths of a file, two at a time' bench step --model "$tmp/bare" --lengths "$tmp/lengths" --batch-size 2 --json \
    --steps 4 --warm-up 2 --method full --no-ceiling "${one_thread[@]}"
positive "${keys[@]}"
[ "$(number tokens_per_step "$tmp/stdout")" = 37.0 ] || fail "$(cat "$tmp/stdout")" # (18 + 24 + 20 + 12) / 2
output_has '"ceiling_gflops": null'
output_has '"of_ceiling": null'
output_has '"op": "linear_backward_weight"'

ok 'split by the token budget' bench step --model "$tmp/bare" --lengths 18,24,20 --token-budget 24 --json "${few[@]}" \
    "${one_thread[@]}"
positive "${keys[@]}" ceiling_gflops of_ceiling
[ "$(number tokens_per_step "$tmp/stdout")" = 62.0 ] || fail "$(cat "$tmp/stdout")"

# Recomputation to save memory does not count as an operation of the step.
ok 'not checkpointed' bench step --model "$tmp/bare" --lengths 18,24 --json --no-ceiling "${few[@]}" "${one_thread[@]}"
flops=$(number flops_per_step "$tmp/stdout")
ok 'checkpointed' bench step --model "$tmp/bare" --lengths 18,24 --json --no-ceiling --gradient-checkpointing block \
    "${few[@]}" "${one_thread[@]}"
[ -n "$flops" ] && [ "$(number flops_per_step "$tmp/stdout")" = "$flops" ] || fail "not $flops: $(cat "$tmp/stdout")"

ok 'data' bench step --model "$tmp/model" --data "$tiny/text.txt" --max-length 64 --batch-size 2 --json "${few[@]}" \
    "${one_thread[@]}"
positive "${keys[@]}" ceiling_gflops of_ceiling

ok 'bf16' bench step --model "$tmp/bare" --lengths 18,24 --dtype bf16 --json "${few[@]}" "${one_thread[@]}"
positive "${keys[@]}" ceiling_gflops of_ceiling
output_has '"dtype": "bf16"'

ok 'reference device' bench step --model "$tmp/bare" --lengths 6,5 --device ref --no-ceiling --json "${few[@]}"
positive "${keys[@]}"

# ---- matmul ----

ok 'matmul' bench matmul --model "$tmp/bare" --lengths 18,24 --json "${few[@]}" "${one_thread[@]}"
positive plain_gflops packed_gflops flops_per_step rounds threads weight_bytes
for dimension in m n k; do
    [ "$(grep -c "\"$dimension\": [1-9]" "$tmp/stdout")" -eq "$(grep -c '"product": ' "$tmp/stdout")" ] ||
        fail "a product without $dimension: $(cat "$tmp/stdout")"
done
output_has '"what": "matmul"'
output_has '"product": "forward"'
output_has '"product": "input gradient"'
# A tiny BLOOM: qkv, dense, up, down, and the head. The lowest qkv needs no gradient, so its number of calls differs.
[ "$(grep -c '"product": "forward"' "$tmp/stdout")" -eq 5 ] || fail "$(cat "$tmp/stdout")"
[ "$(grep -c '"product": "input gradient"' "$tmp/stdout")" -eq 5 ] || fail "$(cat "$tmp/stdout")"
grep -q null "$tmp/stdout" && grep -v peak_gflops "$tmp/stdout" | grep -q null && fail "$(cat "$tmp/stdout")"
ok 'matmul, all trained' bench matmul --model "$tmp/bare" --lengths 18,24 --json --method full --dtype bf16 \
    "${few[@]}" "${one_thread[@]}"
output_has '"product": "weight gradient"'
output_has '"packed_gflops": null' # its second operand is no weight
ok 'matmul, for a person' bench matmul --model "$tmp/bare" --lengths 18,24 "${few[@]}" "${one_thread[@]}"
output_has 'input gradient'

# ---- generate ----

rounds=(--steps 2 --warm-up 1)
ok 'generate' bench generate --model "$tmp/bare" --prompt-tokens 20 --new-tokens 4 --json "${rounds[@]}" "${one_thread[@]}"
positive tokens_per_second prefill_tokens_per_second prefill_seconds prefill_gflops ceiling_gflops prefill_of_ceiling \
    decode_weight_bytes decode_bytes_per_second read_bytes_per_second of_bandwidth peak_rss_bytes weight_bytes threads
output_has '"what": "generate"'
# Each new token reads the weights once.
awk -v bytes="$(number decode_weight_bytes "$tmp/stdout")" -v tokens="$(number tokens_per_second "$tmp/stdout")" \
    -v rate="$(number decode_bytes_per_second "$tmp/stdout")" \
    'BEGIN { exit !(rate > 0.999 * bytes * tokens && rate < 1.001 * bytes * tokens) }' || fail "$(cat "$tmp/stdout")"
output_has '"op": "attention_forward"'
ok 'generate, for a person' bench generate --model "$tmp/bare" --prompt-tokens 20 --new-tokens 4 --no-ceiling \
    "${rounds[@]}" "${one_thread[@]}"
output_has 'op, a prompt'
output_has 'op, all new tokens'
ok 'generate on the reference device' bench generate --model "$tmp/bare" --prompt-tokens 5 --new-tokens 2 --json \
    --device ref --no-ceiling "${rounds[@]}"
output_has '"of_bandwidth": null'

model=(--model "$tmp/bare")
refuses 2 '--new-tokens 1' 'no token after the first' bench generate "${model[@]}" --new-tokens 1
refuses 1 '--no-ceiling' 'generate without a matrix library' bench generate "${model[@]}" --device ref
refuses 1 'has no matrix library' 'matmul without a matrix library' bench matmul "${model[@]}" --lengths 8 --device ref
refuses 2 'loam bench needs step|matmul|generate' 'nothing to measure' bench --model x
refuses 2 '"stepp": expected step|matmul|generate' 'unknown measurement' bench stepp --model x
refuses 2 'needs one of --data and --lengths' 'no examples' bench step "${model[@]}"
refuses 2 'needs one of --data and --lengths' 'two kinds of examples' bench step "${model[@]}" --lengths 8 --data x
refuses 2 '"1"' 'a length without a label' bench step "${model[@]}" --lengths 8,1
refuses 2 '"8:8"' 'more labels than there can be' bench step "${model[@]}" --lengths 8:8
refuses 2 '"8:"' 'labels left out' bench step "${model[@]}" --lengths 8:
refuses 2 'must say how many labels' 'completion without labels' bench step "${model[@]}" --lengths 8 --loss-on completion
refuses 1 'no-such-file' 'lengths of a file that is not there' bench step "${model[@]}" --lengths no-such-file
printf 'eight\n' >"$tmp/lengths"
refuses 2 '"eight"' 'words for lengths' bench step "${model[@]}" --lengths "$tmp/lengths"
: >"$tmp/lengths"
refuses 2 'has 0 lengths' 'an empty file of lengths' bench step "${model[@]}" --lengths "$tmp/lengths"
refuses 2 '--max-length allows 16' 'longer than allowed' bench step "${model[@]}" --lengths 18 --max-length 16
refuses 1 '--no-ceiling' 'no matrix library' bench step "${model[@]}" --lengths 8 --device ref
refuses 2 '--steps 0' 'no steps' bench step "${model[@]}" --lengths 8 --steps 0
refuses 2 'loam bench has no option --out' 'nothing is written' bench step "${model[@]}" --lengths 8 --out x
finish
