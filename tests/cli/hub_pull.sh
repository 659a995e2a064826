# loam pull and models by name, against a hub with faults.
. "$(dirname "$0")/common.sh"
. "$LOAM_SOURCE/tests/hub/common.sh"

repo=$hub/repos/org/tiny
mkdir -p "$hub/repos/org"
make_model "$repo"
mkdir "$repo/onnx"
echo 'onnx' >"$repo/onnx/model.onnx"
echo 'pickle' >"$repo/pytorch_model.bin"
echo '# a card' >"$repo/README.md"
size=$(wc -c <"$repo/model.safetensors")
cache=$tmp/home/hub/models--org--tiny

# Checks that the snapshot whose path loam printed holds the files of the repository.
same() {
    snapshot=$(tail -n 1 "$tmp/stdout")
    for name in config.json tokenizer.json tokenizer_config.json model.safetensors; do
        cmp -s "$repo/$name" "$snapshot/$name" || fail "$name differs"
        [ -L "$snapshot/$name" ] || fail "$name is no link"
    done
    [ -z "$(find "$cache" -name '*.incomplete')" ] || fail 'an incomplete file is left'
}

# ---- Without faults ----

begin fresh
ok 'pull' pull org/tiny
same
faults_occurred
commit=$(basename "$snapshot")
[ "$(cat "$cache/refs/main")" = "$commit" ] || fail 'refs/main'
[ -e "$cache/.no_exist/$commit/model.safetensors.index.json" ] || fail '.no_exist'
case $(readlink "$snapshot/config.json") in ../../blobs/*) ;; *) fail "$(readlink "$snapshot/config.json")" ;; esac
[ ! -e "$snapshot/pytorch_model.bin" ] && [ ! -e "$snapshot/onnx" ] && [ ! -e "$snapshot/README.md" ] || fail 'too much was taken'
[ "$(count_requests 'cdn GET')" -eq 1 ] || fail 'the weights do not come from the other host'
grep -q '^Signature: ' "$tmp/home/hub/CACHEDIR.TAG" || fail 'CACHEDIR.TAG'

begin
ok 'pull again without a request' pull org/tiny
same
no_requests
HF_HUB_OFFLINE=1 ok 'offline' pull org/tiny
HF_HUB_OFFLINE=1 ok 'by its commit' pull "org/tiny@$commit"
ok 'inspect by name' inspect org/tiny
ok 'tokenize by name' tokenize --model org/tiny
ok 'generate by name' generate --model org/tiny --prompt 'The bakery' --max-new-tokens 2 "${one_thread[@]}"
HF_HUB_OFFLINE=1 ok 'an update, offline' pull org/tiny --update
grep -q 'warning: org/tiny: --update has no effect: HF_HUB_OFFLINE' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
no_requests
ok 'update' pull org/tiny --update
[ "$(count_requests '.')" -eq 1 ] || fail "$(cat "$hub/log")"

begin
ok 'a tag' pull org/tiny@v1.0 --json
grep -q '"revision": "v1.0"' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
[ "$(cat "$cache/refs/v1.0")" = "$commit" ] || fail 'refs/v1.0'
[ "$(count_requests 'GET|HEAD')" -eq 1 ] || fail 'a second revision of the same commit costs more than its name'

begin
ok 'files by pattern' pull org/tiny --include '*.onnx' --include README.md
cmp -s "$repo/onnx/model.onnx" "$(cat "$tmp/stdout")/onnx/model.onnx" || fail 'onnx/model.onnx'
[ "$(readlink "$(cat "$tmp/stdout")/onnx/model.onnx" | cut -c 1-18)" = ../../../blobs/1f7a ] ||
    readlink "$(cat "$tmp/stdout")/onnx/model.onnx" | grep -q '^\.\./\.\./\.\./blobs/' || fail 'a link from a directory'
begin
ok 'a file that is there' pull org/tiny --include README.md
no_requests
refuses 1 'no file that matches --include *.gguf' 'a pattern without a match' pull org/tiny --include '*.gguf'

begin fresh
ok 'tokenizer only' tokenize --model org/tiny
[ "$(count_requests 'model.safetensors')" -eq 0 ] || fail 'the weights were requested'
ok 'then the rest' pull org/tiny
same
[ "$(count_requests 'GET /org/tiny/resolve/[^ ]*/tokenizer.json')" -eq 1 ] || fail 'the tokenizer came twice'

# ---- Transient faults ----

