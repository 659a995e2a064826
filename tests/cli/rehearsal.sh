# Evaluating and saving are rehearsed before the first step: a fault that would end the run hours later ends it at once. The
# rehearsal leaves no files behind.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train_and_measure_on() { train=(train --model "$tmp/model" --data "$data" --eval-data "$1" --max-steps 4 --logging-steps 1 "${one_thread[@]}"); }
train_and_measure_on "$data"
answers=(--metric-for-best-model exact_match --max-new-tokens 4)
# at_once TEXT NAME ARGUMENT...: refused before the first step, without OUT.
at_once() { refuses 1 "$@" --out "$tmp/out"; }

# ---- A template may name every field of a SQuAD file ----
printf 'Article {id}: {title}\n{context}\n{question}\n{answer}{eos}' >"$tmp/template"
ok 'a template with {title}' "${train[@]}" "${answers[@]}" --template "$tmp/template" --eval-steps 2 --out "$tmp/titled"
[ "$(grep -c 'exact match' "$tmp/stdout")" -eq 2 ] || fail "$(cat "$tmp/stdout")"
ok 'eval --generate with it' eval --model "$tmp/model" --adapter "$tmp/titled" --data "$data" --template "$tmp/template" --generate \
    --max-new-tokens 4 "${one_thread[@]}"
[ -z "$(find "$tmp/titled" -name '*.loam-*' -o -name '*.tmp-*' -o -name 'checkpoint-*')" ] || fail "$(ls -A "$tmp/titled")"
python3 - "$data" >"$tmp/untitled.json" <<'END'
import json, sys
squad = json.load(open(sys.argv[1]))
for article in squad["data"]:
    article.pop("title", None)
json.dump(squad, sys.stdout)
END
train_and_measure_on "$tmp/untitled.json"
ok 'a file without titles' "${train[@]}" "${answers[@]}" --template "$tmp/template" --out "$tmp/untitled"

# ---- An evaluation ----
printf '{"text": "%s"}\n' "$(printf 'a long line %.0s' {1..200})" >"$tmp/long.jsonl"
printf '{"text": "short"}\n' >"$tmp/short.jsonl"
printf '{context}\n{nothing}{answer}' >"$tmp/unknown"
lines=(train --model "$tmp/model" --data "$tmp/short.jsonl" --max-steps 4 --max-length 32 --too-long drop "${one_thread[@]}")
at_once 'no example of the evaluation set has a label that counts' 'nothing to evaluate' "${lines[@]}" --eval-data "$tmp/long.jsonl"
cat "$tmp/long.jsonl" "$tmp/short.jsonl" >"$tmp/both.jsonl"
ok 'one that counts is enough' "${lines[@]}" --eval-data "$tmp/both.jsonl" --out "$tmp/both"
at_once 'no field "nothing"' 'a field that is not there' "${train[@]}" "${answers[@]}" --template "$tmp/unknown"

# ---- A save ----
# Files are limited to a number of KiB.
printf '#!/usr/bin/env bash\ntrap "" XFSZ\nulimit -f "$kib"\nexec "%s" "$@"\n' "$LOAM" >"$tmp/limited"
chmod +x "$tmp/limited"
for kib in 1 25; do # not the tokenizer; not the adapter
    export kib
    LOAM=$tmp/limited at_once 'File too large' "$kib KiB" "${train[@]}" --lora-r 16 --target-modules all-linear --preflight off
done
mkdir -p "$tmp/taken/adapter_model.safetensors"
run 'a place that is taken' "${train[@]}" --out "$tmp/taken" --overwrite
[ "$code" -eq 1 ] && grep -q 'adapter_model.safetensors: Is a directory' "$tmp/stderr" && [ ! -s "$tmp/stdout" ] || fail "$(cat "$tmp/stderr")"
[ "$(ls -A "$tmp/taken")" = adapter_model.safetensors ] || fail "left behind: $(ls -A "$tmp/taken")"
finish
