#!/usr/bin/env python3
"""Writes src/chat/unicode_table.c from the behaviour of Python's str methods.

    chat_unicode.py             writes the file
    chat_unicode.py --check     fails if the committed file differs

Chat templates are made for Python, so their string methods follow the version of Unicode of the Python that makes the
goldens (Unicode 14.0). src/chat/unicode.c describes how loam reads the tables.
"""
import os
import sys
import unicodedata

VERSION = "14.0.0"
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "chat", "unicode_table.c")
VALUE_BITS = 11  # of struct loam_runs (src/text/unicode_data.h)
SPACE, LINE_BREAK, ALPHA, PRINTABLE, IGNORABLE, NUMBER, CASE = 1, 2, 4, 8, 16, 32, 128  # enum in src/chat/unicode.c


def bits(point):
    c = chr(point)
    value = SPACE * c.isspace() | ALPHA * c.isalpha() | PRINTABLE * c.isprintable()
    value |= LINE_BREAK * (len(("a" + c + "b").splitlines()) > 1)
    # A capital sigma is final behind a cased character; characters that ignore case may stand between the two.
    if ("A" + c + "\u03a3").lower()[-1] == "\u03c2" and (c + "\u03a3").lower()[-1] == "\u03c3":
        value |= IGNORABLE
    value |= NUMBER * (3 if c.isdecimal() else 2 if c.isdigit() else 1 if c.isnumeric() else 0)
    return value | CASE * (1 if c.isupper() and not unicodedata.category(c) == "Lt" else 2 if c.islower() else 3 if c.istitle() else 0)


def table():
    runs, last = [], None
    for point in range(0x110000):
        value = 0 if 0xD800 <= point < 0xE000 else bits(point)
        if value != last:
            runs.append(point << VALUE_BITS | value)
            last = value
    mappings, sequences = [], []
    for point in range(0x110000):
        if 0xD800 <= point < 0xE000:
            continue
        c = chr(point)
        mapped = [c.upper(), c.lower(), c.title(), c.casefold()]
        if all(text == c for text in mapped):
            continue
        row = [point]
        for text in mapped:
            if len(text) == 1:
                row.append(ord(text))
                continue
            sequence = [ord(x) for x in text] + [0] * (3 - len(text))
            if sequence not in sequences:
                sequences.append(sequence)
            row.append(0x110000 + sequences.index(sequence))
        mappings.append(row)
    decimals = [p for p in range(0x110000) if chr(p).isdecimal() and unicodedata.decimal(chr(p)) == 0]
    return runs, mappings, sequences, decimals


def wrap(items):
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > 118:
            lines.append(line)
            line = "   "
        line += " " + item + ","
    return "\n".join(lines + [line])


def text():
    runs, mappings, sequences, decimals = table()
    out = [f"// Unicode {VERSION} as Python's str methods have it. Made by scripts/chat_unicode.py.",
           '#include "chat/unicode_table.h"', "", "// clang-format off",
           f"static const uint32_t runs[] = {{\n{wrap(f'0x{x:x}' for x in runs)}\n}};",
           f"const struct loam_runs chat_unicode_bits = {{runs, {len(runs)}}};", "",
           f"const struct chat_case_row chat_case_rows[] = {{\n"
           + wrap("{" + ", ".join(f"0x{x:x}" for x in row) + "}" for row in mappings) + "\n};",
           f"const size_t chat_case_row_count = {len(mappings)};", "",
           f"const uint32_t chat_case_sequences[][3] = {{\n"
           + wrap("{" + ", ".join(f"0x{x:x}" for x in row) + "}" for row in sequences) + "\n};", "",
           f"const uint32_t chat_zeros[] = {{\n{wrap(f'0x{x:x}' for x in decimals)}\n}};",
           f"const size_t chat_zero_count = {len(decimals)};", "// clang-format on", ""]
    return "\n".join(out)


def main():
    if unicodedata.unidata_version != VERSION:
        sys.exit(f"chat_unicode.py: needs a Python with Unicode {VERSION}, this one has {unicodedata.unidata_version}")
    made = text()
    if "--check" in sys.argv:
        with open(PATH, encoding="utf-8") as file:
            sys.exit(0 if file.read() == made else f"{PATH} differs")
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(made)


main()
