# loam push and train --push-to-hub, against a hub with faults.
. "$(dirname "$0")/common.sh"
. "$LOAM_SOURCE/tests/hub/common.sh"

make_model "$tmp/model"
ok 'train' train --model "$tmp/model" --data "$tiny/questions.json" --out "$tmp/adapter" --max-steps 1 --batch-size 1 \
    "${one_thread[@]}"
export HF_TOKEN=$token
settings "{\"token\": \"$token\"}"
repo=$hub/repos/org/new
folder=$tmp/adapter
mkdir -p "$folder/.git" "$folder/.cache/huggingface" "$folder/checkpoint-1" "$folder/deep/er"
for name in .git/HEAD .cache/huggingface/x checkpoint-1/optimizer.bin; do echo no >"$folder/$name"; done
: >"$folder/empty.bin"
echo 'a note' >"$folder/deep/er/note.txt"
echo 'x' >"$folder/x.ignored"
# Files that must not be pushed: secret, unfinished, or local to this machine.
mkdir "$folder/.loam-1-0" && echo half >"$folder/.loam-1-0/model.safetensors"
echo 'KEY=x' >"$folder/.env"
echo "$token" >"$folder/token"
echo half >"$folder/lora.gguf.tmp-12-0"

# Checks that the repository holds the files of the directory, without those that must not be pushed.
same() {
    (cd "$folder" && find . -type f ! -path './.git/*' ! -path './.cache/*' ! -path './checkpoint-*' ! -path ./run.yaml ! -name '*.ignored' \
        ! -path '*/.loam-*' ! -name .env ! -name token ! -name '*.tmp-*' | sort) >"$tmp/here"
    (cd "$repo" && find . -type f | sort) >"$tmp/there"
    cmp -s "$tmp/here" "$tmp/there" || fail "files: $(diff "$tmp/here" "$tmp/there" | head)"
    while read -r name; do
        cmp -s "$folder/$name" "$repo/$name" || fail "$name differs"
    done <"$tmp/here"
}
# Removes the repository and its objects.
clear_hub() {
    rm -rf "$repo" "$hub/lfs" "$hub/bodies"
    mkdir "$hub/lfs" "$hub/bodies"
    begin
}
push() { "$1" "${@:2}" push "$folder" org/new; }

# ---- Without faults ----

clear_hub
ok 'push' push "$folder" org/new --private --message 'Two words'
same
grep -q "$folder: not pushed: \.cache, \.env, \.git, \.loam-1-0, checkpoint-1, lora.gguf.tmp-12-0, run.yaml, token\$" "$tmp/stderr" ||
    fail "$(cat "$tmp/stderr")"
output_has "$HF_ENDPOINT/org/new"
grep -l '"visibility":"private"' "$hub"/bodies/* | grep -q . || fail 'not private'
grep -l '"summary":"Two words"' "$hub"/bodies/* | grep -q . || fail 'the message'
[ "$(count_requests 'hub .* 401|hub .* 403')" -eq 0 ] || fail "$(cat "$hub/log")"
[ "$(count_requests 'cdn PUT .*auth=none')" -eq 1 ] && [ "$(count_requests 'cdn .*auth=hf')" -eq 0 ] || fail "the token went along: $(cat "$hub/log")"
no_token

begin
ok 'push again: nothing to do' push "$folder" org/new
output_has 'already has all files'
[ "$(count_requests 'PUT|/commit/')" -eq 0 ] || fail "$(cat "$hub/log")"
echo 'changed' >"$folder/deep/er/note.txt"
ok 'one file has changed' push "$folder" org/new --json
same
grep -q '"files": 1' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"

# An upload in parts.
size=$(wc -c <"$folder/adapter_model.safetensors")
settings "{\"token\": \"$token\", \"chunk\": $((size / 3))}"
clear_hub
ok 'in parts' push "$folder" org/new
same
[ "$(count_requests 'cdn PUT')" -eq 4 ] && [ "$(count_requests 'POST /complete/.* 200 auth=none')" -eq 1 ] || fail "$(cat "$hub/log")"
clear_hub
fault 'PUT.*[.]2' status 500
fault 'PUT.*[.]3' drop 0
fault 'POST./complete' status 503
ok 'in parts, with trouble' push "$folder" org/new
same
faults_occurred
settings "{\"token\": \"$token\"}"

# ---- Transient faults ----

clear_hub
fault 'POST./api/repos/create' status 500
fault 'POST.*/preupload/' status 429 Retry-After:1
fault 'POST.*/batch' drop 0
fault 'PUT' status 503
fault 'PUT' drop 0
fault 'POST.*/verify' status 502
fault 'POST.*/commit/' status 429 Retry-After:1
ok 'busy and broken for a while' push "$folder" org/new
same
faults_occurred