begin fresh
fault 'GET./lfs/' drop 200000
fault 'GET./lfs/' drop 5000
fault 'GET.*tokenizer.json' drop 10
ok 'connections that break' pull org/tiny
same
faults_occurred
[ "$(count_requests 'cdn GET .* 206 .*range=bytes=200000-')" -ge 1 ] || fail "not resumed: $(cat "$hub/log")"

begin fresh
fault 'GET./lfs/' drop 200000
fault 'GET./lfs/' norange
ok 'a server without ranges' pull org/tiny
same
faults_occurred

begin fresh
fault 'GET./lfs/' wrong
fault 'GET.*config.json' wrong
ok 'wrong bytes, once' pull org/tiny
same
faults_occurred

begin fresh
fault 'GET./api/' status 429 Retry-After:1
fault 'HEAD.*config.json' status 500
fault 'HEAD.*config.json' status 503
fault 'GET./lfs/' status 429 Retry-After:2
fault 'GET./lfs/' status 502
ok 'busy and broken for a while' pull org/tiny
same
faults_occurred
grep -q 'another try in 2 s' "$tmp/stderr" || fail "Retry-After: $(cat "$tmp/stderr")"

begin fresh
fault 'GET./lfs/' length "$((size + 1000))"
ok 'an announced length that is too large' pull org/tiny
same
begin fresh
fault 'GET./lfs/' length 1000
ok 'an announced length that is too small' pull org/tiny
same

begin fresh
fault 'GET./lfs/' drip
LOAM_HUB_STALL_SECONDS=2 ok 'a slow drip' pull org/tiny
same
faults_occurred

# A download continues after the bytes that an earlier run left, and discards them when they cannot be a beginning.
begin fresh
ok 'pull' pull org/tiny
blob=$(readlink -f "$(cat "$tmp/stdout")/model.safetensors")
for left in 100000 "$size" "$((size + 5))"; do
    begin
    rm -r "$cache/snapshots"
    head -c "$left" "$blob" >"$blob.incomplete"
    [ "$left" -le "$size" ] || printf 'xxxxx' >>"$blob.incomplete"
    mv "$blob" "$tmp/whole"
    ok "$left bytes were there" pull org/tiny
    same
    mv "$tmp/whole" "$blob"
    [ "$left" -ne 100000 ] || [ "$(count_requests 'cdn .*range=bytes=100000-')" -eq 1 ] || fail 'not resumed'
    [ "$left" -ne "$size" ] || [ "$(count_requests 'cdn')" -eq 0 ] || fail 'a whole file came again'
done
begin
rm -r "$cache/snapshots" "$blob"
head -c 100000 /dev/zero >"$blob.incomplete"
ok 'other bytes were there' pull org/tiny
same

# ---- Permanent faults ----

begin fresh
fault 'always GET./lfs/' wrong
refuses 1 'their hash is' 'wrong bytes' pull org/tiny
[ -z "$(find "$cache/blobs" -size "+$((size / 1024 - 1))k")" ] || fail 'the wrong bytes were kept'
[ ! -e "$cache/refs/main" ] || fail 'the revision was noted'

begin fresh
fault 'always GET./lfs/' drop 100
refuses 1 'given up after 6 tries without progress' 'always broken' pull org/tiny
begin fresh
fault 'always GET./lfs/' drop 400000 norange
refuses 1 'given up after' 'always broken, and without ranges' pull org/tiny
begin fresh
fault 'always GET./api/' status 500
refuses 1 'status 500' 'always broken API' pull org/tiny
begin fresh
fault 'GET./api/' status 429 Retry-After:9999
refuses 1 'asks to wait 9999 seconds' 'too long a wait' pull org/tiny
begin fresh
fault 'always HEAD.*safetensors' size 1000
refuses 1 'sends more than the 1000 bytes' 'a size that is too small' pull org/tiny
begin fresh
fault 'always HEAD.*safetensors' size "$((size + 1000))"
refuses 1 'sends none after' 'a size that is too large' pull org/tiny
begin fresh
fault 'always HEAD.*safetensors' size 999999999999999
refuses 1 'are needed' 'more than the disk has' pull org/tiny
begin fresh
fault 'HEAD.*config.json' nocommit
refuses 1 'X-Repo-Commit' 'no hub' pull org/tiny
begin fresh
fault 'HEAD.*config.json' etag ../../../../evil
refuses 1 'no hash' 'an etag that is a path' pull org/tiny
[ ! -e "$tmp/evil" ] || fail 'a path left the cache'
begin fresh
fault 'GET./api/' text '{"sha": "0123456789012345678901234567890123456789", "siblings": [{"rfilename": "../../evil"}]}'
refuses 1 'not a relative path' 'a file that is a path' pull org/tiny
begin fresh
fault 'GET./api/' text '[[[['
refuses 1 'not valid JSON' 'no JSON' pull org/tiny

