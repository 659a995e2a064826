# Conversations as prompts: generate --messages, the texts that end an answer, and what is refused.
. "$(dirname "$0")/common.sh"
stories=$LOAM_SOURCE/examples/stories/model
asked=(generate --model "$stories" --dtype f32 "${one_thread[@]}" --max-new-tokens 24)
text_of() { # prints the string of "text" in the JSON of the last run
    python3 -c 'import json, sys; sys.stdout.write(json.load(open(sys.argv[1]))["text"])' "$tmp/stdout"
}

# ---- Stop texts ----
ok 'without a stop text' "${asked[@]}" --prompt 'Paula eats' --json
text_of >"$tmp/whole"
# A text inside a word of the output, the words around it, and one that comes later.
python3 - "$tmp" <<'PYTHON'
import sys
whole = open(sys.argv[1] + "/whole").read()
at = len(whole) // 2
open(sys.argv[1] + "/early", "w").write(whole[at:at + 5])
open(sys.argv[1] + "/late", "w").write(whole[-4:])
open(sys.argv[1] + "/until", "w").write(whole[:whole.index(whole[at:at + 5])])
PYTHON
early=$(cat "$tmp/early"; printf .) late=$(cat "$tmp/late"; printf .)
ok 'a stop text' "${asked[@]}" --prompt 'Paula eats' --stop "${late%.}" --stop "${early%.}" --stop 'no such text' --json
text_of | cmp -s - "$tmp/until" || fail "$(text_of) and not $(cat "$tmp/until")"
output_has '"finish_reason": "stop"'
below "$(number new_tokens "$tmp/stdout")" 24 || fail "it goes on: $(cat "$tmp/stdout")"
ok 'a stop text, streamed' "${asked[@]}" --prompt 'Paula eats' --stop "${early%.}"
{ cat "$tmp/until" && echo; } | cmp -s - "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
ok 'the beginning of a stop text' "${asked[@]}" --prompt 'Paula eats' --stop "${late%.} and more"
{ cat "$tmp/whole" && echo; } | cmp -s - "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
refuses 2 '--stop' 'an empty stop text' "${asked[@]}" --prompt x --stop ''

# ---- min-p ----
ok 'min-p 1' "${asked[@]}" --prompt 'Paula eats' --temperature 1.5 --min-p 1
{ cat "$tmp/whole" && echo; } | cmp -s - "$tmp/stdout" || fail "not the likeliest tokens: $(cat "$tmp/stdout")"
refuses 2 '--min-p' 'min-p beyond 1' "${asked[@]}" --prompt x --temperature 1 --min-p 1.5
ok 'min-p without sampling' "${asked[@]}" --prompt 'Paula eats' --min-p 0.5
grep -q 'warning: --min-p has no effect without --temperature' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- Conversations ----
printf '[{"role": "user", "content": "Who eats oranges?"}]' >"$tmp/one.json"
printf '{"messages": [{"role": "user", "content": "Who eats oranges?"}]}' >"$tmp/object.json"
chat=("${asked[@]}" --chat-template chatml --json)
ok 'messages' "${chat[@]}" --messages "$tmp/one.json"
sed '/second/d' "$tmp/stdout" >"$tmp/first"
ok 'messages, an object' "${chat[@]}" --messages "$tmp/object.json"
sed '/second/d' "$tmp/stdout" | cmp -s - "$tmp/first" || fail "$(cat "$tmp/stdout")"
input=$tmp/one.json ok 'messages, standard input' "${chat[@]}" --messages -
sed '/second/d' "$tmp/stdout" | cmp -s - "$tmp/first" || fail "$(cat "$tmp/stdout")"
# The prompt is what the template writes.
printf '<|im_start|>user\nWho eats oranges?<|im_end|>\n<|im_start|>assistant\n\n' >"$tmp/rendered"
ok 'the rendered text' "${asked[@]}" --prompt-file "$tmp/rendered" --json
sed '/second/d' "$tmp/stdout" | cmp -s - "$tmp/first" || fail "$(cat "$tmp/stdout")"
cp -r "$stories" "$tmp/model"
printf '{%% for m in messages %%}{%% if m.role not in ["user", "assistant"] %%}{{ raise_exception("no place for " ~ m.role) }}{%% endif %%}{{ m.role }}: {{ m.content }}{{ eos_token }}{%% endfor %%}{%% if tools %%}{{ tools | length }} tools{%% endif %%}' \
    >"$tmp/model/chat_template.jinja"
own=(generate --model "$tmp/model" "${one_thread[@]}" --max-new-tokens 2)
ok "the model's own template" "${own[@]}" --messages "$tmp/one.json"
printf '[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]' >"$tmp/answered.json"
refuses 1 "$tmp/answered.json: the last message is the assistant's" 'an answer at the end' "${own[@]}" --messages "$tmp/answered.json"
printf '[{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]' >"$tmp/system.json"
refuses 1 'no place for system' 'a template that refuses' "${own[@]}" --messages "$tmp/system.json"
printf '[{"role": "usr", "content": "x"}]' >"$tmp/role.json"
ok 'an unknown role' "${chat[@]}" --messages "$tmp/role.json"
grep -q "warning: $tmp/role.json: message 1 has the role \"usr\"" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- Tools ----
printf '[{"type": "function", "function": {"name": "f"}}]' >"$tmp/tools.json"
ok 'without tools' "${own[@]}" --messages "$tmp/one.json" --json
bare=$(number prompt_tokens "$tmp/stdout")
ok 'tools' "${own[@]}" --messages "$tmp/one.json" --tools "$tmp/tools.json" --json
below "$bare" "$(number prompt_tokens "$tmp/stdout")" || fail "$(cat "$tmp/stdout")"
# Of several templates the one for tools.
cp -r "$stories" "$tmp/several"
cat >"$tmp/several/tokenizer_config.json" <<'JSON'
{"bos_token": "<s>", "eos_token": "</s>", "chat_template": [
    {"name": "default", "template": "{{ messages[0].content }}"},
    {"name": "tool_use", "template": "{{ raise_exception('with ' ~ tools | length ~ ' tool') }}"}]}
