# --on-nonfinite: a run whose loss is no longer finite saves the finished steps and stops, or skips such steps.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
# The learning rate is 0 in the first step and far too high after it.
train=(train --model "$tmp/model" --data "$data" --max-steps 12 --batch-size 4 --lr-scheduler-type constant_with_warmup --learning-rate 1e18
    --warmup-steps 2 --logging-steps 1 "${one_thread[@]}")
weights=adapter_model.safetensors
figures() { sed 's/"[a-z_]*\(per_second\|runtime\|peak_memory_bytes\)": [^,}]*, //g' "$1/metrics.jsonl"; }

# ---- stop ----
run 'stop' "${train[@]}" --out "$tmp/out"
[ "$code" -eq 1 ] || fail "exit code $code: $(cat "$tmp/stderr")"
[ "$(grep -c '^loam: ' "$tmp/stderr")" -eq 1 ] || fail "not one line of error: $(cat "$tmp/stderr")"
step=$(tail -n 1 "$tmp/stderr" | sed -n "s/^loam: step [0-9]*: the .* is .*; step \([0-9]*\) is saved in .*--on-nonfinite skip.*/\1/p")
[ -n "$step" ] || fail "$(cat "$tmp/stderr")"
grep -q "^loam: step $((step + 1)): " "$tmp/stderr" || fail "not the step before: $(cat "$tmp/stderr")"
grep -qF "saved in $tmp/out/checkpoint-$step:" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
(cd "$tmp/out/checkpoint-$step" && sha256sum --quiet -c checksums.sha256) || fail 'checksums'
[ ! -e "$tmp/out/$weights" ] || fail 'a result of half a run'
# The saved values equal the result of a run with that number of steps.
ok 'so many steps' "${train[@]}" --max-steps "$step" --out "$tmp/short"
cmp -s "$tmp/short/$weights" "$tmp/out/checkpoint-$step/$weights" || fail 'another adapter'
run 'again' "${train[@]}" --out "$tmp/out" --resume
[ "$code" -eq 1 ] && grep -q "^loam: step $((step + 1)): .*checkpoint-$step:" "$tmp/stderr" || fail "exit code $code: $(cat "$tmp/stderr")"

# ---- skip ----
ok 'skip' "${train[@]}" --on-nonfinite skip --out "$tmp/skipped"
grep -q "step $((step + 1)): the .* is .*; skipped" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
grep -q 'of 12 steps were skipped: their loss or gradient was not finite' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
[ "$(grep -c '; skipped; others like it are counted at the end$' "$tmp/stderr")" -eq 1 ] || fail "reported repeatedly: $(cat "$tmp/stderr")"
output_has "step 12/12  no finite loss"
run 'skip from there, unsaid' "${train[@]}" --on-nonfinite skip --out "$tmp/out" --resume
[ "$code" -eq 1 ] && grep -qF -- '--on-nonfinite was stop and is skip' "$tmp/stderr" || fail "exit code $code: $(cat "$tmp/stderr")"
ok 'skip, in float32' "${train[@]}" --on-nonfinite skip --dtype f32 --out "$tmp/skipped-f32"
grep -q -- '--dtype f32' "$tmp/stderr" && fail "advice that is taken already: $(cat "$tmp/stderr")"
ok 'skip from there' "${train[@]}" --on-nonfinite skip --out "$tmp/out" --resume --allow-change
cmp -s "$tmp/skipped/$weights" "$tmp/out/$weights" || fail 'another adapter'
cmp -s <(figures "$tmp/skipped") <(figures "$tmp/out") || fail "other metrics: $(diff <(figures "$tmp/skipped") <(figures "$tmp/out"))"

# ---- An evaluation ----
evaluated=("${train[@]}" --eval-data "$data" --eval-steps 1 --load-best-at-end --learning-rate 1e25)
run 'an evaluation stops it' "${evaluated[@]}" --out "$tmp/evaluated"
[ "$code" -eq 1 ] && grep -q "^loam: .*is saved in $tmp/evaluated/checkpoint-" "$tmp/stderr" || fail "exit code $code: $(cat "$tmp/stderr")"
ok 'an evaluation is skipped' "${evaluated[@]}" --on-nonfinite skip --out "$tmp/best" --json
grep -q 'step [0-9]*: the evaluation loss is .* too high a learning rate.*; it is not the best, and the run goes on' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
best=$(sed -n 's/.*the result is that of step \([0-9]*\), with an evaluation loss of [0-9.]*$/\1/p' "$tmp/stderr")
[ -n "$best" ] && cmp -s "$tmp/best/checkpoint-$best/$weights" "$tmp/best/$weights" || fail "$(cat "$tmp/stderr")"
[ -n "$(number eval_loss "$tmp/stdout")" ] || fail "$(cat "$tmp/stdout")"
run 'an evaluation that is skipped, as text' "${evaluated[@]}" --on-nonfinite skip --out "$tmp/text"
output_has '  eval loss not finite'
grep -q 'eval loss -\{0,1\}nan' "$tmp/stdout" && fail "$(cat "$tmp/stdout")"
finish