# The sum of announced sizes does not wrap around.
begin fresh
fault 'always HEAD./org/tiny' size 4611686018427387904
refuses 1 'are needed' 'more than a number holds' pull org/tiny
! grep -q -- ' -[0-9]' "$tmp/message" || fail "$(cat "$tmp/message")"

# The login page of a network in place of each kind of answer.
begin fresh
fault 'GET./api/' page
refuses 1 'a web page (text/html; charset=utf-8) arrives in place' 'a page for the list' pull org/tiny
begin fresh
fault 'always HEAD.*config.json' page
refuses 1 'a web page (text/html; charset=utf-8) arrives in place' 'a page for a head' pull org/tiny
begin fresh
fault 'GET./lfs/' page
refuses 1 'a web page (text/html; charset=utf-8) arrives in place' 'a page for a file' pull org/tiny

# The message about an incomplete cache names a missing file and the command that downloads it.
begin fresh
ok 'some files' pull org/tiny --include config.json --include tokenizer.json
HF_HUB_OFFLINE=1 refuses 1 'lacks model.safetensors of it, and HF_HUB_OFFLINE forbids asking the hub; without that, loam pull org/tiny completes it' \
    'no weights' inspect org/tiny
HF_HUB_OFFLINE=1 refuses 1 'lacks README.md' 'a named file' pull org/tiny --include README.md
ok 'and completes it' pull org/tiny
HF_HUB_OFFLINE=1 ok 'complete' pull org/tiny

# ---- Access ----

begin fresh
refuses 1 'no directory org/nothing' 'no such repository' inspect org/nothing
refuses 1 'set HF_TOKEN' 'no such repository, and no token' pull org/nothing
HF_TOKEN=$token refuses 1 'no such repository' 'no such repository, with a token' pull org/nothing
no_token
refuses 1 'no revision "gone"' 'no such revision' pull org/tiny@gone

settings "{\"private\": true, \"token\": \"$token\"}"
refuses 1 'set HF_TOKEN' 'private' pull org/tiny
HF_TOKEN=hf_other refuses 1 'refuses the token: Invalid credentials' 'private, another token' pull org/tiny
HF_TOKEN=$token ok 'private, the token' pull org/tiny
same
no_token
[ "$(count_requests "cdn .*auth=none")" -eq 1 ] && [ "$(count_requests 'cdn .*auth=hf')" -eq 0 ] || fail "the token went along: $(cat "$hub/log")"
begin fresh
mkdir -p "$tmp/home"
printf '%s\n' "$token" >"$tmp/home/token"
ok 'a token in a file' pull org/tiny
rm "$tmp/home/token"
no_token
settings "{\"gated\": true, \"token\": \"$token\"}"
begin fresh
refuses 1 "accept its terms at $HF_ENDPOINT/org/tiny" 'gated' pull org/tiny
HF_TOKEN=hf_other refuses 1 "accept its terms at $HF_ENDPOINT/org/tiny" 'gated, another token' pull org/tiny
# HF_TOKEN_PATH: variables in the path are expanded, as in huggingface_hub.
printf 'hf_other\n' >"$tmp/token"
HF_TOKEN_PATH="\$HERE/token" HERE=$tmp refuses 1 'accept its terms' 'the token of a file' pull org/tiny
[ "$(count_requests 'auth=hf_other')" -ge 1 ] || fail "the token was not sent: $(cat "$hub/log")"
HF_TOKEN_PATH="\$HERE/token" run 'an unknown variable' pull org/tiny
[ "$code" -eq 1 ] && grep -qF 'warning: HF_TOKEN_PATH: there is no file $HERE/token' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
HF_TOKEN_PATH=$tmp refuses 1 "the file of the token: cannot read $tmp: it is not a regular file" 'a directory' pull org/tiny
HF_TOKEN=$tmp/token refuses 1 'HF_TOKEN holds a path' 'a path for the token' pull org/tiny
printf 'a\nb\n' >"$tmp/token"
HF_TOKEN_PATH=$tmp/token refuses 1 "$tmp/token holds no token: it has several lines" 'two lines' pull org/tiny
settings '{}'
HF_TOKEN='two words' refuses 1 'HF_TOKEN holds no token' 'no token' pull org/tiny
! grep -q 'two words' "$tmp/message" || fail 'it is in the message'

