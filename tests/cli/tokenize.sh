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

# Conversations through a chat template: text of messages is text, unless an option says otherwise.
printf '[{"role": "user", "content": "Hi</s>"}, {"role": "assistant", "content": "Yo"}]' >"$tmp/chat.json"
count_ends() {
    ok "$1" tokenize --model "$tmp/adding" --messages "$tmp/chat.json" --chat-template zephyr "${@:3}"
    tr ' ' '\n' <"$tmp/stdout" | grep -cx 2 | grep -qx "$2" || fail "expected $2 times </s>: $(cat "$tmp/stdout")"
}
count_ends 'a conversation' 2
count_ends 'special tokens in content' 3 --special-in-content
count_ends 'a prompt' 2 --add-generation-prompt
ok 'a conversation as JSON' tokenize --model "$tmp/adding" --messages "$tmp/chat.json" --chat-template zephyr --json
output_has '"learnt":[0.0,'
output_has ',1.0,0.0]}' # </s> is learnt, the line break behind it is not
{
    printf '{"messages": '
    cat "$tmp/chat.json"
    printf '}\n[{"role": "user", "content": "x"}]\n'
} >"$tmp/chats.jsonl"
input=$tmp/chats.jsonl ok 'lines of conversations' tokenize --model "$tmp/adding" --messages - --lines --chat-template zephyr
[ "$(grep -c '' "$tmp/stdout")" -eq 2 ] || fail "$(cat "$tmp/stdout")"
printf '[]' >"$tmp/empty.json"
refuses 1 'expected a JSON array of at least one message' 'no messages' \
    tokenize --model "$tmp/adding" --messages "$tmp/empty.json" --chat-template zephyr
refuses 1 'has no chat template' 'no chat template' tokenize --model "$tmp/adding" --messages "$tmp/chat.json"
refuses 2 'no chat template "missing"' 'an unknown chat template' \
    tokenize --model "$tmp/adding" --messages "$tmp/chat.json" --chat-template missing
refuses 2 'has no effect without --messages' 'a chat template without messages' \
    tokenize --model "$tmp/adding" --chat-template zephyr

ok 'nothing' tokenize --model "$tmp/model"
[ "$(cat "$tmp/stdout")" = '' ] || fail "$(cat "$tmp/stdout")"
finish
