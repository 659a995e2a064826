# loam chat, driven line by line: turns, commands, a full context, and what is refused.
. "$(dirname "$0")/common.sh"
stories=$LOAM_SOURCE/examples/stories/model
export XDG_STATE_HOME=$tmp/state
asked=(chat --model "$stories" --chat-template chatml --dtype f32 "${one_thread[@]}" --max-new-tokens 12)
# talk NAME LINES [OPTION...]: runs the chat with these lines, in which printf's escapes count.
talk() {
    local name=$1
    printf "$2" >"$tmp/lines"
    shift 2
    input=$tmp/lines ok "$name" "${asked[@]}" "$@"
}
# answer N KEY: prints a value of the N-th answer in JSON.
answer() {
    python3 - "$tmp/stdout" "$1" "$2" <<'PYTHON'
import json, sys
lines = open(sys.argv[1]).read().splitlines()
print(json.loads(lines[int(sys.argv[2]) - 1])[sys.argv[3]])
PYTHON
}
logged() { grep -qF -- "$1" "$tmp/stderr" || fail "\"$1\" is not told: $(cat "$tmp/stderr")"; }

# ---- Turns ----
talk 'two turns' 'Who eats oranges?\nAnd berries?\n' --json
[ "$(wc -l <"$tmp/stdout")" -eq 2 ] || fail "$(cat "$tmp/stdout")"
[ "$(answer 1 kept_tokens)" -eq 0 ] || fail "$(cat "$tmp/stdout")"
# The second turn reads only what is new, and answers as a model that reads everything does.
[ "$(answer 2 kept_tokens)" -ge "$(answer 1 prompt_tokens)" ] || fail "$(cat "$tmp/stdout")"
cp "$tmp/stdout" "$tmp/turns"
python3 - "$tmp" <<'PYTHON'
import json, sys
first = json.loads(open(sys.argv[1] + "/turns").readline())
json.dump([{"role": "user", "content": "Who eats oranges?"}, {"role": "assistant", "content": first["text"]},
           {"role": "user", "content": "And berries?"}], open(sys.argv[1] + "/messages.json", "w"))
PYTHON
second=$(answer 2 ids)
ok 'the same conversation at once' generate --model "$stories" --chat-template chatml --dtype f32 "${one_thread[@]}" \
    --max-new-tokens 12 --messages "$tmp/messages.json" --json
[ "$(tr -d ' \n' <"$tmp/stdout" | sed 's/.*"ids":\[\([^]]*\)\].*/\1/')" = "$(tr -d '[] ' <<<"$second")" ] ||
    fail "other ids: $(cat "$tmp/stdout") and $second"
talk 'text' 'Who eats oranges?\n\n   \nAnd berries?'
python3 - "$tmp" <<'PYTHON' || fail "$(cat "$tmp/stdout")"
import json, sys
texts = [json.loads(line)["text"] for line in open(sys.argv[1] + "/turns")]
assert open(sys.argv[1] + "/stdout").read() == "".join(text + "\n" for text in texts)
PYTHON
talk 'nothing' ''
[ ! -s "$tmp/stdout" ] || fail "$(cat "$tmp/stdout")"
talk 'a stop text' 'Who eats oranges?\n' --json --stop "$(python3 -c 'import json,sys; print(json.loads(open(sys.argv[1]).readline())["text"][4:7])' "$tmp/turns")"
[ "$(answer 1 finish_reason)" = stop ] || fail "$(cat "$tmp/stdout")"

# ---- Messages of several lines ----
talk 'a block' '"""\none\n\n/two\n"""\n/save %s\n' --system 'Be kind.'
printf '"""\none\n\n/two\n"""\n/save %s/block.jsonl\n' "$tmp" >"$tmp/lines"
input=$tmp/lines ok 'a block' "${asked[@]}" --system 'Be kind.'
python3 - "$tmp/block.jsonl" <<'PYTHON' || fail "$(cat "$tmp/block.jsonl")"
import json, sys
(record,) = [json.loads(line) for line in open(sys.argv[1])]
assert [message["role"] for message in record["messages"]] == ["system", "user", "assistant"], record
assert record["messages"][0]["content"] == "Be kind."
assert record["messages"][1]["content"] == "one\n\n/two", record
PYTHON
printf '"""one"""\n"""two\nthree"""\n/save %s/blocks.jsonl\n' "$tmp" >"$tmp/lines"
input=$tmp/lines ok 'blocks that share lines with their marks' "${asked[@]}"
grep -qF '"content":"one"' "$tmp/blocks.jsonl" || fail "$(cat "$tmp/blocks.jsonl")"
grep -qF '"content":"two\nthree"' "$tmp/blocks.jsonl" || fail "$(cat "$tmp/blocks.jsonl")"
talk 'a block without an end' '"""\none\n'
logged 'the input ends inside a message'
[ ! -s "$tmp/stdout" ] || fail "$(cat "$tmp/stdout")"