JSON
ok 'the template without tools' generate --model "$tmp/several" "${one_thread[@]}" --max-new-tokens 1 --messages "$tmp/one.json"
refuses 1 'with 1 tool' 'the template for tools' generate --model "$tmp/several" "${one_thread[@]}" --max-new-tokens 1 \
    --messages "$tmp/one.json" --tools "$tmp/tools.json"
refuses 1 "$tmp/object.json: expected a JSON array of tools" 'tools that are none' "${own[@]}" --messages "$tmp/one.json" --tools "$tmp/object.json"
refuses 2 '--tools has no effect without --messages' 'tools alone' "${own[@]}" --prompt x --tools "$tmp/tools.json"

# ---- What is no conversation ----
refuses 1 'no chat template' 'a model without a template' "${asked[@]}" --messages "$tmp/one.json"
grep -q 'chatml' "$tmp/message" || fail "no advice: $(cat "$tmp/message")"
for text in '' '[]' '{}' '{"messages": "Hi"}' '"Hi"'; do
    printf '%s' "$text" >"$tmp/bad.json"
    refuses 1 "$tmp/bad.json" "no messages: $text" "${chat[@]}" --messages "$tmp/bad.json"
done
printf '[{"role": "user", "content": "x"}' >"$tmp/bad.json"
refuses 1 "$tmp/bad.json" 'JSON that is cut' "${chat[@]}" --messages "$tmp/bad.json"
printf '["x"]' >"$tmp/bad.json"
refuses 1 "$tmp/bad.json: message 1 is not an object" 'a message that is a text' "${chat[@]}" --messages "$tmp/bad.json"
printf '[{"content": "x"}]' >"$tmp/bad.json"
refuses 1 "$tmp/bad.json: message 1 has no \"role\"" 'a message without a role' "${chat[@]}" --messages "$tmp/bad.json"
refuses 1 "$tmp/missing.json" 'no such file' "${chat[@]}" --messages "$tmp/missing.json"
refuses 2 'needs exactly one of --prompt, --prompt-file, --template and --messages' 'two prompts' "${chat[@]}" --messages "$tmp/one.json" --prompt x
# ---- A template in the metadata of a GGUF file ----
python3 - "$tmp" <<'PYTHON'
import struct, sys
def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()
def entry(key, value):
    if isinstance(value, list):
        return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    return text(key) + struct.pack("<I", 8) + text(value)
def gguf(values): # the tensor is of a type that loam does not know, and its data are not there
    values = {"general.architecture": "llama", "tokenizer.ggml.tokens": ["<s>", "</s>"], **values}
    tensor = text("output.weight") + struct.pack("<IQIQ", 1, 1 << 40, 999, 1 << 50)
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values))
    return header + b"".join(entry(key, value) for key, value in values.items()) + tensor
name = sys.argv[1] + "/"
chatml = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{% endfor %}" \
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
named = {"tokenizer.chat_templates": ["rag", "tool_use"], "tokenizer.chat_template.rag": "rag:{{ messages[0].content }}",
         "tokenizer.chat_template.tool_use": "tools:{{ tools | length }}"}
whole = gguf({"tokenizer.chat_template": chatml, **named})
open(name + "chat.gguf", "wb").write(whole)
open(name + "named.gguf", "wb").write(gguf(named))
open(name + "none.gguf", "wb").write(gguf({}))
open(name + "cut.gguf", "wb").write(whole[:200])
PYTHON
rendered() { # prints the ids of the conversation through a template
    "$LOAM" tokenize --model "$stories" --messages "$tmp/one.json" --add-generation-prompt --chat-template "$1" 2>"$tmp/stderr"
}
case_name='GGUF: its template'
[ -n "$(rendered chatml)" ] && [ "$(rendered "$tmp/chat.gguf")" = "$(rendered chatml)" ] || fail "$(cat "$tmp/stderr")"
ok 'GGUF: the same answer' "${asked[@]}" --json --chat-template "$tmp/chat.gguf" --messages "$tmp/one.json"
sed '/second/d' "$tmp/stdout" | cmp -s - "$tmp/first" || fail "$(cat "$tmp/stdout")"
case_name='GGUF: a template with a name'
printf 'rag:{{ messages[0].content }}' >"$tmp/rag.jinja"
[ "$(rendered "$tmp/chat.gguf:rag")" = "$(rendered "$tmp/rag.jinja")" ] || fail "$(cat "$tmp/stderr")"
gguf() { # gguf TEXT NAME TEMPLATE
    refuses "$1" "$2" "GGUF: $3" "${asked[@]}" --messages "$tmp/one.json" --chat-template "$4"
}
gguf 1 "$tmp/none.gguf has no chat template: its metadata has no \"tokenizer.chat_template\"" 'no template' "$tmp/none.gguf"
gguf 2 "every chat template of $tmp/named.gguf has a name: rag, tool_use; choose one with $tmp/named.gguf:NAME" 'only names' "$tmp/named.gguf"
gguf 2 "$tmp/chat.gguf has no chat template \"x\"; its named ones: rag, tool_use" 'another name' "$tmp/chat.gguf:x"
gguf 1 "$tmp/cut.gguf: the GGUF header goes beyond the 200 bytes of the file" 'a file that is cut' "$tmp/cut.gguf"
gguf 2 "no chat template \"$tmp/nosuch.gguf\"" 'no file' "$tmp/nosuch.gguf"
finish
