# Every command that takes a model or an adapter by name downloads the files that it needs, and no others.
. "$(dirname "$0")/common.sh"
. "$LOAM_SOURCE/tests/hub/common.sh"

repo=$hub/repos/org/tiny
mkdir -p "$hub/repos/org"
make_model "$repo"
cache=$tmp/home/hub/models--org--tiny

# Counts the requests for the model's weights. The adapter's weights are in another repository.
count_weights() { count_requests '/org/tiny/[^ ]*safetensors'; }

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
[ "$(count_weights)" -eq 0 ] || fail "the weights were requested: $(cat "$hub/log")"

# A cache with only the tokenizer serves `tokenize` but is not a complete model.
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
no_requests
ok 'plan brings the rest' plan --model org/tiny
[ "$(count_requests 'GET /org/tiny/resolve/[^ ]*/config.json')" -eq 1 ] || fail "$(cat "$hub/log")"
[ "$(count_requests '/org/tiny/resolve/[^ ]*/tokenizer.json')" -eq 0 ] || fail 'the tokenizer came again'
[ "$(count_weights)" -eq 0 ] || fail "the weights were requested: $(cat "$hub/log")"
begin
ok 'and has it then' plan --model org/tiny
HF_HUB_OFFLINE=1 ok 'offline too' plan --model org/tiny
no_requests
tokenizer_alone
ok 'export brings the rest' "${export[@]}" --adapter "$tmp/adapter" --model org/tiny
[ "$(count_requests 'GET /org/tiny/resolve/[^ ]*/config.json')" -eq 1 ] || fail "$(cat "$hub/log")"

# ---- With weights ----

begin
ok 'merge by name' "${merge[@]}" --model org/tiny --adapter "$tmp/adapter"
[ "$(count_weights)" -ge 1 ] || fail "$(cat "$hub/log")"
begin fresh
ok 'bench by name' bench step --model org/tiny --lengths 8 --steps 1 --warm-up 1 --no-ceiling "${one_thread[@]}"
[ "$(count_weights)" -ge 1 ] || fail "$(cat "$hub/log")"

# ---- The base of an adapter ----

begin fresh
ok 'merge: an adapter brings its base' "${merge[@]}" --adapter org/adapter
[ "$(count_weights)" -ge 1 ] || fail "$(cat "$hub/log")"
mv "$tmp/merged" "$tmp/unnamed"
begin
ok 'merge: a directory does too' "${merge[@]}" --adapter "$tmp/adapter"
diff -r "$tmp/unnamed" "$tmp/merged" >/dev/null || fail 'another model'
ok 'merge: the base named' "${merge[@]}" --adapter "$tmp/adapter" --model org/tiny
diff -r "$tmp/unnamed" "$tmp/merged" >/dev/null || fail 'another model'
no_requests
begin fresh
ok 'export: an adapter brings its base' "${export[@]}" --adapter org/adapter
[ "$(count_weights)" -eq 0 ] || fail "the weights were requested: $(cat "$hub/log")"
mv "$tmp/lora.gguf" "$tmp/unnamed.gguf"
begin
ok 'export: a directory does too' "${export[@]}" --adapter "$tmp/adapter"
cmp -s "$tmp/unnamed.gguf" "$tmp/lora.gguf" || fail 'another adapter'
ok 'export: the base named' "${export[@]}" --adapter "$tmp/adapter" --model org/tiny
cmp -s "$tmp/unnamed.gguf" "$tmp/lora.gguf" || fail 'another adapter'
no_requests

# A base that is a local directory.
ok 'train on a directory' train --model "$repo" --data "$tiny/questions.json" --out "$tmp/local" --max-steps 1 \
    --batch-size 1 "${one_thread[@]}"
ok 'merge: a base on this machine' "${merge[@]}" --adapter "$tmp/local"
ok 'export: a base on this machine' "${export[@]}" --adapter "$tmp/local"
no_requests

# large FILE: makes the hub announce 2 GB for that file of the base.
large() {
    begin fresh
    fault "HEAD./org/tiny/[^.]*/$1" size 2000000000
}
# asks_before_download COMMAND FILE WORD...: `loam COMMAND WORD...` reads FILE of the adapter's base, and asks before it
# downloads a large one.
asks_before_download() {
    local command=$1 file=$2 base
    shift 2
    large "$file"
    refuses 1 'pass --yes' "$command: a large base needs --yes" "$command" --adapter org/adapter "$@"
    faults_occurred
    [ "$(count_requests 'cdn')" -eq 1 ] && [ "$(count_requests 'GET /org/tiny/')" -eq 0 ] || fail "downloaded unasked: $(cat "$hub/log")"
    large "$file"
    refuses 1 'sends none after' "$command: a large base, with --yes" "$command" --adapter org/adapter "$@" --yes
    for base in '"/nowhere/base"=/nowhere/base' 'null=does not name its model'; do
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
asks_before_download merge model.safetensors --out "$tmp/out" --no-check
asks_before_download export config.json --gguf "$tmp/out"

begin fresh
sed -i 's|"revision": null|"revision": "v1.0"|' "$hub/repos/org/adapter/adapter_config.json"
ok 'a base at a revision' "${merge[@]}" --adapter org/adapter
[ -e "$cache/refs/v1.0" ] && [ ! -e "$cache/refs/main" ] || fail 'another revision'

finish
