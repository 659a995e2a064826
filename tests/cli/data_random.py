"""Random data files: valid and broken records in every container that loam reads. Python's json gives the contents of each
record. loam must find the same valid records, name the line of the first broken one, and fail with a one-line message.
LOAM_DATA_SEED sets another seed, LOAM_DATA_FILES another number of files."""
import json
import os
import pathlib
import random
import re
import subprocess
import sys

LOAM, MODEL, ROOT = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
DEPTH = 128  # the maximum of nested objects and arrays
FIELDS = ["text", "a.b", "x-y", "Frage", "größe", "_id"]
rng = random.Random(int(os.environ.get("LOAM_DATA_SEED", "1")))


def text():
    kinds = ["the bakery opens", "", " ", "\n", "\t\"\\/", "{eos}", "{text}", "</s>", "<pad>", "\u00e9\u4e2d\U0001f600", "\u0000", "\u2028",
             "0" * 40, "\r", "a" * 300]
    return "".join(rng.choice(kinds) for _ in range(rng.randrange(4))) + "x"


def number():
    return rng.choice(["0", "-0", "1.50", "1e400", "-1E-400", "9" * 400, "0.1" + "0" * 50, "123456789012345678901234567890"])


def encode(value):
    """A JSON string with some characters escaped in unusual ways."""
    plain = rng.random() < 0.5
    made = ["\\u%04X" % ord(c) if "a" <= c <= "z" and rng.random() < 0.02 else json.dumps(c, ensure_ascii=plain)[1:-1] for c in value]
    return '"' + "".join(made) + '"'


def extra(depth=0):
    """A random JSON value for a key that the template does not use."""
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind == 5:
        return "[" + ", ".join(extra(depth + 1) for _ in range(rng.randrange(3))) + "]"
    if kind >= 6:
        return "{" + ", ".join(f"{encode(text())}: {extra(depth + 1)}" for _ in range(rng.randrange(3))) + "}"
    return ["null", "true", "false", number(), encode(text())][kind]


def nested(depth):
    return "[" * depth + "]" * depth


def good(fields):
    """The text of a record with these fields. A key may occur twice; the last one counts."""
    parts = []
    for name in fields:
        if rng.random() < 0.1:
            parts.append(f"{encode(name)}: {encode(text())}")
    for name in fields:
        parts.append(f"{encode(name)}: {number() if rng.random() < 0.2 else encode(text())}")
    for _ in range(rng.randrange(3)):
        parts.insert(rng.randrange(len(parts) + 1), f"{encode('extra' + text())}: {extra()}")
    if rng.random() < 0.05:
        parts.append('"deep": ' + nested(DEPTH - 4))
    return "{" + ", ".join(parts) + "}"


def broken(fields):
    """A record that is valid JSON but must be refused."""
    record = good(fields)
    name = rng.choice(fields)
    lone = '{"' + name + '": "' + rng.choice(["\\ud800", "\\udc00x", "\\ud83d\\u0041", "\\uD83D"]) + '"}'
    wrong = "{" + ", ".join(f"{encode(f)}: {'null' if f == name else encode('x')}" for f in fields) + "}"
    missing = "{" + ", ".join(f"{encode(f)}: {encode('x')}" for f in fields if f != name) + "}"
    return rng.choice([lone, wrong, missing, "{}", '{"q": 1}', "[" + record + "]", "[]", '"text"', "12", "null"])


def syntax(fields):
    """A line that is not JSON."""
    record = good(fields)
    return rng.choice([record[:-1], record + "}", record + " " + record, "{'text': 'a'}", "text", record.replace(":", "=", 1),
                       '{"text": "a\tb"}', "{" + "[" * 5000, '{"text": NaN}'])


def run(arguments):
    done = subprocess.run([LOAM, *arguments], capture_output=True, timeout=120)
    return done.returncode, done.stderr.decode(errors="replace"), done.stdout.decode(errors="replace")


def require(condition, what, path, detail):
    if not condition:
        sys.exit(f"FAILED {what}: {path}: {detail}")


def evaluate(path, template, *more):
    code, errors, _ = run(["plan", "--model", MODEL, "--data", str(path), "--template", str(template), "--threads", "1", "--json", *more])
    require(code in (0, 1), "it crashed", path, f"{code}: {errors}")
    if code == 1:
        require(len(re.findall("^loam: ", errors, re.M)) == 1, "not one line", path, errors)
    return code, errors


def write_lines(path, lines, end):
    starts, number = [], 1
    for line in lines:
        starts.append(number)
        number += 1
        if rng.random() < 0.1:
            number += 1
            line += end
        path_lines.append(line)
    path.write_bytes((rng.choice([b"", b"\xef\xbb\xbf"]) + end.join(path_lines + [""]).encode("utf-8", "surrogatepass")))
    path_lines.clear()
    return starts


path_lines = []


def check_file(index):
    fields = rng.sample(FIELDS, rng.randrange(1, 4))
    template = ROOT / "template"
    template.write_text("".join("{" + name + "}" for name in fields) + "{eos}", encoding="utf-8")
    count = rng.randrange(1, 12)
    bad = sorted(rng.sample(range(count), rng.choice([0, 0, 1, min(count, 2)])))
    container = rng.choice(["lines", "lines", "array", "data"])
    make = [lambda: rng.choice([broken, syntax])(fields), lambda: broken(fields)][container != "lines"]
    records = [make() if i in bad else good(fields) for i in range(count)]
    path = ROOT / f"data{index}.{'jsonl' if container == 'lines' else 'json'}"
    if container == "lines":
        starts = write_lines(path, records, rng.choice(["\n", "\n", "\r\n", "\r"]))
    elif container == "data" and 0 in bad:
        return  # a broken first record would hide that the file is not SQuAD
    else:
        starts = list(range(2, count + 2))
        before, after = ("[", "]") if container == "array" else ('{"n": [{"data": []}], "data": [', '], "data3": 1}')
        path.write_text(before + "\n" + ",\n".join(records) + "\n" + after, encoding="utf-8")
    code, errors = evaluate(path, template)
    if bad:
        require(code == 1 and f"{path.name}:{starts[bad[0]]}: " in errors, f"line {starts[bad[0]]} is not named", path, errors)
        code, errors = evaluate(path, template, "--skip-bad")
    require(code == (1 if len(bad) == count else 0), "good records are refused", path, errors)
    path.unlink()


def check_many():
    """A million tiny records are indexed within seconds, with memory only for their positions."""
    path, template = ROOT / "many.jsonl", ROOT / "many"
    template.write_text("{t}{eos}")
    path.write_text('{"t": "a"}\n' * 1000000)
    code, errors = evaluate(path, template)
    require(code == 0, "a million records are refused", path, errors)
    path.unlink()


for file in range(int(os.environ.get("LOAM_DATA_FILES", "60"))):
    check_file(file)
check_many()
