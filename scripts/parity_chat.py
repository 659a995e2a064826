#!/usr/bin/env python3
"""Compares loam's chat templates with jinja2 as transformers sets it up.

    parity_chat.py --render build/release/tests/tools/loam_render [--random N] [--seed S] [DIRECTORY...]

Each chat template below the directories (*.jinja, tokenizer_config.json) renders each conversation, with and without the
generation prompt. The text must be equal, and so must the pieces inside {% generation %}. Where a template refuses a
conversation by raise_exception, loam must refuse with the same words; where jinja2 fails otherwise, loam must fail.
Then N random small templates are compared.
"""
import argparse
import collections
import datetime
import json
import os
import random
import subprocess
import sys
import warnings

import jinja2
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2026, 3, 9, 14, 5, 7)


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = FixedTime
chat_template_utils.logger.setLevel("ERROR")
warnings.simplefilter("ignore", SyntaxWarning)

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a place: \"now\" or <later>.",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "A city, as in Zürich"},
        "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        "days": {"type": ["integer", "null"], "description": "How many", "minimum": 1},
        "where": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}},
        "tags": {"type": "array", "items": {"type": "string"}}}}}}
ADD = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {
    "type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]},
    "return": {"type": "number", "description": "The sum"}}}


def call(name, arguments, ident="call12345"):
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}


