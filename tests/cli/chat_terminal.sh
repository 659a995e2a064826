# loam chat at a terminal: editing, history, pasting, and Ctrl-C, which stops an answer and not the program.
. "$(dirname "$0")/common.sh"
export XDG_STATE_HOME=$tmp/state TERM=xterm LC_ALL=C.UTF-8
unset EDITRC
export HOME=$tmp
make_model "$tmp/model" --seed 3
# A model without an end token, so that an answer goes on until it is stopped.
sed -i 's/"eos_token_id": 2/"eos_token_id": null/' "$tmp/model/config.json"
printf '{"bos_token": "<s>"}' >"$tmp/model/tokenizer_config.json"

cat >"$tmp/drive.py" <<'PYTHON'
import os, pty, select, signal, sys, termios, time

class Terminal:
    def __init__(self, *arguments):
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execv(os.environ["LOAM"], [os.environ["LOAM"], *arguments])
        self.seen = b""

    def wait(self, text, seconds=60):
        text, end = text.encode(), time.time() + seconds
        while text not in self.seen:
            if time.time() > end:
                sys.exit(f"{text!r} does not appear after {self.seen[-2000:]!r}")
            if select.select([self.file], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.file, 65536)
                except OSError:
                    sys.exit(f"the terminal is closed before {text!r}: {self.seen[-2000:]!r}")
        self.seen = self.seen[self.seen.index(text) + len(text):]

    # Lines are read in raw mode, answers are written in the terminal's own.
    def type(self, text, raw=True, seconds=60):
        end = time.time() + seconds
        while raw and termios.tcgetattr(self.file)[3] & termios.ICANON:
            if time.time() > end:
                sys.exit(f"no line is read after {self.seen[-2000:]!r}")
            time.sleep(0.01)
        os.write(self.file, text.encode())

    def end(self):
        while True:
            try:
                if not os.read(self.file, 65536):
                    break
            except OSError:
                break
        status = os.waitpid(self.pid, 0)[1]
        return os.waitstatus_to_exitcode(status)

model, folder = sys.argv[1:]
chat = ["chat", "--model", model, "--chat-template", "chatml", "--threads", "1", "--dtype", "f32"]
endless = ["--temperature", "2", "--max-length", "60000", "--max-new-tokens", "50000"]

# Ctrl-C stops the answer; the program goes on, with the answer as far as it came.
terminal = Terminal(*chat, *endless)
terminal.wait("> ")
terminal.type("tell me everything\r")
terminal.wait("\n")
time.sleep(1)
terminal.type("\x03", raw=False)
terminal.wait("stopped; the conversation keeps the answer as far as it came")
terminal.wait("> ")
# Ctrl-C gives up a line, and a message of several lines.
terminal.type("half a line\x03")
terminal.wait("^C")
terminal.wait("> ")
terminal.type('"""\r')
terminal.wait("... ")
terminal.type("one\x03")
terminal.wait("^C")
terminal.wait("> ")
terminal.type(f"/save {folder}/stopped.jsonl\r")
terminal.wait("2 messages are added")
# The cursor keys edit, and the history has earlier lines.
terminal.wait("> ")
terminal.type(f"/save {folder}/editXed\x1b[D\x1b[D\x7f\r")
terminal.wait("edited as one line")
terminal.wait("> ")
terminal.type("\x1b[A\r")
terminal.wait("edited as one line")
# Ctrl-D ends the program.
terminal.wait("> ")
terminal.type("\x04")
assert terminal.end() == 0

# The history of the last session, and a message of several lines that is pasted.
terminal = Terminal(*chat, "--max-new-tokens", "1")
terminal.wait("> ")
terminal.type("\x1b[A\r")
terminal.wait("no message to save")
terminal.wait("> ")
terminal.type("\x1b[200~one\rtwo é\x1b[201~\r")
terminal.wait("--max-new-tokens")
terminal.wait("> ")
terminal.type(f"/save {folder}/pasted.jsonl\r")
terminal.wait("2 messages are added")
terminal.wait("> ")
terminal.type("/quit\r")
assert terminal.end() == 0

# SIGTERM ends the program at the prompt, and while it answers.
for line in "", "tell me everything\r":
    terminal = Terminal(*chat, *endless)
    terminal.wait("> ")
    terminal.type(line)
    time.sleep(0.5)
    os.kill(terminal.pid, signal.SIGTERM)
    code = terminal.end()
    assert code == 143, code
PYTHON

case_name='a conversation'
python3 "$tmp/drive.py" "$tmp/model" "$tmp" >"$tmp/stdout" 2>&1 || fail "$(cat "$tmp/stdout")"
case_name='what was saved'
python3 - "$tmp" <<'PYTHON' || fail 'other conversations'
import json, sys
stopped = json.loads(open(sys.argv[1] + "/stopped.jsonl").read())["messages"]
assert [message["role"] for message in stopped] == ["user", "assistant"], stopped
assert stopped[0]["content"] == "tell me everything" and stopped[1]["content"], stopped
assert len(open(sys.argv[1] + "/edited").read().splitlines()) == 2
pasted = json.loads(open(sys.argv[1] + "/pasted.jsonl").read())["messages"]
assert pasted[0]["content"] == "one\ntwo é", pasted
PYTHON
case_name='the history'
[ "$(stat -c %a "$tmp/state/loam/history")" = 600 ] || fail 'others can read it'
grep -q 'tell' "$tmp/state/loam/history" || fail "$(cat "$tmp/state/loam/history")"
finish
