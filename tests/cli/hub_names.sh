# Every command that takes a model or an adapter by name downloads the files that it needs, and no others.
. "$(dirname "$0")/common.sh"
. "$LOAM_SOURCE/tests/hub/common.sh"

repo=$hub/repos/org/tiny
mkdir -p "$hub/repos/org"
make_model "$repo"
cache=$tmp/home/hub/models--org--tiny

# weights_asked: the number of requests for the model's weights; the adapter's are in another repository.
weights_asked() { asked '/org/tiny/[^ ]*safetensors'; }

"$LOAM" train --model org/tiny --data "$tiny/questions.json" --out "$tmp/adapter" --max-steps 1 --batch-size 1 \
    "${one_thread[@]}" >/dev/null 2>"$tmp/stderr" || {
    cat "$tmp/stderr"
    exit 1
}
cp -r "$tmp/adapter" "$hub/repos/org/adapter"
export=(export --gguf "$tmp/lora.gguf" --overwrite)
merge=(merge --out "$tmp/merged" --overwrite --no-check "${one_thread[@]}")

# ---- Without weights ----

begin fresh
ok 'plan by name' plan --model org/tiny
ok 'export by name' "${export[@]}" --adapter "$tmp/adapter" --model org/tiny
[ "$(weights_asked)" -eq 0 ] || fail "weights were asked for: $(cat "$hub/log")"

# A snapshot of a program that needed only the tokenizer is not a model, but `loam tokenize` can use it.
tokenizer_alone() {
    begin fresh
    ok 'the tokenizer alone' pull org/tiny --include tokenizer.json
    [ "$(ls "$cache/snapshots"/*)" = tokenizer.json ] || fail "$(ls "$cache/snapshots"/*)"
    begin
}
tokenizer_alone
ok 'tokenize with it' tokenize --model org/tiny
HF_HUB_OFFLINE=1 refuses 1 'HF_HUB_OFFLINE' 'plan with it, offline' plan --model org/tiny
HF_HUB_OFFLINE=1 refuses 1 'HF_HUB_OFFLINE' 'export with it, offline' "${export[@]}" --adapter "$tmp/adapter" --model org/tiny
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
ok 'export brings the rest' "${export[@]}" --adapter "$tmp/adapter" --model org/tiny
[ "$(asked 'GET /org/tiny/resolve/[^ ]*/config.json')" -eq 1 ] || fail "$(cat "$hub/log")"

# ---- With weights ----

begin
ok 'merge by name' "${merge[@]}" --model org/tiny --adapter "$tmp/adapter"
[ "$(weights_asked)" -ge 1 ] || fail "$(cat "$hub/log")"
begin fresh
ok 'bench by name' bench step --model org/tiny --lengths 8 --steps 1 --warm-up 1 --no-ceiling "${one_thread[@]}"
[ "$(weights_asked)" -ge 1 ] || fail "$(cat "$hub/log")"

# ---- The base of an adapter ----

begin fresh
ok 'merge: an adapter brings its base' "${merge[@]}" --adapter org/adapter
[ "$(weights_asked)" -ge 1 ] || fail "$(cat "$hub/log")"
mv "$tmp/merged" "$tmp/unnamed"
begin
ok 'merge: a directory does too' "${merge[@]}" --adapter "$tmp/adapter"
diff -r "$tmp/unnamed" "$tmp/merged" >/dev/null || fail 'another model'
ok 'merge: the base named' "${merge[@]}" --adapter "$tmp/adapter" --model org/tiny
diff -r "$tmp/unnamed" "$tmp/merged" >/dev/null || fail 'another model'
silent
begin fresh
ok 'export: an adapter brings its base' "${export[@]}" --adapter org/adapter
[ "$(weights_asked)" -eq 0 ] || fail "weights were asked for: $(cat "$hub/log")"
mv "$tmp/lora.gguf" "$tmp/unnamed.gguf"
begin
ok 'export: a directory does too' "${export[@]}" --adapter "$tmp/adapter"
cmp -s "$tmp/unnamed.gguf" "$tmp/lora.gguf" || fail 'another adapter'
ok 'export: the base named' "${export[@]}" --adapter "$tmp/adapter" --model org/tiny
cmp -s "$tmp/unnamed.gguf" "$tmp/lora.gguf" || fail 'another adapter'
silent

# A base that is a directory of this machine.
ok 'train on a directory' train --model "$repo" --data "$tiny/questions.json" --out "$tmp/local" --max-steps 1 \
    --batch-size 1 "${one_thread[@]}"
ok 'merge: a base on this machine' "${merge[@]}" --adapter "$tmp/local"
ok 'export: a base on this machine' "${export[@]}" --adapter "$tmp/local"
silent

# large FILE: the hub announces 2 GB for that file of the base.
large() {
    begin fresh
    fault "HEAD./org/tiny/[^.]*/$1" size 2000000000
}
# brings_by_leave COMMAND FILE WORD...: COMMAND WORD... downloads FILE of its adapter's base after permission.
brings_by_leave() {
    local command=$1 file=$2 base
    shift 2
    large "$file"
    refuses 1 'pass --yes' "$command: a large base is asked about" "$command" --adapter org/adapter "$@"
    happened
    [ "$(asked 'cdn')" -eq 1 ] && [ "$(asked 'GET /org/tiny/')" -eq 0 ] || fail "downloaded unasked: $(cat "$hub/log")"
    large "$file"
    refuses 1 'has none after' "$command: a large base, with --yes" "$command" --adapter org/adapter "$@" --yes
    for base in '"/nowhere/base"=/nowhere/base' 'null=does not say for which model'; do
        cp -r "$tmp/adapter" "$tmp/lost"
        sed -i "s|\"org/tiny\"|${base%%=*}|" "$tmp/lost/adapter_config.json"
        refuses 1 "${base#*=}" "$command: a base that is nowhere" "$command" --adapter "$tmp/lost" "$@"
        rm -r "$tmp/lost"
    done
    refuses 2 "loam $command needs --adapter" "$command: neither model nor adapter" "$command" "$@"
    ok "$command: help" "$command" --help
    output_has '--yes'
    tr -s '\n ' ' ' <"$tmp/stdout" | grep -qF 'the model that the adapter names' || fail "$(cat "$tmp/stdout")"
}
brings_by_leave merge model.safetensors --out "$tmp/out" --no-check
brings_by_leave export config.json --gguf "$tmp/out"

begin fresh
sed -i 's|"revision": null|"revision": "v1.0"|' "$hub/repos/org/adapter/adapter_config.json"
ok 'a base at a revision' "${merge[@]}" --adapter org/adapter
[ -e "$cache/refs/v1.0" ] && [ ! -e "$cache/refs/main" ] || fail 'another revision'

finish
