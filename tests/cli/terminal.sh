# Text from outside has no effect on the terminal: names in an adapter, text of a model, JSON. Other outputs receive the
# text unchanged.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
"$LOAM" train --model "$tmp/model" --data "$tiny/questions.json" --out "$tmp/adapter" --max-steps 1 \
    "${one_thread[@]}" >/dev/null 2>&1

# on_terminal COMMAND...: prints the command's output on a terminal, without the line breaks that the terminal adds.
on_terminal() {
    "$LOAM_BUILD/tests/tools/loam_tty" 200 '' '' "$@" | tr -d '\r' >"$tmp/tty"
}
# quiet_bytes FILE: checks for control characters other than line breaks, C1 controls, and marks that reorder text.
quiet_bytes() {
    if LC_ALL=C grep -qaP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]' "$1"; then
        fail "$(od -c "$1" | head -n 40)"
    fi
}

# ---- Names in an adapter's config ----
cp -r "$tmp/adapter" "$tmp/evil"
sed -i -e 's|"base_model_name_or_path": "[^"]*"|"base_model_name_or_path": "a\\u001b[2J\\nrank:       99\\u009b31m\\u202e"|' \
    -e 's|"revision": null|"revision": "\\u001b]0;title\\u0007", "key\\u001b[1A": 1|' \
    -e 's|"query_key_value"|"query_key_value", "\\u001b[31m\\nno_such"|' "$tmp/evil/adapter_config.json"
ok 'names that hold escapes' inspect "$tmp/evil"
quiet_bytes "$tmp/stdout"
quiet_bytes "$tmp/stderr"
output_has 'LoRA adapter of a?[2J?rank:       99?31m?@?]0;title?'
[ "$(grep -c '^rank: ' "$tmp/stdout")" -eq 1 ] || fail "$(cat "$tmp/stdout")"
grep -q 'ignored: "key?\[1A"' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
ok 'the same as JSON' inspect "$tmp/evil" --json
quiet_bytes "$tmp/stdout"
python3 - "$tmp/stdout" <<'PYTHON' || fail "$(cat "$tmp/stdout")"
import json, sys
about = json.load(open(sys.argv[1]))
assert about["base_model_name_or_path"] == "a\x1b[2J\nrank:       99\x9b31m\u202e", about
assert about["revision"] == "\x1b]0;title\x07", about
PYTHON
refuses 1 'a?[2J?rank' 'a base that is not there' generate --adapter "$tmp/evil" --prompt x
quiet_bytes "$tmp/message"

# ---- Text from a model ----
printf 'a\033[31mb\302\233c\td\r\n' >"$tmp/text"
input=$tmp/text ok 'to ids' tokenize --model "$tmp/model"
cp "$tmp/stdout" "$tmp/ids"
input=$tmp/ids ok 'and back' tokenize --model "$tmp/model" --decode
cmp -s "$tmp/stdout" "$tmp/text" || fail "piped text is another: $(od -c "$tmp/stdout")"
case_name='text on a terminal'
on_terminal bash -c "'$LOAM' tokenize --model '$tmp/model' --decode <'$tmp/ids'"
printf 'a?[31mb?c\td?\n' >"$tmp/expected"
tr '\t' ' ' <"$tmp/tty" | tr -s ' ' | cmp -s - <(tr '\t' ' ' <"$tmp/expected") || fail "$(od -c "$tmp/tty")"

# ---- The model card ----
mkdir "$tmp/na\`me"
cp "$tmp/model"/* "$tmp/na\`me"
ok 'a name with a backtick' train --model "$tmp/na\`me" --data "$tiny/questions.json" --out "$tmp/ca\"rd" --max-steps 1 \
    "${one_thread[@]}"
grep -qF "A LoRA adapter of \`\` $tmp/na\`me \`\`, made by" "$tmp/ca\"rd/README.md" || fail "$(cat "$tmp/ca\"rd/README.md")"
grep -qF "(base, \"$tmp/ca\\\"rd\")" "$tmp/ca\"rd/README.md" || fail "$(cat "$tmp/ca\"rd/README.md")"
finish
