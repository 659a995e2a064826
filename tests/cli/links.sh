# Links in directories from outside: loam follows none where it removes or writes files, and does not copy the targets of
# links that leave a model's directory.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train_on() { train=(train --model "$1" --data "$data" --batch-size 1 "${one_thread[@]}"); }
train_on "$tmp/model"

# home: a directory that must not change.
home=$tmp/home
make_home() {
    rm -rf "$home" && mkdir -p "$home/deep"
    echo mine >"$home/x"
    echo mine >"$home/deep/x"
    : >"$home/loam_state.json"
    : >"$home/.loam-work"
}
untouched() {
    (cd "$home" && find . -type f -exec cksum {} + | sort) >"$tmp/now"
    cmp -s "$tmp/sums" "$tmp/now" || fail "what the link leads to was touched: $(diff "$tmp/sums" "$tmp/now")"
}
make_home
(cd "$home" && find . -type f -exec cksum {} + | sort) >"$tmp/sums"

# ---- Removing ----
for name in .loam-x .loam-checkpoint .loam-1-0 .loam-old-checkpoint-1; do
    rm -rf "$tmp/run" && mkdir "$tmp/run"
    ln -s "$home" "$tmp/run/$name"
    run "$name, --resume" "${train[@]}" --max-steps 1 --out "$tmp/run" --resume
    untouched
    ok "$name, --overwrite" "${train[@]}" --max-steps 1 --out "$tmp/run" --overwrite
    untouched
    ok "$name, merge" merge --model "$tmp/model" --adapter "$tmp/run" --out "$tmp/merged" --no-check
    rm -rf "$tmp/merged" && mkdir "$tmp/merged" && ln -s "$home" "$tmp/merged/$name"
    ok "$name, merge --overwrite" merge --model "$tmp/model" --adapter "$tmp/run" --out "$tmp/merged" --no-check --overwrite
    untouched
    rm -rf "$tmp/merged"
done
case_name="a person's own directories"
rm -rf "$tmp/run" && mkdir -p "$tmp/run/.loam-backup" "$tmp/run/.loam-1-0"
for directory in .loam-backup .loam-1-0; do echo mine >"$tmp/run/$directory/notes"; done
ok "$case_name" "${train[@]}" --max-steps 1 --out "$tmp/run" --overwrite
for directory in .loam-backup .loam-1-0; do [ -s "$tmp/run/$directory/notes" ] || fail "$directory is gone"; done

# A checkpoint that was moved to another disk, with a link in its place: the link is removed, its target stays.
rm -rf "$tmp/run"
ok 'three steps' "${train[@]}" --max-steps 2 --save-steps 1 --out "$tmp/run"
mv "$tmp/run/checkpoint-1" "$tmp/big" && ln -s "$tmp/big" "$tmp/run/checkpoint-1"
find "$tmp/big" -type f -exec cksum {} + | sort >"$tmp/before"
ok 'rotation' "${train[@]}" --max-steps 3 --save-steps 1 --save-total-limit 1 --out "$tmp/run" --resume
[ ! -L "$tmp/run/checkpoint-1" ] || fail 'the link is still there'
find "$tmp/big" -type f -exec cksum {} + | sort | cmp -s - "$tmp/before" || fail "$(find "$tmp/big")"
[ "$(ls -d "$tmp/run"/checkpoint-*)" = "$tmp/run/checkpoint-3" ] || fail "$(ls "$tmp/run")"

# ---- Writing ----
for kind in link dangling hard; do
    rm -rf "$tmp/run" "$tmp/nowhere" && mkdir "$tmp/run"
    case $kind in
        link) ln -s "$home/x" "$tmp/run/metrics.jsonl" ;;
        dangling) ln -s "$tmp/nowhere" "$tmp/run/metrics.jsonl" ;;
        hard) ln "$home/x" "$tmp/run/metrics.jsonl" ;;
    esac
    ok "metrics.jsonl, $kind" "${train[@]}" --max-steps 1 --out "$tmp/run" --overwrite
    untouched
    [ ! -e "$tmp/nowhere" ] || fail 'a file was made elsewhere'
    grep -q loss "$tmp/run/metrics.jsonl" || fail 'no metrics'
