# loam train --preflight: warnings before the first step, and runs that are refused.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
head -n 4 "$tiny/text.txt" >"$tmp/data.txt"
train=(train --model "$tmp/model" --max-steps 1 --batch-size 1 "${one_thread[@]}" --out "$tmp/out")
good=("${train[@]}" --data "$tmp/data.txt")
printf '{text}' >"$tmp/endless.txt"
bad=("${good[@]}" --template "$tmp/endless.txt")
warnings() { grep -c '^loam: warning: ' "$tmp/stderr" || true; }
# strict TEXT NAME ARGUMENT...: runs with --preflight strict, which must end before anything is written. The last line is the
# error, after the warnings.
strict() {
    local text=$1
    shift
    run "$@" --preflight strict
    [ "$code" -eq 1 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    tail -n 1 "$tmp/stderr" | grep -qF -- "loam: --preflight strict: nothing is trained, because of $text; " || fail "$(cat "$tmp/stderr")"
    [ "$(warnings)" -ge 1 ] || fail "no warning: $(cat "$tmp/stderr")"
    [ ! -s "$tmp/stdout" ] && [ ! -e "$tmp/out" ] || fail "it wrote: $(cat "$tmp/stdout"; ls -A "$tmp/out")"
}
has_warning() {
    grep -qF -- "$1" "$tmp/stderr" || fail "\"$1\" is not in: $(cat "$tmp/stderr")"
}

ok 'nothing to find' "${good[@]}"
has_warning 'preflight: 12 checks, 4 of 4 records looked at, 0 findings'
[ "$(warnings)" -eq 0 ] || fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/out"
ok 'nothing to find, strict' "${good[@]}" --preflight strict
rm -rf "$tmp/out"

ok 'a mistake' "${bad[@]}"
[ "$(warnings)" -eq 1 ] || fail "$(cat "$tmp/stderr")"
has_warning "warning: $tmp/data.txt: examples do not end in </s>, so the model does not learn to stop"
has_warning "(4 of 4 records looked at, such as $tmp/data.txt:1) [no-stop]"
[ -e "$tmp/out/adapter_model.safetensors" ] || fail 'nothing was trained'
rm -rf "$tmp/out"
strict no-stop 'a mistake, strict' "${bad[@]}"
has_warning '[no-stop]'
ok 'a mistake, off' "${bad[@]}" --preflight off
[ "$(warnings)" -eq 0 ] && ! grep -q preflight "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/out"
refuses 2 '--preflight loud: expected warn|strict|off' 'a wrong level' "${good[@]}" --preflight loud
refuses 2 '--preflight needs a value' 'no level' "${good[@]}" --preflight

ok 'the same records for training and evaluation' "${good[@]}" --eval-data "$tmp/data.txt"
has_warning "4 of 4 records of $tmp/data.txt are training records, too"
rm -rf "$tmp/out"
strict overlap 'the same, strict' "${good[@]}" --eval-data "$tmp/data.txt"

# A doubt ends no run.
ok 'short examples' "${good[@]}" --max-length 8 --preflight strict
has_warning '[cut]'
rm -rf "$tmp/out"

# ---- The model's own form ----
cp -r "$tmp/model" "$tmp/chat"
printf '{"bos_token": "<s>", "eos_token": "</s>", "chat_template": "%s"}' \
    '{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}' >"$tmp/chat/tokenizer_config.json"
ok 'a chat model' "${good[@]/#$tmp\/model/$tmp/chat}"
has_warning '[plain-template]'
has_warning 'examples do not begin with <s>'
[ "$(warnings)" -eq 2 ] || fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/out"

# ---- An embedding that was never trained ----
cp -r "$tmp/model" "$tmp/zero"
weights=$tmp/zero/model.safetensors
offset=$(head -c 4096 "$weights" | LC_ALL=C sed -n 's/.*"transformer\.word_embeddings\.weight":{[^}]*"data_offsets":\[\([0-9]*\),.*/\1/p;q' | tr -d '\0')
header=$(od -An -tu8 -N8 "$weights" | tr -d ' ')
width=$((64 * 4)) # f32
dd if=/dev/zero of="$weights" bs=1 seek=$((8 + header + offset + 2 * width)) count=$width conv=notrunc status=none
zero=("${good[@]/#$tmp\/model/$tmp/zero}")
ok 'an untrained end' "${zero[@]}"
has_warning 'the embedding of </s> (2) was never trained: all of its values are zero; --trainable-token-indices 2 trains it'
has_warning "(such as $tmp/data.txt:1) [untrained-embedding]"
rm -rf "$tmp/out"
strict untrained-embedding 'an untrained end, strict' "${zero[@]}"
ok 'an end that this run trains' "${zero[@]}" --trainable-token-indices 2 --preflight strict
rm -rf "$tmp/out"
ok 'full training' "${zero[@]}" --method full --preflight strict
rm -rf "$tmp/out"

# ---- Other commands ----
ok 'plan accepts the option' plan --model "$tmp/model" --data "$tmp/data.txt" --preflight strict
ok 'a run file has it' "${good[@]}" --preflight off
grep -qx 'preflight: "\{0,1\}off"\{0,1\}' "$tmp/out/run.yaml" || fail "$(cat "$tmp/out/run.yaml")"
finish
