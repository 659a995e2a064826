# loam data and train --preflight with conversations: what is learnt, the summary, JSON, the page, and each mistake.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
cp -r "$tmp/model" "$tmp/chatty" # a model that was made for chats
cat >"$tmp/turns.jinja" <<'END'
{%- for message in messages %}
{{- message.role + ': ' + (message.content or '') }}
{%- for call in message.tool_calls %}{{ call.function.name + ' ' + call.function.arguments.thing }}{% endfor %}
{{- eos_token + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}
END
cp "$tmp/turns.jinja" "$tmp/chatty/chat_template.jinja"
cat >"$tmp/chats.jsonl" <<'END'
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Anna."}, {"role": "user", "content": "When?"}, {"role": "assistant", "content": "At five."}]}
{"messages": [{"role": "user", "content": "Who <b>?"}, {"role": "assistant", "content": "Anna & Ben."}]}
{"conversations": [{"from": "human", "value": "WHO <b>? "}, {"from": "gpt", "value": "anna & ben."}]}
{"messages": [{"role": "user", "content": "Who <b>?"}, {"role": "assistant", "content": "Anna & Ben."}]}
{"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "tool_calls": [{"function": {"name": "find", "arguments": {"thing": "kite"}}}]}, {"role": "tool", "content": "in the barn"}, {"role": "assistant", "content": "In the barn."}]}
END
sed -i 's/{"conversations": .*/{"messages": [{"role": "user", "content": "WHO <b>? "}, {"role": "assistant", "content": "anna \& ben."}]}/' "$tmp/chats.jsonl"
chats=$tmp/chats.jsonl
data=(data --model "$tmp/chatty" --data "$chats")

# ---- What is learnt ----
ok 'the answers' "${data[@]}"
output_has "$(printf 'system: Be brief.</s>\nuser: Who?</s>\nassistant:[[ Anna.</s>]]\nuser: When?</s>\nassistant:[[ At five.</s>]]')"
output_has "$(printf 'user: Where?</s>\nassistant:[[ find kite</s>]]\ntool: in the barn</s>\nassistant:[[ In the barn.</s>]]')"
ok 'the last answer' "${data[@]}" --loss-on last --limit 1
output_has "$(printf 'assistant: Anna.</s>\nuser: When?</s>\nassistant:[[ At five.</s>]]')"
ok 'everything' "${data[@]}" --loss-on all --limit 1
output_has "$(printf ': Be brief.</s>\nuser: Who?</s>')"
[ "$(grep -c '\[\[' "$tmp/stdout")" -eq 1 ] || fail "$(cat "$tmp/stdout")"
ok 'token boundaries' "${data[@]}" --limit 1 --tokens
output_has '.|</s>]]'

# ---- What has no effect, or another one than was meant ----
cat >"$tmp/foreign.jsonl" <<'END'
{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Anna.", "weight": 1}]}
{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Anna.", "weight": 0}]}
{"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "tool_calls": [{"function": {"name": "find", "arguments": "{\"thing\": \"kite\"}"}}]}]}
END
sed 's/.arguments.thing/.arguments/' "$tmp/turns.jinja" >"$tmp/texts.jinja"
ok 'fields of other programs' data --model "$tmp/chatty" --data "$tmp/foreign.jsonl" --chat-template "$tmp/texts.jinja" --summary
for text in "warning: $tmp/foreign.jsonl:2: the \"weight\" of a message has no effect" '(1 messages have another weight than 1)' \
    "warning: $tmp/foreign.jsonl:3: the arguments of a tool call are a text" '(1 calls have such arguments)'; do
    grep -qF -- "$text" "$tmp/stderr" || fail "\"$text\" is not in: $(cat "$tmp/stderr")"
done

