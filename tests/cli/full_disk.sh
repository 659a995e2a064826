# A full disk: a small file system in memory, in a mount namespace of the test. Skipped where mounting is not allowed.
# tests/cli/bad_output.sh tests more cases without a file system.
if [ "${1:-}" != inside ]; then
    code=77
    for how in '-m' '-rm'; do
        # shellcheck disable=SC2086  # options
        if unshare $how sh -c 'mount -t tmpfs -o size=64k tmpfs /mnt' 2>/dev/null; then
            code=0
            unshare $how bash "$0" inside || code=$?
            break
        fi
    done
    [ "$code" -ne 77 ] || echo 'no file system may be mounted here (unshare -m, mount -t tmpfs)'
    exit "$code"
fi
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
mkdir "$tmp/disk"
mount -t tmpfs -o size=400k tmpfs "$tmp/disk" # smaller than the model, which has 532 KB
adapter=(train --model "$tmp/model" --data "$data" --max-steps 2 --logging-steps 1 "${one_thread[@]}")

contents() {
    (cd "$tmp/disk" && find . -type f ! -name filler -exec cksum {} + | sort -k 3)
}
# no_space NAME ARGUMENT...: the last line reports the full disk, and the disk's contents do not change. The metrics of a run
# that made its directory may stay.
no_space() {
    local wait=()
    [ "$2" != train ] || wait=(--save-wait 0)
    contents >"$tmp/before"
    run "$@" "${wait[@]}"
    [ "$code" -eq 1 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    [ "$(grep '^loam: ' "$tmp/stderr" | grep -vc '^loam: warning: ')" -eq 1 ] || fail "not one line of error: $(cat "$tmp/stderr")"
    tail -n 1 "$tmp/stderr" | grep -q "^loam: .*$tmp/disk/.*: No space left on device" || fail "$(tail -n 1 "$tmp/stderr")"
    [ ! -e "$tmp/disk/out" ] || [ "$(ls -A "$tmp/disk/out")" = metrics.jsonl ] || fail "left behind: $(ls -A "$tmp/disk/out")"
    rm -rf "$tmp/disk/out"
    contents | cmp -s "$tmp/before" - || fail "the disk holds something else: $(contents)"
}
ok 'an adapter' "${adapter[@]}" --out "$tmp/disk/adapter"
large=(--target-modules all-linear --lora-r 64 --seed 2)
no_space 'an adapter too large' "${adapter[@]}" "${large[@]}" --out "$tmp/disk/out"
no_space 'an adapter too large over another' "${adapter[@]}" "${large[@]}" --out "$tmp/disk/adapter" --overwrite
no_space 'a model' "${adapter[@]}" --method full --dtype f32 --out "$tmp/disk/out"
no_space 'init' init --config "$tiny/config.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/disk/out"
fill() { dd if=/dev/zero of="$tmp/disk/filler" bs=4096 2>/dev/null || true; } # to the last page
fill
no_space 'metrics' "${adapter[@]}" --out "$tmp/disk/out"
no_space 'metrics over others' "${adapter[@]}" --seed 2 --out "$tmp/disk/adapter" --overwrite
rm "$tmp/disk/filler"
ok 'once there is space' "${adapter[@]}" --seed 2 --out "$tmp/disk/adapter" --overwrite

# ---- The disk becomes full during a run, which keeps its result in memory until there is space ----
long=(train --model "$tmp/model" --data "$data" --max-steps 60 --batch-size 1 --logging-steps 1 --save-steps 20
    --save-total-limit 1 --report-to tensorboard "${one_thread[@]}")
ok 'undisturbed' "${long[@]}" --out "$tmp/whole"
rm -rf "$tmp/disk/adapter"
case_name='filling up'
make_full_pipe "$tmp/steps"
"$LOAM" "${long[@]}" --out "$tmp/disk/out" >"$tmp/steps" 2>"$tmp/stderr" 4>&- &
process=$!
wait_for_text '"step": 1}' "$tmp/disk/out/metrics.jsonl"
fill
drain_pipe
wait_for_text 'the result cannot be saved' "$tmp/stderr"
rm "$tmp/disk/filler"
code=0
wait "$process" || code=$?
kill "$reader" 2>/dev/null && wait "$reader" 2>/dev/null || true
[ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
grep -q "the result cannot be saved: .*$tmp/disk/out.*: No space left on device; it stays in memory" "$tmp/stderr" ||
    fail "$(cat "$tmp/stderr")"
[ "$(grep -c '^loam: warning: [^ ]*metrics.jsonl cannot be written: No space left' "$tmp/stderr")" -eq 1 ] || fail "$(cat "$tmp/stderr")"
[ "$(grep -c 'no checkpoint of step' "$tmp/stderr")" -eq 3 ] || fail "$(cat "$tmp/stderr")"
cmp -s "$tmp/whole/adapter_model.safetensors" "$tmp/disk/out/adapter_model.safetensors" || fail 'another adapter'
[ "$(grep -c '"loss"' "$tmp/disk/out/metrics.jsonl")" -eq 60 ] || fail "$(wc -l <"$tmp/disk/out/metrics.jsonl") lines"
umount "$tmp/disk"
finish