def conversations():
    """Name, messages, tools, further variables."""
    user = {"role": "user", "content": "Hello"}
    system = {"role": "system", "content": "You are terse."}
    answer = {"role": "assistant", "content": "Hi."}
    yield "one", [user], None, {}
    yield "system", [system, user, answer], None, {}
    yield "turns", [user, answer, {"role": "user", "content": "And\n\nnow? "}, {"role": "assistant", "content": "  Yes.\n"},
                    {"role": "user", "content": "Go"}], None, {}
    yield "system and turns", [system, user, answer, {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], None, {}
    yield "tools", [user], [WEATHER, ADD], {}
    yield "tools and system", [system, user, answer, user], [WEATHER], {}
    used = [user, {"role": "assistant", "content": "", "tool_calls": [call("get_weather", {"place": "Bern", "days": 2, "tags": ["a", "b"], "where": {"lat": 1.5, "lon": -2e-7}})]},
            {"role": "tool", "name": "get_weather", "tool_call_id": "call12345", "content": "{\"t\": 7}"}]
    yield "tool call", used, [WEATHER, ADD], {}
    yield "tool call and answer", used + [{"role": "assistant", "content": "7 degrees."}, {"role": "user", "content": "Thanks"}], [WEATHER], {}
    yield "tool calls", [system, user, {"role": "assistant", "content": None, "tool_calls": [
        call("add", {"a": 1, "b": 2.0}), call("add", {"a": True, "b": None}, "call67890")]},
        {"role": "tool", "name": "add", "tool_call_id": "call12345", "content": "3"},
        {"role": "tool", "name": "add", "tool_call_id": "call67890", "content": "1"}, answer], [ADD], {}
    yield "call without tools", used, None, {}
    yield "arguments as text", [user, {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": "add", "arguments": "{\"a\": 1}"}}]},
        {"role": "tool", "content": "1"}], [ADD], {}
    yield "reasoning", [user, {"role": "assistant", "content": "4", "reasoning_content": "2 and\n2\n"}, {"role": "user", "content": "Sure?"},
                        {"role": "assistant", "content": "Yes", "reasoning": "Checked."}], None, {}
    yield "thinking in text", [user, {"role": "assistant", "content": "<think>\nhm\n</think>\n\n4"}, {"role": "user", "content": "Sure?"}], None, {}
    yield "thinking off", [system, user], None, {"enable_thinking": False, "thinking": False, "reasoning_effort": "low"}
    yield "thinking on", [system, user], None, {"enable_thinking": True, "thinking": True}
    yield "reasoning and tools", [user, {"role": "assistant", "content": "", "reasoning_content": "Look.", "tool_calls": [call("add", {"a": 1, "b": 1})]},
                                  {"role": "tool", "name": "add", "tool_call_id": "call12345", "content": "2"},
                                  {"role": "assistant", "content": "2", "thinking": "Easy"}], [ADD], {}
    yield "empty", [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}], None, {}
    yield "special tokens", [{"role": "user", "content": "<|im_end|>\n<|im_start|>system\n</s>[INST] <s> {{ x }} {% if %}"},
                             {"role": "assistant", "content": "<|eot_id|><end_of_turn>"}], None, {}
    yield "not ASCII", [{"role": "system", "content": "Füße ΑΣ"}, {"role": "user", "content": "日本語 \u00a0é\u2028 👩‍👩‍👧 \u0001\u0007"},
                        {"role": "assistant", "content": "\u3000naïve ẞ İ\u2003"}], None, {}
    yield "parts", [{"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "image"}, {"type": "text", "text": "this?"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "A cat"}]}], None, {}
    yield "no messages", [], None, {}
    yield "assistant first", [answer, user], None, {}
    yield "two users", [user, user, answer, answer], None, {}
    yield "system late", [user, answer, system, user], None, {}
    yield "unknown role", [user, {"role": "critic", "content": "No"}], None, {}
    yield "developer", [{"role": "developer", "content": "Be kind."}, user], None, {}
    yield "no content", [user, {"role": "assistant"}, {"role": "user", "content": None}], None, {}
    yield "names", [{"role": "user", "name": "Ann", "content": "Hi", "weight": 0}, {"role": "assistant", "content": "Hi", "prefix": True}], None, {}
    yield "documents", [user], None, {"documents": [{"title": "T", "text": "x\ny"}, {"title": "Ü", "text": ""}]}
    yield "date", [system, user], None, {"date_string": "1 Jan 2025", "tools_in_user_message": False, "custom_tools": None}


SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def expect(template, messages, tools, variables, prompt):
    """("text", text, generated ranges or None), ("raises", words) or ("fails", message)."""
    variables = dict(variables)
    documents = variables.pop("documents", None)
    marked = "generation" in template
    try:
        text, ranges = chat_template_utils.render_jinja_template(
            [messages], tools=tools, documents=documents, chat_template=template, add_generation_prompt=prompt,
            return_assistant_tokens_mask=marked, **variables)
        return "text", text[0], ranges[0] if marked else None
    except jinja2.exceptions.TemplateError as error:
        return ("raises" if type(error) is jinja2.exceptions.TemplateError else "fails"), str(error), type(error).__name__
    except Exception as error:  # whatever Python raises on the template's behalf
        return "fails", str(error), type(error).__name__


def request(template, messages, tools, variables, prompt):
    variables = dict(variables)
    documents = variables.pop("documents", None)
    now = [NOW.year, NOW.month, NOW.day, NOW.hour, NOW.minute, NOW.second]
    return {"template": template, "messages": messages, "tools": tools, "documents": documents, "variables": variables,
            "add_generation_prompt": prompt, "now": now}


def generated_text(answer):
    data, start, pieces = answer["text"].encode(), 0, []
    for end, _, _, generated in answer["spans"]:
        if generated:
            pieces.append(data[start:end].decode(errors="replace"))
        start = end
    return "".join(pieces)


def differs(wanted, answer):
    """None, or what is different."""
    if wanted[0] == "text":
        if "error" in answer:
            return f"loam fails: {answer['error']}"
        if answer["text"] != wanted[1]:
            at = next((i for i, (a, b) in enumerate(zip(answer["text"], wanted[1])) if a != b), min(len(answer["text"]), len(wanted[1])))
            return f"text differs at {at}: loam {answer['text'][max(0, at - 40):at + 40]!r}, jinja2 {wanted[1][max(0, at - 40):at + 40]!r}"
        if wanted[2] is not None and generated_text(answer) != "".join(wanted[1][a:b] for a, b in wanted[2]):
            return f"generated text differs: loam {generated_text(answer)!r}"
        end = answer["spans"][-1][0] if answer["spans"] else 0
        return None if end == len(answer["text"].encode()) else "the spans do not cover the text"
    if "error" not in answer:
        return f"loam renders {answer['text'][:80]!r}, jinja2: {wanted[2]}: {wanted[1]}"
    if wanted[0] == "raises":
        words = "".join(c if c.isprintable() else "?" for c in wanted[1])[:300]
        if words.rstrip("?") not in answer["error"].replace("\u2028", "?"):
            return f"words differ: loam {answer['error']!r}, jinja2 {wanted[1]!r}"
    return None


def find_templates(directories):
    for directory in directories:
        for root, _, names in sorted(os.walk(directory)):
            for name in sorted(names):
                path = os.path.join(root, name)
                if name.endswith(".jinja"):
                    with open(path, encoding="utf-8") as file:
                        yield path, file.read(), {}
                elif name == "tokenizer_config.json":
                    with open(path, encoding="utf-8") as file:
                        config = json.load(file)
                    template = config.get("chat_template")
                    tokens = {k: v["content"] if isinstance(v, dict) else v for k, v in config.items() if k.endswith("_token") and v}
                    for entry in template if isinstance(template, list) else [{"name": "default", "template": template}]:
                        if isinstance(entry["template"], str):
                            yield f"{path}:{entry['name']}", entry["template"], {k: v for k, v in tokens.items() if isinstance(v, str)}


def ask(render, requests):
    text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in requests)
    done = subprocess.run([render], input=text.encode(), stdout=subprocess.PIPE, check=False)
    answers = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
    if done.returncode != 0 or len(answers) != len(requests):
        sys.exit(f"parity_chat.py: {render} stopped after {len(answers)} of {len(requests)} requests, exit code {done.returncode}\n"
                 f"{json.dumps(requests[len(answers)])[:2000]}")
    return answers


class Report:
    def __init__(self, verbose):
        self.counts = collections.Counter()
        self.failed = []
        self.verbose = verbose

    def add(self, name, wanted, answer):
        difference = differs(wanted, answer)
        self.counts[wanted[0]] += 1
        if difference is not None:
            self.failed.append(f"{name}: {difference}")


def compare_real(render, directories, report):
    templates = list(find_templates(directories))
    seen, names, requests, wanted = {}, [], [], []
    for path, template, tokens in templates:
        if template in seen:
            continue
        seen[template] = path
        for conversation, messages, tools, variables in conversations():
            for prompt in (False, True):
                variables_ = {**SPECIAL, **tokens, **variables}
                names.append(f"{path}, {conversation}, generation prompt {prompt}")
                requests.append(request(template, messages, tools, variables_, prompt))
                wanted.append(expect(template, messages, tools, variables_, prompt))
    for name, want, answer in zip(names, wanted, ask(render, requests)):
        report.add(name, want, answer)
    print(f"{len(templates)} templates ({len(seen)} different), {len(list(conversations()))} conversations: {len(names)} renderings: "
          f"{report.counts['text']} equal in text, {report.counts['raises']} refused by the template, "
          f"{report.counts['fails']} that fail in jinja2; {len(report.failed)} differ")


# ---- Random templates ----

class Maker:
    """Draws small templates over a few variables."""

    NAMES = "s t u n f z b e l m d tt rows none_ missing ns".split()
    STRINGS = ["", "a", "Hello World", " padded\t", "a,b,,c", "line one\nline two\r\n", "ÀÉß ǆ Σας", "<b>&'\"</b>", "12", "-3.5",
               "%s and %d", "{} {0}", "x" * 20, "日本語", "the quick-brown (fox) jumps"]
    FILTERS0 = ("abs capitalize center count default dictsort e escape first float forceescape int items join last length list lower max min "
                "reverse round safe sort string sum title tojson trim unique upper wordcount urlencode xmlattr filesizeformat").split()
    TESTS0 = ("odd even defined undefined none boolean true false integer float lower upper string mapping number sequence iterable callable escaped").split()
    METHODS = [("upper", 0), ("lower", 0), ("strip", 0), ("strip", 1), ("lstrip", 1), ("rstrip", 1), ("split", 0), ("split", 1), ("split", 2), ("rsplit", 2),
               ("splitlines", 0), ("replace", 2), ("startswith", 1), ("endswith", 1), ("find", 1), ("rfind", 1), ("index", 1), ("count", 1), ("title", 0),
               ("capitalize", 0), ("swapcase", 0), ("casefold", 0), ("isdigit", 0), ("isalpha", 0), ("isalnum", 0), ("isspace", 0), ("isupper", 0),
               ("islower", 0), ("istitle", 0), ("isnumeric", 0), ("isidentifier", 0), ("zfill", 1), ("ljust", 1), ("rjust", 1), ("center", 1),
               ("partition", 1), ("rpartition", 1), ("removeprefix", 1), ("removesuffix", 1), ("join", 1), ("format", 2), ("expandtabs", 0),
               ("get", 1), ("get", 2), ("keys", 0), ("values", 0), ("items", 0), ("copy", 0), ("append", 1), ("pop", 0), ("update", 1), ("__class__", 0)]

    def __init__(self, seed):
        self.draw = random.Random(seed)

    def pick(self, items):
        return self.draw.choice(items)

    def literal(self):
        kind = self.draw.randrange(9)
        if kind < 3:
            return json.dumps(self.pick(self.STRINGS), ensure_ascii=self.draw.random() < 0.3).replace("\\/", "/")
        if kind < 5:
            return str(self.pick([0, 1, 2, 3, -1, 7, 10, 255, 1000000]))
        if kind == 5:
            return self.pick(["0.5", "1.0", "2.5e10", "1e-7", "3.14159", "1e22", "123456789.125"])
        return self.pick(["true", "false", "none", "[]", "{}", "()", "[1, 2, 3]", "('a', 'b')", "{'k': 1, 'j': [2]}", "[[1, 'x'], [0, 'y']]"])

    def expression(self, depth):
        if depth <= 0:
            return self.pick(self.NAMES) if self.draw.random() < 0.6 else self.literal()
        e = lambda: self.expression(depth - 1 - self.draw.randrange(2))
        kind = self.draw.randrange(20)
        if kind < 3:
            return f"{e()} {self.pick(['+', '-', '*', '/', '//', '%', '**', '~', '~', '+'])} {e()}"
        if kind < 5:
            return f"({e()} {self.pick(['==', '!=', '<', '>', '<=', '>=', 'in', 'not in'])} {e()})"
        if kind == 5:
            return f"({e()} {self.pick(['and', 'or'])} {self.pick(['', 'not '])}{e()})"
        if kind == 6:
            return f"({e()} if {e()} else {e()})" if self.draw.random() < 0.8 else f"({e()} if {e()})"
        if kind < 10:
            return f"({e()}){self.filter(depth)}"
        if kind == 10:
            test = self.pick(self.TESTS0) if self.draw.random() < 0.7 else \
                self.pick(["divisibleby", "eq", "ne", "lt", "ge", "in", "sameas"]) + f"({e()})"
            return f"(({e()}) is {self.pick(['', 'not '])}{test})"
        if kind < 13:
            name, count = self.pick(self.METHODS)
            return f"({e()}).{name}({', '.join(e() for _ in range(count))})"
        if kind == 13:
            name = self.pick(self.NAMES)
            parts = [self.pick(["", "0", "1", "-1", "2", "-2", "5", "none"]) for _ in range(2)]
            step = self.pick(["", "", ":2", ":-1", ":", ":-2"])
            # jinja2 computes slices of literals while it compiles, and then fails less.
            return f"({self.pick([name, name + '|list', e() + ' ~ ' + name, '[' + e() + ', ' + name + ']'])})[{parts[0]}:{parts[1]}{step}]"
        if kind == 14:
            return f"({e()})[{self.pick(['0', '1', '-1', chr(39) + 'k' + chr(39), chr(39) + 'role' + chr(39), '9', e()])}]"
        if kind == 15:
            return f"({e()}).{self.pick(['k', 'role', 'items', 'content', 'x', 'real', '0', 'count'])}"
        if kind == 16:
            return f"[{e()}, {e()}]" if self.draw.random() < 0.5 else f"({e()}, {e()})"
        if kind == 17:
            return f"{{{self.literal()}: {e()}, 'k': {e()}}}"
        if kind == 18:
            return f"range({self.pick(['3', '1, 5', '5, 0, -2', '0', 'n'])})"
        return f"{self.pick(['-', '+'])}{e()}"

    def filter(self, depth):
        e = lambda: self.expression(0 if depth < 2 else 1)
        kind = self.draw.randrange(10)
        if kind < 6:
            name = self.pick(self.FILTERS0)
            return f"|{name}" + (f"|{self.pick(['list', 'join', 'length', 'string', 'first'])}" if self.draw.random() < 0.3 else "")
        return "|" + self.pick([
            f"default({e()})", f"default({e()}, true)", f"d({e()}, boolean={e()})", f"join({e()})", f"join(',', attribute='role')", f"replace({e()}, {e()})",
            f"replace({e()}, {e()}, 1)", "tojson(indent=2)", "tojson(separators=(',', ':'))", "tojson(sort_keys=true)", "tojson(ensure_ascii=true)",
            "tojson(indent=4, ensure_ascii=false)", f"indent({self.pick(['2', '4, true', '2, first=true, blank=true', chr(39) + '> ' + chr(39)])})", "map('upper')|list",
            "map(attribute='role')|list", "map(attribute='k', default='-')|join", "map('default', 'x')|list", "select|list", "select('string')|list", "reject('none')|list",
            "selectattr('role')|list", "selectattr('role', 'equalto', 'user')|list", "rejectattr('role', 'defined')|list", "selectattr('n', '>', 1)|map(attribute='n')|list",
            f"round({self.pick(['1', '2', '0', '-1'])})", "round(1, 'floor')", "round(0, 'ceil')", "int(5)", "int(0, 16)", "float(1.5)", "trim('a ')", f"truncate(9)", "truncate(5, true, '..', 0)",
            "sort(reverse=true)", "sort(attribute='n')", "sort(case_sensitive=true)", "dictsort(by='value')", "dictsort(reverse=true)", "unique(true)|list", "batch(2)|list", "batch(2, '-')|list",
            "slice(2)|list", "slice(3, 'x')|list", "groupby('role')", "groupby('role')|map(attribute='list')|list", "sum(start=1)", "sum(attribute='n')", "min(attribute='n')", "max", f"format({e()})",
            f"format({e()}, {e()})", "attr('role')", "center(9)", "items|list", "last", "reverse|list"])

    def statement(self, depth):
        e = lambda d=2: self.expression(d)
        body = lambda: self.body(depth - 1)
        sign = lambda: self.pick(["", "", "-", "+"])
        left, right = "{%" + sign(), sign() + "%}"
        kind = self.draw.randrange(14)
        if depth <= 0 or kind < 4:
            return f"{{{{{self.pick(['', '-'])} {e(3)} {self.pick(['', '-'])}}}}}"
        if kind == 4:
            return f"{left} if {e()} {right}{body()}{{% elif {e()} %}}{body()}{left} else {right}{body()}{{% endif %}}"
        if kind < 7:
            target = self.pick(["x", "x", "u", "x, y"])
            condition = f" if {e(1)}" if self.draw.random() < 0.2 else ""
            inside = self.pick(["{{ loop.index }}", "{{ loop.last }}{{ loop.first }}", "{{ loop.revindex0 }}", "{{ loop.previtem }}|{{ loop.nextitem }}", "{{ loop.length }}",
                                "{{ loop.cycle('a', 'b') }}", "{{ loop.changed(x) }}", "{% if loop.index > 1 %}{% break %}{% endif %}", "{% if x %}{% continue %}{% endif %}", ""])
            return f"{left} for {target} in {e()}{condition} {right}{inside}{{{{ x }}}}{body()}{left} else {right}{body()}{{% endfor %}}"
        if kind == 7:
            return f"{left} set {self.pick(['s', 'u', 'v', 'n', 'x, y', 'ns.k'])} = {e()} {right}"
        if kind == 8:
            return f"{left} set v{self.pick(['', ' | upper', ' | trim | length'])} {right}{body()}{{% endset %}}{{{{ v }}}}"
        if kind == 9:
            return (f"{left} macro mm(a, b={e(1)}, c='z') {right}{{{{ a }}}}/{{{{ b }}}}/{{{{ c }}}}{self.pick(['', '{{ varargs }}', '{{ kwargs }}', '{{ caller() }}'])}{body()}{{% endmacro %}}"
                    f"{{{{ mm({e(1)}) }}}}{{{{ mm({e(1)}, c={e(1)}) }}}}" + self.pick(["", f"{{{{ mm(1, 2, 3, {e(0)}) }}}}", "{% call mm(1) %}in{{ u }}{% endcall %}", "{{ mm(1, q=2) }}"]))
        if kind == 10:
            return f"{left} filter {self.pick(['upper', 'trim', 'indent(2)', 'replace(s, u)'])} {right}{body()}{{% endfilter %}}"
        if kind == 11:
            return f"{left} with s = {e()}, w = {e()} {right}{{{{ s }}}}{body()}{{% endwith %}}"
        if kind == 12:
            return f"{left} generation {right}{body()}{{% endgeneration %}}"
        return self.pick(["{# note #}\n", "{#- note -#} ", "{% raw %}{{ x }}{% endraw %}\n", "{%- raw -%} {% y %} {%- endraw -%}\n"])

    def body(self, depth):
        parts = []
        for _ in range(self.draw.randrange(1, 4)):
            parts.append(self.statement(depth))
            if self.draw.random() < 0.5:
                parts.append(self.pick(["\n", " ", "  \n  ", "text", "\tΣ ", "\n\n"]))
        return "".join(parts)


# transformers counts the place of a mark from the text before these blocks, and so marks other text there.
BUFFERED = [f"{{%{sign}{word}" for sign in ("", "-", "+") for word in (" set v", " macro", " filter", " call")]


def compare_random(render, count, seed, report):
    messages = [{"role": "user", "content": "Hello", "n": 2}, {"role": "assistant", "content": "Hi", "n": 1}]
    variables = {"s": "Some Text", "t": " x ", "u": "ünï", "n": 3, "f": 2.5, "z": 0, "b": True, "e": "", "l": [3, 1, 2], "m": ["b", "A", "a"],
                 "d": {"k": "v", "B": 2, "a": [1, None]}, "tt": [["x", 1], ["y", 2]], "rows": [{"role": "b", "n": 2}, {"role": "A", "n": 1}, {"role": "a", "k": None}], "none_": None}
    names, requests, wanted = [], [], []
    for i in range(count):
        maker = Maker(f"{seed}/{i}")
        for _ in range(1 if i % 4 == 0 else 12):  # most templates that are drawn fail; a quarter is taken as drawn
            template = "{% set ns = namespace(k='v') %}" + (maker.body(2) if i % 3 == 0 else f"{{{{ {maker.expression(3)} }}}}")
            want = expect(template, messages, None, variables, False)
            if want[0] == "text" and want[1]:
                break
        if want[0] == "text" and " at 0x" in want[1]:
            continue  # an address
        if want[0] == "text" and any(block in template for block in BUFFERED):
            want = (*want[:2], None)
        names.append(f"random {seed}/{i} {template!r}")
        requests.append(request(template, messages, None, variables, False))
        wanted.append(want)
    before, unsupported, failed = dict(report.counts), collections.Counter(), len(report.failed)
    for name, want, answer in zip(names, wanted, ask(render, requests)):
        if answer.get("unsupported"):
            unsupported[answer["error"].rsplit(": ", 1)[-1]] += 1
            continue
        report.add(name, want, answer)
    print(f"{len(names)} random templates: {report.counts['text'] - before.get('text', 0)} rendered by jinja2, "
          f"{report.counts['fails'] - before.get('fails', 0)} that fail in jinja2, {sum(unsupported.values())} that loam refuses as not built; "
          f"{len(report.failed) - failed} differ")
    for reason, times in unsupported.most_common():
        print(f"  not built, {times}: {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--render", required=True, help="the program tests/tools/loam_render")
    parser.add_argument("--random", type=int, default=0, help="number of random templates")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--show", type=int, default=20, help="number of differences that are printed")
    parser.add_argument("directories", nargs="*")
    arguments = parser.parse_args()
    report = Report(arguments.show)
    if arguments.directories:
        compare_real(arguments.render, arguments.directories, report)
    if arguments.random:
        compare_random(arguments.render, arguments.random, arguments.seed, report)
    for line in report.failed[:arguments.show]:
        print("  " + line[:1200])
    sys.exit(bool(report.failed))


if __name__ == "__main__":
    main()
