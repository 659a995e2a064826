# Every command that takes a model or an adapter by name: it brings what it needs of it, and no more.
. "$(dirname "$0")/common.sh"
. "$LOAM_SOURCE/tests/hub/common.sh"

repo=$hub/repos/org/tiny
mkdir -p "$hub/repos/org"
make_model "$repo"
cache=$tmp/home/hub/models--org--tiny

# weights_asked: requests for the model's weights; the adapter's are another repository's.
weights_asked() { asked '/org/tiny/[^ ]*safetensors'; }

"$LOAM" train --model org/tiny --data "$tiny/questions.json" --out "$tmp/adapter" --max-steps 1 --batch-size 1 \
    "${one_thread[@]}" >/dev/null 2>"$tmp/stderr" || {
    cat "$tmp/stderr"
    exit 1
}
cp -r "$tmp/adapter" "$hub/repos/org/adapter"
export=(export --adapter "$tmp/adapter" --gguf "$tmp/lora.gguf" --overwrite)
merge=(merge --out "$tmp/merged" --overwrite --no-check "${one_thread[@]}")

# ---- Without weights ----

begin fresh
ok 'plan by name' plan --model org/tiny
ok 'export by name' "${export[@]}" --model org/tiny
[ "$(weights_asked)" -eq 0 ] || fail "weights were asked for: $(cat "$hub/log")"

# What is left by a program that wanted the tokenizer alone is no model, though it is one to tokenize with.
tokenizer_alone() {
    begin fresh
    ok 'the tokenizer alone' pull org/tiny --include tokenizer.json
    [ "$(ls "$cache/snapshots"/*)" = tokenizer.json ] || fail "$(ls "$cache/snapshots"/*)"
    begin
}
tokenizer_alone
ok 'tokenize with it' tokenize --model org/tiny
HF_HUB_OFFLINE=1 refuses 1 'HF_HUB_OFFLINE' 'plan with it, offline' plan --model org/tiny
HF_HUB_OFFLINE=1 refuses 1 'HF_HUB_OFFLINE' 'export with it, offline' "${export[@]}" --model org/tiny
silent
ok 'plan brings the rest' plan --model org/tiny
[ "$(asked 'GET /org/tiny/resolve/[^ ]*/config.json')" -eq 1 ] || fail "$(cat "$hub/log")"
[ "$(asked '/org/tiny/resolve/[^ ]*/tokenizer.json')" -eq 0 ] || fail 'the tokenizer came again'
[ "$(weights_asked)" -eq 0 ] || fail "weights were asked for: $(cat "$hub/log")"
begin
ok 'and has it then' plan --model org/tiny
HF_HUB_OFFLINE=1 ok 'offline too' plan --model org/tiny
silent
tokenizer_alone
ok 'export brings the rest' "${export[@]}" --model org/tiny
[ "$(asked 'GET /org/tiny/resolve/[^ ]*/config.json')" -eq 1 ] || fail "$(cat "$hub/log")"

# ---- With weights ----

begin
ok 'merge by name' "${merge[@]}" --model org/tiny --adapter "$tmp/adapter"
[ "$(weights_asked)" -ge 1 ] || fail "$(cat "$hub/log")"
begin fresh
ok 'bench by name' bench step --model org/tiny --lengths 8 --steps 1 --warm-up 1 --no-ceiling "${one_thread[@]}"
[ "$(weights_asked)" -ge 1 ] || fail "$(cat "$hub/log")"

finish