# ---- The summary ----
ok 'the summary' "${data[@]}" --summary
output_has 'records     5'
output_has "repeated    1 records; 2 if case and white space do not count ($chats:3 repeats $chats:2)"
output_has 'no label    0 records give nothing to learn'
output_has 'preflight   12 checks, 5 records looked at, 0 findings'
grep -qE '^ +[0-9]+-[0-9]+ +[0-9]+ #+$' "$tmp/stdout" || fail "no histogram: $(cat "$tmp/stdout")"
printf '{"messages": [{"role": "user", "content": "Кто?"}, {"role": "assistant", "content": "Анна."}]}\n' >"$tmp/russian.jsonl"
ok 'scripts' data --model "$tmp/chatty" --data "$tmp/russian.jsonl" --summary
output_has 'scripts     latin 65.0 %, cyrillic 35.0 %' # of the letters, 13 are those of the roles
ok 'a conversation that is too long' "${data[@]}" --max-length 28 --limit 1
output_has "$(printf 'system: Be brief.</s>\nuser: When?</s>\nassistant:[[ At five.</s>]]')"
output_has 'doubt cut: '

# ---- JSON and the page ----
ok 'JSON' "${data[@]}" --json
python3 - "$tmp/stdout" "$chats" <<'PYTHON' || fail "$(cat "$tmp/stdout")"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert len(lines) == 5
for number, line in enumerate(lines, 1):
    assert sorted(line) == ["cut", "dropped", "ids", "learnt", "source", "text", "tokens"], line
    assert line["source"] == {"file": sys.argv[2], "line": number}, line
    assert len(line["ids"]) == len(line["tokens"]) == len(line["learnt"]) > 0
    assert line["cut"] == 0 and not line["dropped"] and set(line["learnt"]) == {0, 1}
    assert line["learnt"][-1] == 0 and line["learnt"][-2] == 1 and line["tokens"][-2] == "</s>", line # a line break follows
assert lines[1]["text"] == "user: Who <b>?</s>\nassistant: Anna & Ben.</s>\n"
learnt = [token for token, weight in zip(lines[0]["tokens"], lines[0]["learnt"]) if weight]
assert "".join(learnt).replace("\u0120", " ") == " Anna.</s> At five.</s>", learnt
PYTHON
ok 'JSON of what is cut' "${data[@]}" --json --max-length 28
python3 -c '
import json, sys
first = json.loads(open(sys.argv[1]).readline())
assert first["cut"] > 0 and len(first["ids"]) <= 28 and first["text"].startswith("system: Be brief.</s>\nuser: When?")' "$tmp/stdout" ||
    fail "$(cat "$tmp/stdout")"
ok 'a page' "${data[@]}" --html "$tmp/page.html" --summary
for text in 'user: Who &lt;b&gt;?&lt;/s&gt;' '<b> Anna &amp; Ben.&lt;/s&gt;</b>' "$chats:2"; do
    grep -qF -- "$text" "$tmp/page.html" || fail "\"$text\" is not in: $(cat "$tmp/page.html")"
done

# ---- Mistakes ----
train=(train --max-steps 1 --batch-size 8 "${one_thread[@]}" --out "$tmp/out")
# finds CHECK TEXT LINE ARGUMENT...: trains with a warning that has TEXT, and LINE of the data as its example unless it is "-".
# With --preflight strict nothing is trained; loam data tells the same.
finds() {
    local check=$1 text=$2 line=$3
    shift 3
    ok "$check" "${train[@]}" "$@"
    grep -F "[$check]" "$tmp/stderr" >"$tmp/finding" || fail "it is not found: $(cat "$tmp/stderr")"
    grep -q '^loam: warning: ' "$tmp/finding" && grep -qF -- "$text" "$tmp/finding" || fail "\"$text\" is not in: $(cat "$tmp/finding")"
    [ "$line" = - ] || grep -qE "such as [^ ]*:$line\)" "$tmp/finding" || fail "another record: $(cat "$tmp/finding")"
    rm -rf "$tmp/out"
}
# refuses_strict CHECK ARGUMENT...: --preflight strict ends the run because of that mistake.
refuses_strict() {
    local check=$1
    shift
    run "$check, strict" "${train[@]}" "$@" --preflight strict
    [ "$code" -eq 1 ] && [ ! -e "$tmp/out" ] || fail "exit code $code: $(cat "$tmp/stderr")"
    tail -n 1 "$tmp/stderr" | grep -q "^loam: --preflight strict: nothing is trained, because of .*$check" || fail "$(cat "$tmp/stderr")"
}
mistake() {
    finds "$@"
    refuses_strict "$1" "${@:4}"
}
doubt() { # does not end a run
    finds "$@"
    finds "$@" --preflight strict
}
chat=(--model "$tmp/chatty" --data "$chats")
ok 'nothing to find' "${train[@]}" "${chat[@]}" --preflight strict
grep -q '12 checks, 5 of 5 records looked at, 0 findings' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
rm -rf "$tmp/out"

