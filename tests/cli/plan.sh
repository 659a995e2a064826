# loam plan: the memory of a run before it starts, and how train uses the plan.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
keys=(peak_bytes limit_bytes weights_mapped_bytes weights_converted_bytes trained_bytes gradients_bytes optimiser_bytes
    activations_bytes scratch_bytes process_bytes max_length token_budget)

# near A B D: checks that A and B differ by at most D.
near() {
    awk -v a="$1" -v b="$2" -v d="$3" 'BEGIN { e = a - b; if (e < 0) e = -e; exit !(a > 0 && b > 0 && e <= d) }'
}

# ---- The output ----
ok 'plan' plan --model "$tmp/model" --data "$data"
for text in 'gradient checkpointing none' 'LoRA matrices' 'activations' 'at the peak' 'It fits: '; do
    output_has "$text"
done
ok 'plan as JSON' plan --model "$tmp/model" --data "$data" --dtype f32 --memory-limit 4G --json
for key in "${keys[@]}"; do
    [ -n "$(number "$key" "$tmp/stdout")" ] || fail "no $key: $(cat "$tmp/stdout")"
done
[ "$(number limit_bytes "$tmp/stdout")" = 4294967296 ] || fail "$(cat "$tmp/stdout")"
output_has '"fits": true'
output_has '"advice": null'
output_has '"op": "linear_forward"'
sum=0
for key in "${keys[@]:2:8}"; do sum=$((sum + $(number "$key" "$tmp/stdout"))); done
[ "$sum" = "$(number peak_bytes "$tmp/stdout")" ] || fail "the parts are $sum: $(cat "$tmp/stdout")"
# f32 weights of a frozen base stay in their file; trained ones do not.
[ "$(number weights_mapped_bytes "$tmp/stdout")" -gt 100000 ] || fail "$(cat "$tmp/stdout")"
ok 'plan of full training' plan --model "$tmp/model" --method full --dtype f32 --json
[ "$(number weights_mapped_bytes "$tmp/stdout")" = 0 ] || fail "$(cat "$tmp/stdout")"
ok 'a command of train, as it is' plan --model "$tmp/model" --data "$data" --out "$tmp/out" --max-steps 3 --lr 1e-3 \
    --gradient-checkpointing --eval-data "$data"
output_has 'gradient checkpointing block'
[ ! -e "$tmp/out" ] || fail 'it made the output directory'

# ---- Lengths instead of data ----
ok 'lengths' plan --model "$tmp/model" --lengths 30,40,50 --json
[ "$(number max_length "$tmp/stdout")" = 50 ] && [ "$(number token_budget "$tmp/stdout")" = 150 ] || fail "$(cat "$tmp/stdout")"
refuses 2 '--max-length allows 40' 'lengths beyond the longest allowed' plan --model "$tmp/model" --lengths 30,50 --max-length 40
refuses 2 'not both' 'data and lengths' plan --model "$tmp/model" --data "$data" --lengths 30

# ---- config.json alone ----
mkdir "$tmp/config"
printf '%s' '{"model_type": "bloom", "architectures": ["BloomForCausalLM"], "vocab_size": 250880, "n_embed": 2048,
    "n_layer": 24, "num_attention_heads": 16, "bos_token_id": 1, "eos_token_id": 2}' >"$tmp/config/config.json"
plan=(plan --model "$tmp/config" --batch-size 4 --json)
ok 'no weights' "${plan[@]}" --dtype bf16 --memory-limit none
[ "$(number weights_mapped_bytes "$tmp/stdout")" = 3444817920 ] || fail "$(cat "$tmp/stdout")"
output_has '"limit_bytes": null'
# plan_of_run: the peak without the process itself, which the sanitizers enlarge.
plan_of_run() {
    echo $(($(number peak_bytes "$tmp/stdout") - $(number process_bytes "$tmp/stdout")))
}
none=$(plan_of_run)
below "$none" $((3444817920 * 133 / 100)) || fail "the peak is $none"
ok 'checkpointing' "${plan[@]}" --dtype bf16 --gradient-checkpointing
block=$(plan_of_run)
below "$block" $((3444817920 * 110 / 100)) || fail "the peak is $block"
ok 'MLP only' "${plan[@]}" --dtype bf16 --gradient-checkpointing mlp
mlp=$(plan_of_run)
below "$block" "$mlp" && below "$mlp" "$none" || fail "$block, $mlp, $none"

# ---- Advice ----
for limit in 4100M 3600M 3500M; do
    ok "advice below $limit" "${plan[@]}" --dtype bf16 --memory-limit $limit
    output_has '"fits": false'
    read -ra advice < <(sed -n 's/.*"advice": "\(.*\)".*/\1/p' "$tmp/stdout")
    [ "${#advice[@]}" -gt 0 ] || fail "no advice: $(cat "$tmp/stdout")"
    promised=$(number advice_peak_bytes "$tmp/stdout")
    ok "advice below $limit, followed" "${plan[@]}" --dtype bf16 --memory-limit $limit "${advice[@]}"
    output_has '"fits": true'
    near "$(number peak_bytes "$tmp/stdout")" "$promised" $((4 << 20)) || fail "promised $promised: $(cat "$tmp/stdout")"