# ---- Permanent faults, and a repeated push after them ----

for where in 'POST./api/repos/create' 'POST./api/validate-yaml' 'POST.*/preupload/' 'POST.*/batch' 'PUT' 'POST.*/verify' 'POST.*/commit/'; do
    clear_hub
    fault "always $where" status 500
    refuses 1 'status 500' "always 500: $where" push "$folder" org/new
    no_token
    begin
    ok "again after $where" push "$folder" org/new
    same
done
[ "$(count_requests 'PUT')" -eq 0 ] || fail 'what was uploaded went up again'
clear_hub
fault 'POST.*/commit/' status 500
refuses 1 'status 500' 'a commit is tried once' push "$folder" org/new
[ "$(count_requests '/commit/')" -eq 1 ] || fail "$(cat "$hub/log")"

# ---- Stopped while it waits for the next attempt ----

find "$folder" -type f -exec cksum {} + | sort >"$tmp/sums"
for where in 'POST./api/repos/create' 'POST.*/preupload/' 'PUT' 'POST.*/commit/'; do
    case_name="stopped: $where"
    clear_hub
    fault "always $where" status 429 Retry-After:60
    LOAM_HUB_DELAY_SCALE=1 stopped_at ' 429' push "$folder" org/new
    grep -q '^loam: .*stopped' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
    find "$folder" -type f -exec cksum {} + | sort | cmp -s - "$tmp/sums" || fail "the directory is another: $(ls -A "$folder")"
    [ -z "$(ls -A "$repo" 2>/dev/null)" ] || fail 'a commit'
    begin
    ok "again after it was stopped at $where" push "$folder" org/new
    same
done

# The commit was made but its answer was lost: the repeated push finds nothing to do.
clear_hub
ok 'push' push "$folder" org/new
begin
ok 'as if the answer had been lost' push "$folder" org/new
output_has 'already has all files'

clear_hub
fault 'POST.*/batch' object
refuses 1 'does not take adapter_model.safetensors: refused' 'an object that is refused' push "$folder" org/new
clear_hub
fault 'POST.*/preupload/' text '{"files": []}'
refuses 1 'does not mention' 'an answer that leaves files out' push "$folder" org/new
clear_hub
fault 'POST.*/batch' text '{"objects": [}'
refuses 1 'not valid JSON' 'no JSON' push "$folder" org/new
clear_hub
fault 'POST.*/batch' evil
run 'verification elsewhere' push "$folder" org/new
[ "$(count_requests 'cdn .*auth=hf')" -eq 0 ] || fail "the token went along: $(cat "$hub/log")"
clear_hub
fault 'POST.*/batch' elsewhere http://localhost:1/evil
refuses 1 'redirected to another host' 'the batch elsewhere' push "$folder" org/new

clear_hub
fault 'POST.*/commit/' status 302 X-Nothing:1
refuses 1 'status 302' 'a commit that leads nowhere' push "$folder" org/new
clear_hub
settings "{\"token\": \"$token\", \"mirror\": true}"
ok 'a mirror of the hub' push "$folder" org/new
same
settings "{\"token\": \"$token\"}"
clear_hub
fault 'POST.*/batch' text "{\"objects\": [{\"oid\": \"$token\" \"$token\"}]}"
refuses 1 'not valid JSON' 'an answer that repeats the token' push "$folder" org/new
no_token

# ---- Permissions and names ----