sed "s/{{- eos_token + '.n' }}/{{- '\\\\n' }}/" "$tmp/turns.jinja" >"$tmp/endless.jinja"
mistake no-stop 'answers do not end in a token that stops generation' 1 "${chat[@]}" --chat-template "$tmp/endless.jinja"
{ printf '{{- bos_token + bos_token }}' && cat "$tmp/turns.jinja"; } >"$tmp/twice.jinja"
mistake bos-twice 'examples begin with <s> twice' 1 "${chat[@]}" --chat-template "$tmp/twice.jinja"
cp -r "$tmp/chatty" "$tmp/begins"
{ printf '{{- bos_token }}' && cat "$tmp/turns.jinja"; } >"$tmp/begins/chat_template.jinja"
mistake bos-missing "examples do not begin with <s>, with which the model's chat template begins every text" 1 \
    --model "$tmp/begins" --data "$chats" --chat-template "$tmp/turns.jinja"
sed "s/'assistant: '/'bot: '/" "$tmp/turns.jinja" >"$tmp/bot.jinja"
mistake other-prompt 'the prompt has other tokens at generation than in training' 1 "${chat[@]}" --chat-template "$tmp/bot.jinja"
head -n 2 "$chats" >"$tmp/eval.jsonl"
mistake overlap "2 of 2 records of $tmp/eval.jsonl are training records" - "${chat[@]}" --eval-data "$tmp/eval.jsonl"
mistake split-turn-end 'the chat template chatml ends a turn in "<|im_end|>", which is' - --model "$tmp/chatty" --data "$tmp/eval.jsonl" \
    --chat-template chatml
head -n 1 "$chats" >"$tmp/padded.jsonl"
printf '{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Anna.<pad>"}]}\n' >>"$tmp/padded.jsonl"
mistake padding-learnt 'the padding token <pad> is learnt' 2 --model "$tmp/chatty" --data "$tmp/padded.jsonl" --special-in-content
ok 'padding that is text' "${train[@]}" --model "$tmp/chatty" --data "$tmp/padded.jsonl" --preflight strict
rm -rf "$tmp/out"
head -n 1 "$chats" >"$tmp/ended.jsonl"
printf '{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Anna.</s>"}]}\n' >>"$tmp/ended.jsonl"
mistake end-as-text 'the end "</s>" is text and not one token' 2 --model "$tmp/chatty" --data "$tmp/ended.jsonl"
head -n 1 "$chats" >"$tmp/asked.jsonl"
printf '{"messages": [{"role": "user", "content": "Who?"}]}\n' >>"$tmp/asked.jsonl"
mistake nothing-learnt 'give nothing to learn' 2 --model "$tmp/chatty" --data "$tmp/asked.jsonl"
doubt cut '40 % of the records are longer than 40 tokens' 1 "${chat[@]}" --max-length 40
doubt base-model 'the model was not made for chats, and the examples have the form of the chat template' - \
    --model "$tmp/model" --data "$chats" --chat-template "$tmp/turns.jinja"
printf '{"text": "Rye bread keeps for a week."}\n' >"$tmp/text.jsonl"
doubt plain-template 'the model was made for chats in the form of' - --model "$tmp/chatty" --data "$tmp/text.jsonl"

# The row of </s>, which ends each turn, has only zeros.
cp -r "$tmp/chatty" "$tmp/zero"
python3 - "$tmp/zero/model.safetensors" <<'PYTHON'
import json, struct, sys
with open(sys.argv[1], "r+b") as file:
    size, = struct.unpack("<Q", file.read(8))
    tensor = json.loads(file.read(size))["transformer.word_embeddings.weight"]
    start, end = tensor["data_offsets"]
    row = (end - start) // tensor["shape"][0]
    file.seek(8 + size + start + 2 * row)
    file.write(bytes(row))
PYTHON
mistake untrained-embedding 'the embedding of </s> (2) was never trained: all of its values are zero' 1 --model "$tmp/zero" --data "$chats"
finish