done
# Links and other kinds of files are replaced like files. A directory of that name is refused before the first step.
rm -rf "$tmp/run" && mkdir "$tmp/run" && mkfifo "$tmp/run/metrics.jsonl"
ok 'metrics.jsonl, pipe' "${train[@]}" --max-steps 1 --out "$tmp/run" --overwrite
grep -q loss "$tmp/run/metrics.jsonl" || fail 'no metrics'
rm "$tmp/run/metrics.jsonl" && mkdir "$tmp/run/metrics.jsonl"
refuses 1 "$tmp/run/metrics.jsonl is a directory" 'metrics.jsonl, directory' "${train[@]}" --max-steps 1 --out "$tmp/run" --overwrite
# The checkpoint gives the name of the event file.
board=(--report-to tensorboard --save-steps 1)
rm -rf "$tmp/run"
ok 'a run with events' "${train[@]}" "${board[@]}" --max-steps 1 --out "$tmp/run"
event=$(basename "$tmp/run/runs"/events*)
rm "$tmp/run/runs/$event" && ln -s "$home/x" "$tmp/run/runs/$event"
ok 'a link in the place of the event file' "${train[@]}" "${board[@]}" --max-steps 2 --out "$tmp/run" --resume
untouched
rm -r "$tmp/run/runs" && ln -s "$home" "$tmp/run/runs"
run 'a link in the place of runs' "${train[@]}" "${board[@]}" --max-steps 3 --out "$tmp/run" --resume
[ "$code" -eq 1 ] && grep -q 'runs is a link.*--logging-dir' "$tmp/stderr" || fail "$code: $(cat "$tmp/stderr")"
untouched

# ---- Copying ----
echo "{}" >"$tmp/secret"
ok 'an adapter' "${train[@]}" --max-steps 1 --out "$tmp/adapter"
for name in chat_template.jinja special_tokens_map.json additional_chat_templates/tool.jinja additional_chat_templates; do
    rm -rf "$tmp/linked" "$tmp/secrets" && cp -r "$tmp/model" "$tmp/linked" && mkdir "$tmp/secrets"
    cp "$tmp/secret" "$tmp/secrets/a.jinja"
    case $name in
        */*) mkdir "$tmp/linked/additional_chat_templates" && ln -s "$tmp/secret" "$tmp/linked/$name" ;;
        *templates) ln -s "$tmp/secrets" "$tmp/linked/$name" ;;
        *) ln -sf "$tmp/secret" "$tmp/linked/$name" ;;
    esac
    train_on "$tmp/linked"
    at=("${train[@]}" --max-steps 1 --out "$tmp/out")
    refuses 1 "$tmp/linked/$name" "$name: train" "${at[@]}"
    grep -q 'outside of' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
    refuses 1 "$tmp/linked/$name" "$name: train --method full" "${at[@]}" --method full
    refuses 1 "$tmp/linked/$name" "$name: merge" merge --model "$tmp/linked" --adapter "$tmp/adapter" --out "$tmp/out" --no-check
done
rm -rf "$tmp/linked" && cp -r "$tmp/model" "$tmp/linked" && ln -sf "$tmp/secret" "$tmp/linked/special_tokens_map.json"
refuses 1 "$tmp/linked/special_tokens_map.json" 'init' init --config "$tiny/config.json" \
    --tokenizer "$tmp/linked/tokenizer.json" --out "$tmp/out"

# The hub's cache consists of links.
snapshot=$tmp/models--a--b/snapshots/0123456789012345678901234567890123456789
mkdir -p "$snapshot" "$tmp/models--a--b/blobs"
for file in "$tmp/model"/*; do
    cp "$file" "$tmp/models--a--b/blobs/$(basename "$file").blob"
    ln -s "../../blobs/$(basename "$file").blob" "$snapshot/$(basename "$file")"
done
train_on "$snapshot"
ok "the cache's links" "${train[@]}" --max-steps 1 --out "$tmp/cached"
ok "the cache's links, merge" merge --model "$snapshot" --adapter "$tmp/adapter" --out "$tmp/merged" --no-check
cmp -s "$tmp/merged/tokenizer.json" "$tmp/model/tokenizer.json" || fail 'another tokenizer'
# Links within the directory are allowed.
rm -rf "$tmp/linked" && cp -r "$tmp/model" "$tmp/linked" && mv "$tmp/linked/tokenizer_config.json" "$tmp/linked/t.json"
ln -s t.json "$tmp/linked/tokenizer_config.json"
train_on "$tmp/linked"
ok 'links within' "${train[@]}" --max-steps 1 --out "$tmp/within"
cmp -s "$tmp/within/tokenizer_config.json" "$tmp/model/tokenizer_config.json" || fail 'another file'
finish