clear_hub
no_requests
HF_TOKEN='' refuses 1 'without a token' 'no token' push "$folder" org/new
HF_HUB_OFFLINE=1 refuses 1 'HF_HUB_OFFLINE' 'offline' push "$folder" org/new
refuses 2 'Expected USER/NAME' 'no owner' push "$folder" new
refuses 2 'branch main' 'a revision' push "$folder" org/new@v1
refuses 1 'no such directory' 'no directory' push "$tmp/nowhere" org/new
mkdir "$tmp/bare"
refuses 1 'holds no file' 'an empty directory' push "$tmp/bare" org/new
refuses 2 '--message is empty' 'an empty message' push "$folder" org/new --message ' '
refuses 2 'loam push needs' 'no repository' push "$folder"
no_requests
HF_TOKEN=hf_other refuses 1 'forbids it: You need write access' 'may not' push "$folder" org/new
no_token
mkdir -p "$repo"
begin
fault 'POST./api/repos/create' status 403
ok 'may not make it, but it is there' push "$folder" org/new
same

# ---- Files that must not be pushed ----

clear_hub
no_requests
echo secret >"$tmp/secret"
ln -s "$tmp/secret" "$folder/notes.txt"
refuses 1 'notes.txt is a link to' 'a link that leaves the directory' push "$folder" org/new
rm "$folder/notes.txt"
printf 'export HF=%s\n' "$token" >"$folder/setup.sh"
refuses 1 'setup.sh holds your token' 'the token in a file' push "$folder" org/new
rm "$folder/setup.sh"
no_requests
# A snapshot of the cache consists of links.
snapshot=$tmp/models--a--b/snapshots/0123456789012345678901234567890123456789
mkdir -p "$snapshot/deep/er" "$tmp/models--a--b/blobs"
cp "$folder/deep/er/note.txt" "$tmp/models--a--b/blobs/1" && ln -s ../../../../blobs/1 "$snapshot/deep/er/note.txt"
ok 'a snapshot' push "$snapshot" org/new
[ "$(cat "$repo/deep/er/note.txt")" = "$(cat "$folder/deep/er/note.txt")" ] || fail 'another file'

# A model card that the hub refuses fails the push before any upload.
clear_hub
cp "$folder/README.md" "$tmp/card"
printf -- '---\nbase_model: /home/me/model\n---\n' >"$folder/README.md"
refuses 1 'README.md: the hub does not take' 'a bad card' push "$folder" org/new
[ "$(count_requests '.')" -eq 1 ] || fail "$(cat "$hub/log")"
cp "$tmp/card" "$folder/README.md"

# ---- train --push-to-hub ----

rm -rf "$tmp/out"
clear_hub
ok 'train and push' train --model "$tmp/model" --data "$tiny/questions.json" --out "$tmp/out" --max-steps 1 --batch-size 1 \
    --push-to-hub org/new "${one_thread[@]}"
folder=$tmp/out
same
case_name='pull the pushed adapter'
rm -rf "$tmp/home"
ok 'pull the pushed adapter' pull org/new
cmp -s "$(cat "$tmp/stdout")/adapter_model.safetensors" "$tmp/out/adapter_model.safetensors" || fail 'it differs'
clear_hub
fault 'always POST.*/commit/' status 500
run 'a push that fails costs nothing' train --model "$tmp/model" --data "$tiny/questions.json" --out "$tmp/kept" --max-steps 1 \
    --batch-size 1 --push-to-hub org/new "${one_thread[@]}"
[ "$code" -eq 1 ] || fail "exit code $code"
grep -qF "loam push $tmp/kept org/new" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
[ -s "$tmp/kept/adapter_model.safetensors" ] || fail 'the adapter is gone'
begin
folder=$tmp/kept
ok 'and is repeated' push "$tmp/kept" org/new
same
rm -r "$tmp/out"
HF_TOKEN='' refuses 1 'without a token' 'refused before the training' train --model "$tmp/model" --data "$tiny/questions.json" \
    --out "$tmp/none" --push-to-hub org/new
[ ! -e "$tmp/none" ] || fail 'it began'
finish
