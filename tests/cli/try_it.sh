# The command that `loam train` prints at its end can be pasted and runs once its fields are filled in.
. "$(dirname "$0")/common.sh"
PATH=$(dirname "$LOAM"):$PATH
make_model "$tmp/a model"
cd "$tmp"

# try NAME EXPECTED ARGUMENT...: trains, then runs the printed command, whose output must end in EXPECTED.
try() {
    local name=$1 expected=$2 command
    shift 2
    ok "train: $name" train --model 'a model' "${one_thread[@]}" --max-steps 1 --overwrite "$@"
    command=$(sed -n '/^Try it:$/{n;s/^  //;p;}' "$tmp/stdout")
    [[ $command == "loam generate "*"$expected" ]] || fail "the command is: $command"
    eval "${command//\'...\'/\'sand and clay\'} --max-new-tokens 3 --threads 1" >stdout 2>stderr || {
        fail "$command: $(cat stderr)"
        return
    }
    grep -q '^loam:' stderr && fail "$command: $(cat stderr)"
    [ -s stdout ] || fail "$command: says nothing"
}

try 'SQuAD' "--adapter out --template squad --field context='...' --field question='...'" \
    --data "$tiny/questions.json" --out out
cp "$tiny/questions.json" questions
try 'SQuAD under another name' "--template squad --field context='...' --field question='...'" --data questions --out out
try 'every parameter' "--model 'the trained one' --template squad --field context='...' --field question='...'" \
    --data questions --method full --out 'the trained one'
printf '{"text": "Rye bread keeps for a week."}\n{"text": "The mill stands on the left bank."}\n' >lines.json
try 'JSONL' "--model 'a model' --adapter 'an '\''adapter'\''' --prompt '...'" --data lines.json --out "an 'adapter'"
printf 'Rye bread keeps for a week.\n' >data.txt
try 'plain text' "--prompt '...'" --data data.txt --out out

printf '{"question": "What?", "its kind": 1, "answer": "That.", "größe": "4"}\n' >data.jsonl
printf 'Q: {question} ({größe})\nA: {answer}{eos}\n' >'my template.txt'
try 'own template' "--template 'my template.txt' --field question='...' --field größe='...'" \
    --data data.jsonl --template 'my template.txt' --loss-on completion --out out
printf '{answer}: {question} {answer}{eos}' >again.txt
try 'the completion stands in the prompt too' "--template again.txt --field answer='...' --field question='...'" \
    --data data.jsonl --template again.txt --out out
printf 'An answer: {answer}' >fixed.txt
try 'a prompt without fields' '--template fixed.txt' --data data.jsonl --template fixed.txt --out out
printf '{answer}{eos}' >bare.txt
try 'no prompt at all' "--prompt '...'" --data data.jsonl --template bare.txt --out out

# try_chat NAME EXPECTED ARGUMENT...: the same for conversations, where the command answers a line of its input.
try_chat() {
    local name=$1 expected=$2 out=${2##* } command
    shift 2
    ok "train: $name" train "${one_thread[@]}" --max-steps 1 --overwrite --out out "$@"
    command=$(sed -n '/^Try it:$/{n;s/^  //;p;}' "$tmp/stdout")
    [ "$command" = "loam chat --model $expected" ] || fail "the command is: $command"
    ! grep -q 'loam generate' "$out/README.md" && grep -qxF "    $command" "$out/README.md" || fail "the card: $(cat "$out/README.md")"
    echo 'Who bakes?' | eval "$command --max-new-tokens 3 --threads 1" >stdout 2>stderr || fail "$command: $(cat stderr)"
    [ -s stdout ] && ! grep -q '^loam:' stderr || fail "$command: $(cat stderr)"
}

printf '{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Anna."}]}\n' >chats
printf '{"instruction": "Who?", "output": "Anna."}\n' >alpaca
try_chat 'conversations' "'a model' --adapter out" --model 'a model' --data chats --chat-template zephyr
try_chat 'every parameter' 'full' --model 'a model' --data chats --chat-template zephyr --method full --out full
try_chat 'instructions through a chat template' "'a model' --adapter out" --model 'a model' --data alpaca --chat-template zephyr
try 'instructions without one' "--prompt '...'" --data alpaca --out out
cp -r 'a model' chatty
printf '{%% for m in messages %%}{{ m.content + eos_token }}{%% endfor %%}' >chatty/chat_template.jinja
try_chat "the model's own template" 'chatty --adapter out' --model chatty --data chats

# ---- The commands of the model card ----
for out in plain 'two words' "an 'adapter'" 'a "b" \ `c` $HOME' $'tab\tand\nline' '~' 'größe'; do
    for method in lora full; do
        ok "$out: $method" train --model 'a model' --data data.txt --method "$method" --max-steps 1 --overwrite --out "$out" \
            "${one_thread[@]}"
        command=$(sed -n 's/^    \(loam generate .*\)/\1/p' "$out/README.md")
        [ "$(grep -c . <<<"$command")" -eq 1 ] || fail "not one command: $command"
        eval "${command/TEXT/Rye} --max-new-tokens 3 --threads 1" >stdout 2>stderr || fail "$command: $(cat stderr)"
        [ "$method" = full ] || ! command -v python3 >/dev/null || {
            sed -n 's/^    PeftModel.from_pretrained(base, \(.*\))$/\1/p' "$out/README.md" >literal
            python3 -c 'import ast, sys; sys.stdout.write(ast.literal_eval(open("literal").read().strip()))' >name
            printf '%s' "$out" | cmp -s - name || fail "for Python: $(cat literal)"
        }
        rm -r "$out"
    done
done
finish
