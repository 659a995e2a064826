#!/usr/bin/env python3
"""Writes goldens/chat.json and goldens/chat_ids.json: templates of our own, rendered by jinja2 as transformers sets it up.

    make_chat_goldens.py            writes the files (tests/parity/requirements.txt)
    make_chat_goldens.py --check    fails if a committed file differs

Each template renders the conversations of scripts/parity_chat.py that are named below. tests/parity/chat/test_golden.c
compares loam with the texts, with what lies inside {% generation %}, and with the words of refusals.
tests/parity/data/test_chat.c compares it with the ids and masks of apply_chat_template and a small tokenizer.
"""
import json
import os
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import parity_chat  # noqa: E402
import parity_chat_ids  # noqa: E402

PATH = os.path.join(ROOT, "tests", "parity", "goldens", "chat.json")
IDS_PATH = os.path.join(ROOT, "tests", "parity", "goldens", "chat_ids.json")
CONVERSATIONS = ["one", "system and turns", "tool calls", "reasoning", "special tokens", "not ASCII", "no messages", "two users"]

TEMPLATES = {
    "turns": """{{ bos_token }}
{%- for message in messages %}
    {%- if loop.index0 % 2 == (message.role == 'user') | int and message.role in ['user', 'assistant'] %}
        {{- raise_exception('Turns must alternate, not ' ~ message.role ~ ' at ' ~ loop.index0) }}
    {%- endif %}
    {{- '<|' + message['role'] + '|>\\n' + (message.content or '') | trim + eos_token + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
""",
    "lazy": """{% set never = [none | unique == 1, messages | unique == [], none | batch(2), messages | map, none | items, 1 | slice(0)] %}
{{- never[:2] }}{% set back = [3, 1, 3, 2] | reverse %}{% set rest = back | unique %}{{ back | first }}{{ rest | list }}
{{- 2.567 | round(2, 'floor') }}{{ 1e15 | round(0, 'ceil') | int }}{{ [1, 2].copy() }}{{ {'k': 1}.copy() | items | list }}{{ missing | items | list }}""",
    "generation": """{%- for m in messages -%}
{%- if m.role == 'assistant' -%}[A]{% generation %}{{ m.content | default('', true) }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}</A>{% endgeneration %}
{%- else -%}[{{ m.role | upper }}]{{ m.content }}{%- endif -%}
{%- endfor -%}""",
    "tools": """{%- macro describe(schema, indent='  ') -%}
{%- for name, p in schema.properties.items() %}
{{ indent }}{{ name }}{{ '?' if name not in (schema.required or []) }}: {{ p.type if p.type is string else p.type | join('|') }}
{%- if p.enum is defined %} in {{ p.enum | tojson }}{% endif %}
{%- if p.properties is defined %}{{ describe(p, indent ~ '  ') }}{% endif %}
{%- endfor -%}
{%- endmacro -%}
{%- if tools is not none and tools | length > 0 -%}
{%- for tool in tools -%}
{%- set f = tool.function -%}
{{ loop.index }}. {{ f.name }}({{ f.parameters.properties | dictsort | map(attribute=0) | join(', ') }}){{ describe(f.parameters) }}
{{ tool | tojson(indent=2) }}
{% endfor -%}
{%- endif -%}
{%- set ns = namespace(calls=0, names=[]) -%}
{%- for m in messages if m.tool_calls is defined and m.tool_calls -%}
{%- for call in m.tool_calls -%}
{%- set ns.calls = ns.calls + 1 -%}{%- set ns.names = ns.names + [call.function.name] -%}
{{ call.id }}={{ call.function.arguments | tojson(sort_keys=true, separators=(',', ':')) }};
{%- for k, v in call.function.arguments | items %} {{ k }}: {{ v }} {{ v is number }}{{ v is none }}{{ v is boolean }}{{ v is mapping }}{% endfor %}
{%- endfor -%}
{%- endfor -%}
{{ ns.calls }} {{ ns.names | unique | list }}""",
    "reasoning": """{%- set ns = namespace(last=-1) -%}
{%- for m in messages[::-1] -%}
{%- set at = messages | length - 1 - loop.index0 -%}
{%- if ns.last < 0 and m.role == 'user' and m.content is string -%}{%- set ns.last = at -%}{%- endif -%}
{%- endfor -%}
{%- for m in messages -%}
{%- set content = m.content if m.content is string else '' -%}
{%- set thought = m.reasoning_content if m.reasoning_content is string else (content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') if '</think>' in content) -%}
{{- m.role ~ (' (late)' if loop.index0 > ns.last else '') }}: {{ thought | default('none') | trim }} => {{ content.split('</think>')[-1].lstrip('\\n') }}
{% endfor -%}""",
    "text": """{%- for m in messages %}
{%- set c = m.content | string %}
{{ c | length }} {{ c | upper }} {{ c.title() }} {{ c | capitalize }} {{ c[:5] }} {{ c[::-1] }} {{ c[1:-1:2] }}
{{ [c] }} {{ c | tojson }} {{ c | tojson(ensure_ascii=true) }} {{ c | e }} {{ c.split() }} {{ c.splitlines() }} {{ c.partition('l') }}
{{ c | indent(3, true) }} {{ c | replace('l', 'L', 1) }} {{ c | wordcount }} {{ c | urlencode }} {{ c.swapcase() }} {{ c.casefold() }} {{ c.find('o') }} {{ c.count('e') }}
{{ c.isupper() }}{{ c is lower }}{{ c.startswith('H') }}{{ c.endswith(('.', 'o')) }}{{ 'o' in c }} {{ c.center(12, '*') }} {{ '%-8s|%5.1f|%03d|%r' % (c, 2.25, 7, c) }} {{ '{:>8}|{0!r:^10}|{1:,.2f}'.replace('{:', '{0:').format(c, 1234.5) }}
{%- endfor %}""",
    "scopes": """{%- set x = 'outer' -%}
{%- for m in messages -%}{{ x }}{%- set x = m.role -%}{%- if loop.first -%}{% set x = x ~ '!' %}{%- endif -%}={{ x }} {% else -%}empty {% endfor -%}{{ x }}
{%- macro show(a, b='B', *args) -%}{%- endmacro -%}""".replace("{%- macro show(a, b='B', *args) -%}{%- endmacro -%}", "") + """
{% macro show(a, b='B', c=a) %}[{{ a }}{{ b }}{{ c }}{{ x }}{{ varargs }}{{ kwargs }}{{ caller('in') if caller is defined and caller else '' }}]{% endmacro -%}
{{ show(1) }}{{ show(1, 2, 3, 4) }}{{ show(c=1, a=2, d=3) }}{% call(y) show(0) %}{{ y }}{{ x }}{% endcall %}
{% set block | trim | upper %}  {{ x }} block  {% endset %}{{ block }}{% filter replace('a', 'o') %}banana{{ x }}{% endfilter %}{% with x = 1, z = x %}{{ x }}{{ z }}{% endwith %}{{ x }}""",
    "loops": """{%- for m in messages -%}
{%- if m.role == 'system' -%}{%- continue -%}{%- endif -%}
{{ loop.index }}/{{ loop.length }} {{ loop.revindex }} {{ loop.first }} {{ loop.last }} {{ loop.cycle('a', 'b') }} {{ loop.changed(m.role) }} {{ loop.previtem.role if loop.previtem is defined else '-' }} {{ loop.nextitem.role if loop.nextitem }}
{% if loop.index0 == 3 -%}{%- break -%}{%- endif -%}
{%- endfor -%}
{%- for a, b in [(1, 2), ('x', none)] %}{{ a }}{{ b }}{% endfor %}{% for k in {'p': 1, 'q': 2} %}{{ k }}{% endfor %}{% for c in 'añ' %}<{{ c }}>{% endfor %}{% for i in range(10, 0, -3) if i is odd %}{{ i }}{{ loop.last }}{% endfor %}""",
    "sequences": """{%- set roles = messages | map(attribute='role') | list -%}
{{ roles }} {{ roles | unique | list }} {{ roles | sort(reverse=true) }} {{ roles | join(', ') }} {{ roles | first }} {{ roles | last }} {{ roles | reverse | list }} {{ roles | batch(2, '-') | list }} {{ roles | slice(2) | list }} {{ roles | min }} {{ roles | max }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('content', 'string') | list | length }} {{ messages | groupby('role') | map(attribute='grouper') | list }} {{ messages | map(attribute='content', default='?') | map('string') | map('length') | sum }}
{{ [3, 1, 2] | sort }} {{ [3, 1.5, true] | sum }} {{ [[1, 'b'], [1, 'a']] | sort }} {{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1, 'A': 2} | dictsort(by='value', reverse=true) }} {{ ['', 'a', none, 0] | select | list }} {{ [1, 2, 3, 4] | reject('odd') | list }} {{ (1, 2) + (3,) }} {{ [0] * 3 }} {{ [1, [2]] == [1, [2]] }} {{ [1, 2] < [1, 3] }}
{{ roles[1:] }} {{ roles[-1:] }} {{ roles[::2] }} {{ roles[5] is defined }} {{ range(5)[1:3] | list }} {{ 2 in range(3) }} {{ messages[0].keys() | list if messages }} {{ dict(a=1, **{'b': 2}) }} {{ dict([('k', 'v')]).get('x', 'none') }}""",
    "numbers": """{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 1e16 }} {{ 1.5e-7 }} {{ 0.1 + 0.2 }} {{ 10 / 5 }} {{ 3.0 }} {{ 1_000 }} {{ 0x1F }} {{ -2 ** 2 }} {{ 5.5 // 2 }} {{ -5.5 % 2 }} {{ true + 1 }} {{ 1 == 1.0 == true }}
{{ 2.5 | round }} {{ 3.14159 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ '42.9' | int }} {{ 'x' | int(7) }} {{ '0x1f' | int(0, 16) }} {{ '1e3' | float }} {{ -3 | abs }} {{ 1234567 | filesizeformat }} {{ 1 < 2 < 3 }} {{ not 0 }} {{ none or 'or' }} {{ '' and 'and' }} {{ 5 is divisibleby 5 }} {{ 4 is even }} {{ 'a' ~ 1 ~ 2.0 ~ none ~ true }}""",
    "white space": """  {% if true %}
    kept
  {% endif %}
{#- comment -#}
  {%+ if true %} plus {% endif +%}
next {{- ' joined ' -}} line
{% raw %}{{ raw }} {% if %}{% endraw %}
	{% set a = 1 %}	
{{ a }}
""",
    "undefined": """{{ missing }}|{{ missing is defined }}|{{ missing | default('d') }}|{{ missing | length }}|{% for x in missing %}x{% else %}none{% endfor %}|{{ messages[99] }}|{{ {}.x }}|{{ 'x' if false }}|{{ missing == none }}|{{ missing ~ 'x' }}
{%- if messages | length == 1 %}{{ missing.attribute }}{% endif %}
{%- if messages | length > 3 %}{{ messages[0].nothing + 1 }}{% endif %}""",
    "sandbox": """{% if messages %}{{ messages.append(1) }}{% endif %}{{ 'x'.__class__ }}""",
    "time": """{{ strftime_now('%d %B %Y %H:%M:%S %a %j %y %-d %% %f') }}{{ strftime_now('Heute: %d.%m.') }}""",
    "safe": """{{ '<b>' | e + '<i>' }} {{ ('<b>' | safe) ~ '<i>' }} {{ '<%s>' | escape | format('<') }} {{ ['a' | safe] }} {{ {'id': '<x>', 'n': none} | xmlattr }}""",
}