done
ok 'advice in words' plan --model "$tmp/config" --dtype bf16 --memory-limit 4100M
output_has 'It does not fit: --memory-limit allows 4,100 MiB.'
output_has 'With --gradient-checkpointing mlp it takes '
ok 'small micro-batches first' plan --model "$tmp/config" --dtype bf16 --max-length 256 --memory-limit 3750M
output_has 'With --token-budget 256 it takes '
ok 'too small for anything' plan --model "$tmp/config" --dtype bf16 --memory-limit 1G
output_has 'No option makes it fit; '

ok 'a small model' plan --model "$tmp/model" --data "$data"
output_has ' KiB'
! grep -qE ' 0(\.0+)? [KMG]iB' "$tmp/stdout" || fail "a part is hidden: $(cat "$tmp/stdout")"

# ---- train ----
train=(train --model "$tmp/model" --data "$data" --out "$tmp/out" --max-steps 1 "${one_thread[@]}")
ok 'one line at the start' "${train[@]}"
grep -qE '^memory: [0-9.]+ MiB at most \(weights [0-9.]+ [KM]iB, ' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/out"
refuses 1 '--memory-limit allows 1.0 MiB; ' 'a run beyond the limit' "${train[@]}" --memory-limit 1M
grep -qF -- '--memory-limit none' "$tmp/message" || fail "no way out: $(cat "$tmp/message")"
ok 'no limit' "${train[@]}" --memory-limit none
rm -rf "$tmp/out"
for limit in banana 0 -5G 6X 6GG 6iB 1e30; do
    refuses 2 '--memory-limit' "a limit of $limit" "${train[@]}" --memory-limit=$limit
done
refuses 1 'config.json' 'no model' plan --model "$tmp"
refuses 2 'did you mean --data?' 'a wrong option' plan --model "$tmp/model" --dtaa x

# ---- Comparison with measurements ----
# Sanitizers allocate additional memory.
if grep -aqs -e __asan_init -e __tsan_init -e __msan_init "$LOAM" "$LOAM_BUILD"/libloam.so*; then finish && exit 0; fi
sed -e 's/"hidden_size": *[0-9]*/"hidden_size": 512/' -e 's/"n_layer": *[0-9]*/"n_layer": 4/' "$tiny/config.json" >"$tmp/middle.json"
"$LOAM" init --config "$tmp/middle.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/middle" >/dev/null
# measure OPTION...: runs and compares the peak with the plan's: within 5 % and 32 MiB. $file replaces the data.
measure() {
    local options=(--model "$tmp/middle" --data "${file:-$data}" --batch-size 2 --max-length 2048 --token-budget 2048 "${one_thread[@]}" "$@" --json)
    ok "plan $*" plan "${options[@]}"
    planned=$(number peak_bytes "$tmp/stdout")
    ok "train $*" train "${options[@]}" --out "$tmp/out" --max-steps 1
    measured=$(number peak_memory_bytes "$tmp/stdout")
    rm -rf "$tmp/out"
    near "$planned" "$measured" $((measured / 20 + (32 << 20))) || fail "planned $planned, measured $measured"
}
measure
measure --dtype f32
none=$measured
measure --dtype f32 --gradient-checkpointing
below $((measured + 64 * 1048576)) "$none" || fail "checkpointing saves from $none to $measured"
measure --dtype bf16
measure --method full
measure --method full --dtype bf16 --gradient-checkpointing mlp

# ---- Data that is held in memory ----
words() { head -c "$1" < <(yes "${2:-the bakery opens at six, in the morning. }" | tr -d '\n'); }
record() { printf '{"text": "' && words "$@" && printf '"}\n'; }
{ record 300 && record 5000000 && record 200; } >"$tmp/long.jsonl"
{ record 300 && record 5000000 '\u00e9t\u00e9 \"x\" '; } >"$tmp/escapes.jsonl"
{ words 300 && echo && words 5000000 && echo; } >"$tmp/long.txt"
words 3000000 x >"$tmp/one_word.txt"
printf '{"data": [{"paragraphs": [{"context": "%s", "qas": [{"id": "q", "question": "When?", "answers": [{"text": "six"}]}]}]}]}' \
    "$(words 4000000)" >"$tmp/long.json"
head -n 50000 < <(yes "$(record 1000)") >"$tmp/many.jsonl"
for name in long.jsonl escapes.jsonl long.txt one_word.txt long.json many.jsonl; do
    file=$tmp/$name measure
done
measure --eval-data "$tmp/long.jsonl"
finish