# ---- Redirects and other endpoints ----

begin fresh
fault 'GET./api/' elsewhere http://localhost:1/evil
HF_TOKEN=$token refuses 1 'redirected to another host' 'an API elsewhere' pull org/tiny
begin fresh
fault 'GET./api/' elsewhere http://example.invalid/evil
refuses 1 'without https' 'plain http elsewhere' pull org/tiny
begin fresh
fault 'GET./api/' elsewhere "$HF_ENDPOINT/api/models/org/tiny/revision/main?blobs=true"
HF_TOKEN=$token ok 'renamed' pull org/tiny
same
begin fresh
fault 'always GET./api/' elsewhere "$HF_ENDPOINT/api/models/org/tiny"
refuses 1 'more than 10 redirects' 'round and round' pull org/tiny
[ "$(count_requests 'GET./api/')" -eq 11 ] || fail "$(count_requests 'GET./api/') requests for 10 redirects"
HF_ENDPOINT=http://example.invalid refuses 1 'HF_ENDPOINT' 'a plain endpoint elsewhere' pull org/tiny
HF_ENDPOINT=file:///etc refuses 1 'HF_ENDPOINT' 'no endpoint' pull org/tiny
HF_ENDPOINT=http://127.0.0.1:1 refuses 1 'HF_HUB_OFFLINE=1' 'no server there' pull org/tiny

# ---- Names ----

begin fresh
for name in ../tiny org/tiny/x /org org//tiny -org/tiny org/.tiny org/a--b org/a..b org/tiny.git 'org/ti ny' org/tiny@ \
    org/tiny@../x org/tiny@/x 'org/tiny@a b'; do
    refuses 2 'expected' "the name \"$name\"" pull -- "$name"
done
refuses 2 'ORG/NAME needs a value; it is empty' 'no name' pull ''
no_requests
refuses 1 "$tmp/nowhere" 'a path is no name' inspect "$tmp/nowhere"
HF_HUB_OFFLINE=1 refuses 1 'HF_HUB_OFFLINE' 'offline, and not there' inspect org/tiny
no_requests
mkdir -p "$tmp/work/org"
cp -r "$repo" "$tmp/work/org/tiny"
case_name='a directory has precedence'
(cd "$tmp/work" && "$LOAM" inspect org/tiny >/dev/null) || fail 'inspect'
no_requests

# Repositories without safetensors, and one without weights.
begin fresh
torch=$LOAM_SOURCE/tests/data/torch
for name in single sharded adapter_bin; do
    cp -r "$torch/$name" "$hub/repos/org/$name"
    ok "$name" pull "org/$name"
    diff -rq "$torch/$name" "$(tail -n 1 "$tmp/stdout")" >"$tmp/difference" || fail "$(cat "$tmp/difference")"
done
begin
for name in single sharded adapter_bin; do
    HF_HUB_OFFLINE=1 ok "$name, offline" inspect "org/$name"
done
no_requests
mkdir "$hub/repos/org/weightless"
cp "$repo/config.json" "$repo/tokenizer.json" "$hub/repos/org/weightless"
refuses 1 'has neither model.safetensors nor pytorch_model.bin' 'no weights' pull org/weightless

# ---- Stopped ----

begin fresh
case_name='stopped'
for _ in 1 2 3 4 5 6; do
    fault 'GET./lfs/' drip
done
stopped_at 'cdn GET' pull org/tiny
[ ! -e "$cache/refs/main" ] || fail 'the revision was noted'
begin
ok 'and resumed' pull org/tiny
same

# ---- Adapters ----

begin fresh
ok 'train on a model by name' train --model org/tiny --data "$tiny/questions.json" --out "$tmp/adapter" --max-steps 1 \
    --batch-size 1 "${one_thread[@]}"