def make():
    chosen = {name: (messages, tools, variables) for name, messages, tools, variables in parity_chat.conversations() if name in CONVERSATIONS}
    cases = []
    for title, template in TEMPLATES.items():
        for name in CONVERSATIONS:
            messages, tools, variables = chosen[name]
            prompt = name in ("one", "system and turns")
            variables = {**parity_chat.SPECIAL, **variables}
            want = parity_chat.expect(template, messages, tools, variables, prompt)
            case = {"name": f"{title}, {name}", **parity_chat.request(template, messages, tools, variables, prompt)}
            del case["documents"]
            if want[0] == "text":
                case["text"] = want[1]
                if want[2] is not None:
                    case["generated"] = "".join(want[1][a:b] for a, b in want[2])
            else:
                case["fails"] = want[1] if want[0] == "raises" or want[2] in ("UndefinedError", "SecurityError") else ""
            cases.append(case)
    return json.dumps(cases, ensure_ascii=False, indent=0) + "\n"


# Templates with {% generation %}. Without the marks, what is learnt follows from provenance and is the same, but for white
# space behind the token that ends a turn.
MARKED = {
    "turns": """{%- if tools %}<|im_start|>system
Tools: {{ tools | tojson }}<|im_end|>
{% endif -%}
{%- for m in messages -%}
<|im_start|>{{ m.role ~ '\\n' }}
{%- if m.role == 'assistant' %}{% generation %}
{{- '<think>\\n' ~ m.reasoning_content | trim ~ '\\n</think>\\n\\n' if m.reasoning_content }}{{ m.content }}
{%- for c in m.tool_calls or [] %}<tool_call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</tool_call>{% endfor -%}
<|im_end|>{% endgeneration %}
{%- else %}{{ m.content }}<|im_end|>{% endif %}{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}""",
    "headers": """{{ bos_token }}{%- for m in messages -%}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' -}}
{%- if m.role == 'assistant' %}{% generation %}{{ (m.content or '') | trim + '<|eot_id|>' }}{% endgeneration %}
{%- else %}{{ (m.content or '') | trim + '<|eot_id|>' }}{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif -%}""",
    "words": """{{ bos_token }}{%- for m in messages -%}
{%- if m.role == 'assistant' %} ASSISTANT:{% generation %}{{ ' ' ~ m.content ~ eos_token }}{% endgeneration %}
{%- else %}{{ ' ' ~ m.role | upper ~ ': ' ~ m.content }}{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt %} ASSISTANT:{% endif -%}""",
}
ID_CONVERSATIONS = ["one", "system and turns", "turns", "tool call and answer", "reasoning", "empty", "special tokens", "not ASCII"]


