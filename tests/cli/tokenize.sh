# loam tokenize: text to ids and back.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"

printf 'The bakery is closed.</s>' >"$tmp/text"
input=$tmp/text ok 'ids' tokenize --model "$tmp/model"
grep -qE '^[0-9]+( [0-9]+)* 2$' "$tmp/stdout" || fail "does not end in the id of </s>: $(cat "$tmp/stdout")"
cp "$tmp/stdout" "$tmp/ids"

input=$tmp/text ok 'JSON' tokenize --model "$tmp/model" --json
output_has '"</s>"]'
[ "$(sed 's/.*"ids":\[\([^]]*\)\].*/\1/; s/,/ /g' "$tmp/stdout")" = "$(cat "$tmp/ids")" ] || fail 'other ids than in text'

input=$tmp/ids ok 'decode' tokenize --model "$tmp/model" --decode
cmp -s "$tmp/text" "$tmp/stdout" || fail "not the same text: $(cat "$tmp/stdout")"
input=$tmp/ids ok 'decode without special tokens' tokenize --model "$tmp/model" --decode --no-special-tokens
[ "$(cat "$tmp/stdout")" = 'The bakery is closed.' ] || fail "$(cat "$tmp/stdout")"
input=$tmp/ids ok 'decode to JSON' tokenize --model "$tmp/model" --decode --json
output_has '{"text":"The bakery is closed.</s>"}'

# Every byte that text may contain is restored, including white space and line breaks.
{ cat "$tiny/questions.json"; printf '\n\n \t tabs, ünïcödé, \360\237\220\252 and no line break at the end'; } >"$tmp/text"
input=$tmp/text ok 'a file' tokenize --model "$tmp/model"
cp "$tmp/stdout" "$tmp/ids"
input=$tmp/ids ok 'a file back' tokenize --model "$tmp/model" --decode
cmp -s "$tmp/text" "$tmp/stdout" || fail 'not the same text'

printf 'one\n\nthree' >"$tmp/text"
input=$tmp/text ok 'lines' tokenize --model "$tmp/model" --lines
[ "$(grep -c '' "$tmp/stdout")" -eq 3 ] || fail "$(cat "$tmp/stdout")"
cp "$tmp/stdout" "$tmp/ids"
input=$tmp/ids ok 'lines back' tokenize --model "$tmp/model" --lines --decode
[ "$(cat "$tmp/stdout")" = "$(printf 'one\n\nthree')" ] || fail "$(cat "$tmp/stdout")"
input=$tmp/text ok 'lines of JSON' tokenize --model "$tmp/model" --lines --json
[ "$(grep -c '^{"ids":' "$tmp/stdout")" -eq 3 ] || fail "$(cat "$tmp/stdout")"

# What training adds: special tokens as the configuration defines them, and an end of sequence without a template.
printf 'The bakery' >"$tmp/text"
input=$tmp/text ok 'the end of a training text' tokenize --model "$tmp/model"
plain=$(cat "$tmp/stdout")
grep -q 'training adds </s> (2) after a text without a template' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
cp -r "$tmp/model" "$tmp/adding"
printf '{"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true, "add_eos_token": true}' \
    >"$tmp/adding/tokenizer_config.json"
input=$tmp/text ok 'what the configuration asks for' tokenize --model "$tmp/adding"
[ "$(cat "$tmp/stdout")" = "1 $plain 2" ] || fail "$(cat "$tmp/stdout"), without: $plain"
input=$tmp/text ok 'the text alone' tokenize --model "$tmp/adding" --no-special-tokens
[ "$(cat "$tmp/stdout")" = "$plain" ] || fail "$(cat "$tmp/stdout"), expected $plain"

ok 'nothing' tokenize --model "$tmp/model"
[ "$(cat "$tmp/stdout")" = '' ] || fail "$(cat "$tmp/stdout")"
finish