grep -q '"base_model_name_or_path": "org/tiny"' "$tmp/adapter/adapter_config.json" || fail 'the base is not called by its name'
output_has '--model org/tiny'
cp -r "$tmp/adapter" "$hub/repos/org/adapter"
begin fresh
ok 'an adapter brings its base' generate --adapter org/adapter --prompt 'The bakery' --max-new-tokens 2 "${one_thread[@]}"
[ "$(count_requests '/org/tiny/.*model.safetensors')" -ge 1 ] || fail "$(cat "$hub/log")"
begin
ok 'both are there' eval --adapter org/adapter --data "$tiny/questions.json" --limit 1 "${one_thread[@]}"
ok 'a directory brings its base' generate --adapter "$tmp/adapter" --prompt 'The bakery' --max-new-tokens 2 "${one_thread[@]}"
ok 'inspect an adapter by name' inspect org/adapter
output_has 'LoRA adapter of org/tiny'
ok 'pull an adapter' pull org/adapter
no_requests
begin fresh
fault 'HEAD.*/org/tiny/.*safetensors' size 2000000000
refuses 1 'pass --yes' 'a large base needs --yes' generate --adapter org/adapter --prompt x
faults_occurred
[ "$(count_requests 'cdn')" -eq 1 ] || fail 'downloaded unasked'
fault 'HEAD.*/org/tiny/.*safetensors' size 2000000000
refuses 1 'sends none after' 'a large base, with --yes' generate --adapter org/adapter --prompt x --yes
# On a terminal, loam asks before it downloads a large base.
answers() { # KEYS CODE TEXT NAME
    case_name=$4
    begin fresh
    fault 'HEAD.*/org/tiny/.*safetensors' size 2000000000
    code=0
    "$LOAM_BUILD/tests/tools/loam_tty" 200 'org/tiny: download 2.00 GB? [y/N]' "$1" \
        "$LOAM" generate --adapter org/adapter --prompt x >"$tmp/tty" || code=$?
    [ "$code" -eq "$2" ] || fail "exit code $code: $(cat -v "$tmp/tty")"
    grep -q -- "$3" "$tmp/tty" || fail "$(cat -v "$tmp/tty")"
    faults_occurred
}
export TERM=xterm
answers $'y\n' 1 'sends none after' 'a large base, yes'
[ "$(count_requests 'cdn')" -gt 1 ] || fail 'not downloaded'
for keys in $'n\n' $'\n' $'\004'; do
    answers "$keys" 1 'pass --yes' 'a large base, no'
    [ "$(count_requests 'cdn')" -eq 1 ] || fail 'downloaded all the same'
done
answers $'\003' 130 'pass --yes' 'a large base, and Ctrl-C'
begin fresh
sed 's|"revision": null|"revision": "v1.0"|' "$tmp/adapter/adapter_config.json" >"$hub/repos/org/adapter/adapter_config.json"
ok 'a base at a revision' generate --adapter org/adapter --prompt 'The bakery' --max-new-tokens 2 "${one_thread[@]}"
[ -e "$cache/refs/v1.0" ] && [ ! -e "$cache/refs/main" ] || fail 'another revision'
ok 'train on a revision' train --model org/tiny@v1.0 --data "$tiny/questions.json" --out "$tmp/other" --max-steps 1 \
    --batch-size 1 "${one_thread[@]}"
grep -q '"revision": "v1.0"' "$tmp/other/adapter_config.json" || fail 'the revision is not in adapter_config.json'
grep -q '"base_model_name_or_path": "org/tiny"' "$tmp/other/adapter_config.json" || fail 'the base is not called by its name'
output_has '--model org/tiny@v1.0'
begin fresh
ok 'and its adapter brings that revision' generate --adapter "$tmp/other" --prompt 'The bakery' --max-new-tokens 2 "${one_thread[@]}"
[ -e "$cache/refs/v1.0" ] && [ ! -e "$cache/refs/main" ] || fail 'another revision'
begin fresh
sed 's|org/tiny|/nowhere/base|' "$tmp/adapter/adapter_config.json" >"$hub/repos/org/adapter/adapter_config.json"
refuses 1 '/nowhere/base' 'a base that is nowhere' generate --adapter org/adapter --prompt x
refuses 2 '--model DIR|NAME is needed' 'neither model nor adapter' generate --prompt x
refuses 2 '--model DIR|NAME is needed' 'neither model nor adapter' eval --data "$tiny/questions.json"

# ---- Two processes ----

begin fresh
case_name='two at once'
fault 'GET./lfs/' drop 100000
"$LOAM" pull org/tiny >"$tmp/first" 2>"$tmp/first.log" &
ok 'two at once' pull org/tiny
wait $! || fail "$(cat "$tmp/first.log")"
same

# A lock that is a dangling link: loam makes no file at its target.
begin fresh
ok 'locks' pull org/tiny
rm -rf "$tmp/home/hub/models--org--tiny"
for lock in "$tmp/home/hub/.locks/models--org--tiny"/*.lock; do ln -sf "$tmp/elsewhere" "$lock"; done
refuses 1 'it is a link' 'a lock that is a link' pull org/tiny
[ ! -e "$tmp/elsewhere" ] || fail 'a file was made elsewhere'
finish