def id_case(name, tokenizer, template, marked, messages, tools):
    wanted = parity_chat_ids.expect(tokenizer, template, messages, tools, template == marked)
    if wanted is None:
        return None
    ids, mask = wanted
    if mask is None:
        same, mask = parity_chat_ids.expect(tokenizer, marked, messages, tools, True)
        assert same == ids, name
    return {"name": name, "template": template, "messages": messages, "tools": tools, "ids": ids, "learnt": "".join(map(str, mask))}


def make_ids():
    chosen = {name: (messages, tools) for name, messages, tools, _ in parity_chat.conversations() if name in ID_CONVERSATIONS}
    backend = parity_chat_ids.small_tokenizer(parity_chat_ids.LLAMA3)
    cases = []
    with tempfile.TemporaryDirectory() as directory:
        tokens = {"bos_token": "<s>", "eos_token": "</s>"}
        tokenizer = parity_chat_ids.prepare(backend, "".join(MARKED.values()), tokens, directory)
        with open(os.path.join(directory, "tokenizer.json"), encoding="utf-8") as file:
            model = json.load(file)
        for title, marked in MARKED.items():
            for by, template in [("marks", marked), ("provenance", marked.replace("{% generation %}", "").replace("{% endgeneration %}", ""))]:
                for name in ID_CONVERSATIONS:
                    cases.append(id_case(f"{title}, {name}, {by}", tokenizer, template, marked, *chosen[name]))
    return json.dumps({"tokenizer": model, "cases": [c for c in cases if c]}, ensure_ascii=False) + "\n"


def main():
    files = {PATH: make(), IDS_PATH: make_ids()}
    for path, text in files.items():
        if "--check" not in sys.argv:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            continue
        with open(path, encoding="utf-8") as file:
            if file.read() != text:
                sys.exit(f"{path} differs")


main()