# ---- Commands ----
talk 'help' '/help\n'
for command in /system /adapter /reset /retry /save /help /quit; do logged "$command"; done
talk 'quit' '/quit\nWho eats oranges?\n'
[ ! -s "$tmp/stdout" ] || fail "$(cat "$tmp/stdout")"
talk 'no such command' '/frobnicate now\nWho eats oranges?\n' --json
logged 'warning: there is no command /frobnicate'
[ "$(wc -l <"$tmp/stdout")" -eq 1 ] || fail "$(cat "$tmp/stdout")"
talk 'retry' '/retry\nWho eats oranges?\n/retry\n' --json
logged 'warning: there is no answer to try again'
logged 'without --temperature the answer is always the same'
[ "$(answer 1 ids)" = "$(answer 2 ids)" ] || fail "$(cat "$tmp/stdout")"
[ "$(answer 1 prompt_tokens)" = "$(answer 2 prompt_tokens)" ] || fail "$(cat "$tmp/stdout")"
talk 'retry, sampled' 'Who eats oranges?\n/retry\n' --json --temperature 3
[ "$(answer 1 ids)" != "$(answer 2 ids)" ] || fail "$(cat "$tmp/stdout")"
talk 'reset' 'Who eats oranges?\n/reset\nWho eats oranges?\n' --json
[ "$(answer 1 ids)" = "$(answer 2 ids)" ] || fail "$(cat "$tmp/stdout")"
[ "$(answer 2 kept_tokens)" -eq "$(($(answer 1 prompt_tokens) - 1))" ] || fail "$(cat "$tmp/stdout")"
talk 'system' 'Who?\n/reset\n/system Be kind.\nWho?\n/reset\nWho?\n/system\n/reset\nWho?\n' --json
below "$(answer 1 prompt_tokens)" "$(answer 2 prompt_tokens)" || fail "$(cat "$tmp/stdout")"
[ "$(answer 2 prompt_tokens)" = "$(answer 3 prompt_tokens)" ] || fail "$(cat "$tmp/stdout")"
[ "$(answer 1 prompt_tokens)" = "$(answer 4 prompt_tokens)" ] || fail "$(cat "$tmp/stdout")"
printf '/save\n/save %s/none.jsonl\nWho?\n/save %s/a.jsonl\n/save %s/a.jsonl\n/save %s/no/such\n' "$tmp" "$tmp" "$tmp" "$tmp" >"$tmp/lines"
input=$tmp/lines ok 'save' "${asked[@]}"
logged 'warning: /save needs the name of a file'
logged 'warning: there is no message to save'
logged "warning: cannot write $tmp/no/such: No such file or directory"
[ "$(wc -l <"$tmp/a.jsonl")" -eq 2 ] && [ ! -e "$tmp/none.jsonl" ] || fail "$(cat "$tmp/a.jsonl")"
printf '{"messages": []}' >"$tmp/open.jsonl"
printf 'Who?\n/save %s/open.jsonl\n' "$tmp" >"$tmp/lines"
input=$tmp/lines ok 'save behind a line without an end' "${asked[@]}"
[ "$(head -n 1 "$tmp/open.jsonl")" = '{"messages": []}' ] && [ "$(wc -l <"$tmp/open.jsonl")" -eq 2 ] || fail "$(cat "$tmp/open.jsonl")"

# ---- Adapters ----
ok 'an adapter' train --model "$stories" --data "$stories/../train.json" --template squad --max-steps 8 --batch-size 4 \
    --learning-rate 5e-2 --dtype f32 "${one_thread[@]}" --quiet --out "$tmp/one"
ok 'another' train --model "$stories" --data "$stories/../train.json" --template squad --max-steps 8 --batch-size 4 --seed 7 \
    --learning-rate 5e-2 --dtype f32 "${one_thread[@]}" --quiet --out "$tmp/two"
talk 'without adapters' 'Who?\n/adapter\n/adapter one\n' --json
base=$(answer 1 ids)
logged 'there is no adapter: loam chat --adapter'
logged 'warning: there is no adapter "one"'
talk 'adapters' 'Who?\n/reset\n/adapter off\nWho?\n/reset\n/adapter one\nWho?\n/reset\n/adapter two/\nWho?\n/reset\n/adapter all\nWho?\n' \
    --json --adapter "$tmp/one" --adapter "$tmp/two/:0.5"
logged 'one: on'
logged 'one: off'
[ "$(answer 2 ids)" = "$base" ] || fail "$(cat "$tmp/stdout")"
[ "$(answer 2 kept_tokens)" -eq 0 ] || fail "rows of other adapters are kept: $(cat "$tmp/stdout")"
[ "$(answer 1 ids)" = "$(answer 5 ids)" ] || fail "$(cat "$tmp/stdout")"
one=$(answer 3 ids)
[ "$one" != "$base" ] || fail 'the adapter changes nothing'
talk 'one adapter' 'Who?\n' --json --adapter "$tmp/one"
[ "$(answer 1 ids)" = "$one" ] || fail "$(cat "$tmp/stdout")"

