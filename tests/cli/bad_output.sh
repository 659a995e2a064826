# Output that cannot be written: one clear line that names the file, exit code 1, and an unchanged output directory.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
data=$tiny/questions.json
adapter=(train --model "$tmp/model" --data "$data" --max-steps 2 --logging-steps 1 --save-wait 0 "${one_thread[@]}")
init=(init --config "$tiny/config.json" --tokenizer "$tiny/tokenizer.json")

# contents DIR: prints every file in it with its checksum.
contents() {
    (cd "$1" && find . -type f -exec cksum {} + | sort -k 3)
}
# keeps DIR COMMAND...: checks that the command does not change DIR.
keeps() {
    local directory=$1
    shift
    contents "$directory" >"$tmp/before"
    "$@"
    contents "$directory" >"$tmp/after"
    cmp -s "$tmp/before" "$tmp/after" || fail "$directory was touched: $(diff "$tmp/before" "$tmp/after")"
    [ "$(find "$directory" -mindepth 1 -type d)" = '' ] || fail "left behind: $(find "$directory" -type d)"
}
# fails TEXT NAME ARGUMENT...: like refuses, but steps may be on standard output, and the metrics of a run that made its
# directory stay, in whole lines.
fails() {
    local text=$1
    shift
    run "$@"
    [ "$code" -eq 1 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    [ "$(grep '^loam: ' "$tmp/stderr" | grep -vc '^loam: warning: ')" -eq 1 ] || fail "not one line of error: $(cat "$tmp/stderr")"
    tail -n 1 "$tmp/stderr" | grep -q "^loam: .*$text" || fail "\"$text\" is not in: $(tail -n 1 "$tmp/stderr")"
    [ ! -e "$tmp/out" ] || [ "$(ls -A "$tmp/out")" = metrics.jsonl ] || fail "left behind: $(ls -A "$tmp/out")"
    [ ! -e "$tmp/out" ] || ! grep -vq '^{.*}$' "$tmp/out/metrics.jsonl" || fail 'half a line in metrics.jsonl'
    rm -rf "$tmp/out"
}

# ---- Directories without write permission ----
mkdir "$tmp/full" && echo mine >"$tmp/full/notes"
for command in adapter init; do
    declare -n arguments=$command
    keeps "$tmp/full" refuses 1 '--overwrite' "$command: not empty" "${arguments[@]}" --out "$tmp/full"
    refuses 1 "$tmp/full/notes" "$command: a file" "${arguments[@]}" --out "$tmp/full/notes"
    refuses 1 "$tmp/full/notes" "$command: below a file" "${arguments[@]}" --out "$tmp/full/notes/out"
    refuses 1 '/proc/loam' "$command: cannot be made" "${arguments[@]}" --out /proc/loam/out
    refuses 2 '--out needs a value' "$command: no name" "${arguments[@]}" --out ''
    refuses 1 'File name too long' "$command: an endless name" "${arguments[@]}" --out "$tmp/new/$(printf 'x%.0s' {1..300})"
    [ ! -e "$tmp/new" ] || fail 'the directory above it was left behind'
done
keeps "$tmp/model" refuses 1 "the model's own directory" 'into the model' "${adapter[@]}" --out "$tmp/model" --overwrite
refuses 1 'the name is not UTF-8' 'a name that is no UTF-8' "${adapter[@]}" --out "$tmp/"$'\377'

# A refused run removes exactly what it made.
mkdir "$tmp/above"
cp -r "$tmp/model" "$tmp/damaged"
truncate -s -4 "$tmp/damaged/model.safetensors" && printf '\377\377\377\177' >>"$tmp/damaged/model.safetensors"
fails 'the loss is not a number' 'a damaged model' "${adapter[@]}" --model "$tmp/damaged" --out "$tmp/above/a/b/out"
[ "$(find "$tmp/above")" = "$tmp/above" ] || fail "left behind: $(find "$tmp/above")"

# One of the output names is taken: the run detects it before the first step and writes nothing.
mkdir -p "$tmp/taken/README.md"
fails 'README.md: Is a directory' 'a place that is taken' "${adapter[@]}" --out "$tmp/taken" --overwrite
rmdir "$tmp/taken/README.md"
[ ! -s "$tmp/stdout" ] || fail "steps before it: $(cat "$tmp/stdout")"
[ -z "$(ls -A "$tmp/taken")" ] || fail "left behind: $(ls -A "$tmp/taken")"

# ---- The disk is full ----
# Files are limited to a number of KiB: enough for part of the output.
cat >"$tmp/limited" <<'END'
trap '' XFSZ # the write fails instead
ulimit -f "$kib"
exec "$unlimited" "$@"
END
export unlimited=$LOAM kib
limited() {
    kib=$1
    shift
    LOAM="$tmp/limited_loam" "$@"
}
printf '#!/usr/bin/env bash\n. "%s"\n' "$tmp/limited" >"$tmp/limited_loam"
chmod +x "$tmp/limited_loam"
full=("${adapter[@]}" --method full)
large=("${adapter[@]}" --target-modules all-linear --lora-r 32)
ok 'an adapter' "${large[@]}" --out "$tmp/adapter"
ok 'a model' "${full[@]}" --out "$tmp/trained"
tokenizer=$(($(wc -c <"$tiny/tokenizer.json") / 1024 + 1))
too_large='File too large'
for kib in 1 "$tokenizer"; do
    limited "$kib" fails "\.loam-.*$too_large" "adapter, $kib KiB" "${large[@]}" --out "$tmp/out"
    keeps "$tmp/adapter" limited "$kib" fails "$too_large" "adapter over another, $kib KiB" "${large[@]}" \
        --seed 2 --out "$tmp/adapter" --overwrite
    keeps "$tmp/trained" limited "$kib" fails "$too_large" "model over another, $kib KiB" "${full[@]}" \
        --seed 2 --out "$tmp/trained" --overwrite
    limited "$kib" refuses 1 "$too_large" "init, $kib KiB" "${init[@]}" --out "$tmp/out"
    keeps "$tmp/model" limited "$kib" refuses 1 "$too_large" "init over another, $kib KiB" "${init[@]}" \
        --seed 2 --out "$tmp/model" --overwrite
done
# Enough for the result, but not for the output about that many steps.
room=$((tokenizer + 20))
small=("${adapter[@]}" --max-steps $((room * 10)) --batch-size 1 --quiet)
limited "$room" fails 'metrics.jsonl cannot be written: File too large' 'metrics' "${small[@]}" --out "$tmp/out"
keeps "$tmp/adapter" limited "$room" fails 'metrics.jsonl cannot be written' 'metrics over others' "${small[@]}" \
    --out "$tmp/adapter" --overwrite
# Then the same command succeeds.
ok 'an adapter over another' "${large[@]}" --seed 2 --out "$tmp/adapter" --overwrite
contents "$tmp/adapter" >"$tmp/after"
ok 'the same elsewhere' "${large[@]}" --seed 2 --out "$tmp/again"
cmp -s "$tmp/adapter/adapter_model.safetensors" "$tmp/again/adapter_model.safetensors" || fail 'another adapter'
[ "$(ls -A "$tmp/adapter")" = "$(ls -A "$tmp/again")" ] || fail "other files: $(ls -A "$tmp/adapter")"
finish