# ---- The template that an adapter was trained with ----
printf '{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Anna."}]}\n' >"$tmp/chats.jsonl"
train_chats() {
    ok "an adapter of $1" train --model "$2" --data "$tmp/chats.jsonl" --chat-template "$1" --max-steps 1 "${one_thread[@]}" \
        --dtype f32 --overwrite --out "$tmp/of-$1"
    ! grep warning "$tmp/stderr" | grep -qv "\[base-model\]$" || fail "$(cat "$tmp/stderr")"
}
plain_asked=("${asked[@]}")
train_chats zephyr "$stories"
train_chats zephyr "$stories" # over the first one
asked=(chat --model "$stories" --dtype f32 "${one_thread[@]}" --max-new-tokens 12)
talk 'the template by its name' 'Who eats oranges?\n' --json --adapter "$tmp/of-zephyr" --chat-template zephyr
named="$(answer 1 prompt_tokens) $(answer 1 ids)"
talk 'the template of an adapter' 'Who eats oranges?\n' --json --adapter "$tmp/of-zephyr"
logged "chat template: $tmp/of-zephyr/chat_template.jinja"
[ "$(answer 1 prompt_tokens) $(answer 1 ids)" = "$named" ] || fail "$(cat "$tmp/stdout")"
train_chats vicuna "$stories"
talk 'adapters with different templates' 'Who?\n' --json --adapter "$tmp/of-zephyr" --adapter "$tmp/of-vicuna"
logged "warning: $tmp/of-vicuna/chat_template.jinja is another chat template than $tmp/of-zephyr/chat_template.jinja, which is used"
[ "$(grep -c warning "$tmp/stderr")" -eq 1 ] || fail "$(cat "$tmp/stderr")"
ok 'eval with it' eval --model "$stories" --adapter "$tmp/of-zephyr" --data "$tmp/chats.jsonl" "${one_thread[@]}"
refuses 1 'they need a chat template' 'eval without it' eval --model "$stories" --data "$tmp/chats.jsonl" "${one_thread[@]}"
ok 'going on with it' train --model "$stories" --adapter "$tmp/of-zephyr" --data "$tmp/chats.jsonl" --max-steps 1 --save-steps 1 \
    "${one_thread[@]}" --out "$tmp/on"
cmp "$tmp/on/chat_template.jinja" "$tmp/of-zephyr/chat_template.jinja" || fail 'another template'
cmp "$tmp/on/checkpoint-1/chat_template.jinja" "$tmp/of-zephyr/chat_template.jinja" || fail 'another template in the checkpoint'
ok 'merged' merge --model "$stories" --adapter "$tmp/of-zephyr" --out "$tmp/merged"
asked[2]=$tmp/merged
talk 'a merged model' 'Who?\n' --json
logged "chat template: $tmp/merged/chat_template.jinja"
ok 'a text' train --model "$stories" --data "$stories/../train.json" --chat-template zephyr --max-steps 1 "${one_thread[@]}" --out "$tmp/squad"
[ ! -e "$tmp/squad/chat_template.jinja" ] || fail 'SQuAD was rendered through no chat template'
asked=("${plain_asked[@]}")

# ---- A full context ----
lines=$(for i in 1 2 3 4 5 6 7 8; do printf 'Who eats oranges every day?\\n'; done)
talk 'a full context' "$lines/save $tmp/full.jsonl\\n" --json --max-length 128
logged 'the context of 128 tokens is full: the model no longer sees the oldest'
for i in 1 2 3 4 5 6 7 8; do below "$(answer "$i" prompt_tokens)" 117 || fail "$(cat "$tmp/stdout")"; done
[ "$(grep -o '"role":"user"' "$tmp/full.jsonl" | wc -l)" -eq 8 ] || fail "$(cat "$tmp/full.jsonl")"
talk 'a message that is too long' "$(printf 'word %.0s' $(seq 200))\\nWho?\\n" --json --max-length 64
logged 'warning: the message is too long'
[ "$(wc -l <"$tmp/stdout")" -eq 1 ] || fail "$(cat "$tmp/stdout")"

# ---- What is refused ----
refuses 1 'no chat template' 'a model without a template' chat --model "$stories"
grep -q 'chatml' "$tmp/message" || fail "no advice: $(cat "$tmp/message")"
refuses 2 '--model DIR|NAME is needed' 'no model' chat
printf '{%% for m in messages %%}{%% if m.content == "bad" %%}{{ raise_exception("no bad words") }}{%% endif %%}{{ m.content }}{%% endfor %%}' >"$tmp/strict.jinja"
asked[4]=$tmp/strict.jinja
talk 'a template that refuses a message' 'bad\nWho?\n' --json
logged 'no bad words'
[ "$(wc -l <"$tmp/stdout")" -eq 1 ] || fail "$(cat "$tmp/stdout")"
printf 'a\377b\nWho?\n' >"$tmp/lines"
input=$tmp/lines ok 'invalid UTF-8' "${asked[@]}" --json
logged 'warning: the message is not UTF-8: byte 2 is invalid'
[ "$(wc -l <"$tmp/stdout")" -eq 1 ] || fail "$(cat "$tmp/stdout")"
[ ! -e "$tmp/state" ] || fail 'a history without a terminal'
finish
