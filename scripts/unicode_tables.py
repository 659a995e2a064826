#!/usr/bin/env python3
"""Writes loam's Unicode tables from the behaviour of the pinned package `tokenizers` for all 1,112,064 code points.

    unicode_tables.py             writes src/text/unicode_data_*.c and tests/unit/text/unicode_digests.h
    unicode_tables.py --check     fails if a committed file differs from the package's behaviour

The Unicode Character Database is not used. The package contains several versions of it: in Oniguruma (Split and Replace),
in the crate regex (Whitespace, single_word), in the crate unicode-normalization-alignments (normal forms), in the crate
unicode_categories (Punctuation) and in Rust's standard library (Lowercase, Digits, Strip). Each table is derived from the
part of the package that uses it. src/text/unicode_data.h describes how loam reads the tables.
"""
import argparse
import os
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers  # noqa: E402

PINNED = "0.23.3"
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
VALUE_BITS = 11  # bits of a run's value, below its first code point
SURROGATES = 0xD800, 0xE000
POINTS = [p for p in range(0x110000) if not SURROGATES[0] <= p < SURROGATES[1]]
TEXT = "".join(map(chr, POINTS))

# Code points that versions of Unicode added to each table. The newest one that a table of the package contains gives the
# version of that table.
NEWCOMERS = {
    "scripts": {"14.0": 0x10570, "15.0": 0x1E4D0, "15.1": 0x2EBF0, "16.0": 0x10D50, "17.0": 0x10940},
    "words": {"14.0": 0x10570, "15.0": 0x1E4D0, "15.1": 0x2EBF0, "16.0": 0x10D50, "17.0": 0x10940},
    "numbers": {"13.0": 0x11950, "15.0": 0x11F50, "16.0": 0x11BF0, "17.0": 0x11DE0},
    "punctuation": {"6.0": 0x85E, "7.0": 0x1BC9F, "8.0": 0x1DA87, "9.0": 0x1E95E, "10.0": 0x11A3F, "11.0": 0x10F55,
                    "12.0": 0x119E2, "13.0": 0x11944, "14.0": 0x12FF1, "15.0": 0x11F43, "16.0": 0x10D6E},
    "lower case": {"11.0": 0x1C90, "12.0": 0xA7BA, "13.0": 0xA7C7, "14.0": 0xA7C0, "16.0": 0x1C89, "17.0": 0xA7CE},
    "decompositions": {"6.1": 0xA7F8, "9.0": 0x1F23B, "12.1": 0x32FF, "13.0": 0x11938, "14.0": 0x107B2, "15.0": 0x1E030,
                       "16.0": 0x105C9, "17.0": 0xA7F1},
    "combining": {"7.0": 0x8FF, "8.0": 0x8E3, "9.0": 0x8D4, "10.0": 0x1DF6, "11.0": 0x8D3, "12.0": 0xEBA, "13.0": 0x1ABF,
                  "14.0": 0x898, "15.0": 0x1E4EC, "16.0": 0x897, "17.0": 0x1ACF},
}

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn".split()
# Names of one or several categories. Some have no code point in UTF-8.
CATEGORY_NAMES = """Any Assigned C Cased_Letter Close_Punctuation Combining_Mark Connector_Punctuation Control Cs
Currency_Symbol Dash_Punctuation Decimal_Number Enclosing_Mark Final_Punctuation Format Initial_Punctuation L LC Letter
Letter_Number Line_Separator Lowercase_Letter M Mark Math_Symbol Modifier_Letter Modifier_Symbol N Nonspacing_Mark
Number Open_Punctuation Other Other_Letter Other_Number Other_Punctuation Other_Symbol P Paragraph_Separator Private_Use
Punct Punctuation S Separator Space_Separator Spacing_Mark Surrogate Symbol Titlecase_Letter Unassigned Uppercase_Letter
Z""".split()
SCRIPTS = """
Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo
Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common
Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs
Elbasan Elymaic Ethiopic Garay Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Gurung_Khema
Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi
Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer Khojki
Khudawadi Kirat_Rai Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic
Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao
Modi Mongolian Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong
Ogham Ol_Chiki Ol_Onal Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian
Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi
Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese
Sunuwar Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai
Tibetan Tifinagh Tirhuta Todhri Toto Tulu_Tigalari Ugaritic Unknown Vai Vithkuqi Wancho Warang_Citi Yezidi Yi
Zanabazar_Square
""".split()
SCRIPT_ALIASES = """
Adlm Aghb Arab Armi Armn Avst Bali Bamu Bass Batk Beng Bhks Bopo Brah Brai Bugi Buhd Cakm Cans Cari Cher Chrs Copt
Cpmn Cprt Cyrl Deva Diak Dogr Dsrt Dupl Egyp Elba Elym Ethi Gara Geor Glag Gong Gonm Goth Gran Grek Gujr Gukh Guru
Hang Hani Hano Hatr Hebr Hira Hluw Hmng Hmnp Hung Ital Java Kali Kana Khar Khmr Khoj Kits Knda Krai Kthi Lana Laoo
Latn Lepc Limb Lina Linb Lyci Lydi Mahj Maka Mand Mani Marc Medf Mend Merc Mero Mlym Mong Mroo Mtei Mult Mymr Nagm
Nand Narb Nbat Nkoo Nshu Ogam Olck Onao Orkh Orya Osge Osma Ougr Palm Pauc Perm Phag Phli Phlp Phnx Plrd Prti Qaac
Qaai Rjng Rohg Runr Samr Sarb Saur Sgnw Shaw Shrd Sidd Sind Sinh Sogd Sogo Sora Soyo Sund Sunu Sylo Syrc Tagb Takr
Tale Talu Taml Tang Tavt Telu Tfng Tglg Thaa Tibt Tirh Tnsa Todr Tutg Ugar Vaii Vith Wara Wcho Xpeo Xsux Yezi Yiii
Zanb Zinh Zyyy Zzzz
""".split()
BLOCKS = """
Basic_Latin Latin_1_Supplement Latin_Extended_A Latin_Extended_B IPA_Extensions Spacing_Modifier_Letters
Combining_Diacritical_Marks Greek_and_Coptic Cyrillic Cyrillic_Supplement Armenian Hebrew Arabic Syriac
Arabic_Supplement Thaana NKo Samaritan Mandaic Syriac_Supplement Arabic_Extended_B Arabic_Extended_A Devanagari
Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada Malayalam Sinhala Thai Lao Tibetan Myanmar Georgian Hangul_Jamo
Ethiopic Ethiopic_Supplement Cherokee Unified_Canadian_Aboriginal_Syllabics Ogham Runic Tagalog Hanunoo Buhid Tagbanwa
Khmer Mongolian Unified_Canadian_Aboriginal_Syllabics_Extended Limbu Tai_Le New_Tai_Lue Khmer_Symbols Buginese
Tai_Tham Combining_Diacritical_Marks_Extended Balinese Sundanese Batak Lepcha Ol_Chiki Cyrillic_Extended_C
Georgian_Extended Sundanese_Supplement Vedic_Extensions Phonetic_Extensions Phonetic_Extensions_Supplement
Combining_Diacritical_Marks_Supplement Latin_Extended_Additional Greek_Extended General_Punctuation
Superscripts_and_Subscripts Currency_Symbols Combining_Diacritical_Marks_for_Symbols Letterlike_Symbols Number_Forms
Arrows Mathematical_Operators Miscellaneous_Technical Control_Pictures Optical_Character_Recognition
Enclosed_Alphanumerics Box_Drawing Block_Elements Geometric_Shapes Miscellaneous_Symbols Dingbats
Miscellaneous_Mathematical_Symbols_A Supplemental_Arrows_A Braille_Patterns Supplemental_Arrows_B
Miscellaneous_Mathematical_Symbols_B Supplemental_Mathematical_Operators Miscellaneous_Symbols_and_Arrows Glagolitic
Latin_Extended_C Coptic Georgian_Supplement Tifinagh Ethiopic_Extended Cyrillic_Extended_A Supplemental_Punctuation
CJK_Radicals_Supplement Kangxi_Radicals Ideographic_Description_Characters CJK_Symbols_and_Punctuation Hiragana
Katakana Bopomofo Hangul_Compatibility_Jamo Kanbun Bopomofo_Extended CJK_Strokes Katakana_Phonetic_Extensions
Enclosed_CJK_Letters_and_Months CJK_Compatibility CJK_Unified_Ideographs_Extension_A Yijing_Hexagram_Symbols
CJK_Unified_Ideographs Yi_Syllables Yi_Radicals Lisu Vai Cyrillic_Extended_B Bamum Modifier_Tone_Letters
Latin_Extended_D Syloti_Nagri Common_Indic_Number_Forms Phags_pa Saurashtra Devanagari_Extended Kayah_Li Rejang
Hangul_Jamo_Extended_A Javanese Myanmar_Extended_B Cham Myanmar_Extended_A Tai_Viet Meetei_Mayek_Extensions
Ethiopic_Extended_A Latin_Extended_E Cherokee_Supplement Meetei_Mayek Hangul_Syllables Hangul_Jamo_Extended_B
High_Surrogates High_Private_Use_Surrogates Low_Surrogates Private_Use_Area CJK_Compatibility_Ideographs
Alphabetic_Presentation_Forms Arabic_Presentation_Forms_A Variation_Selectors Vertical_Forms Combining_Half_Marks
CJK_Compatibility_Forms Small_Form_Variants Arabic_Presentation_Forms_B Halfwidth_and_Fullwidth_Forms Specials
Linear_B_Syllabary Linear_B_Ideograms Aegean_Numbers Ancient_Greek_Numbers Ancient_Symbols Phaistos_Disc Lycian Carian
Coptic_Epact_Numbers Old_Italic Gothic Old_Permic Ugaritic Old_Persian Deseret Shavian Osmanya Osage Elbasan
Caucasian_Albanian Vithkuqi Todhri Linear_A Latin_Extended_F Cypriot_Syllabary Imperial_Aramaic Palmyrene Nabataean
Hatran Phoenician Lydian Meroitic_Hieroglyphs Meroitic_Cursive Kharoshthi Old_South_Arabian Old_North_Arabian
Manichaean Avestan Inscriptional_Parthian Inscriptional_Pahlavi Psalter_Pahlavi Old_Turkic Old_Hungarian
Hanifi_Rohingya Garay Rumi_Numeral_Symbols Yezidi Arabic_Extended_C Old_Sogdian Sogdian Old_Uyghur Chorasmian Elymaic
Brahmi Kaithi Sora_Sompeng Chakma Mahajani Sharada Sinhala_Archaic_Numbers Khojki Multani Khudawadi Grantha
Tulu_Tigalari Newa Tirhuta Siddham Modi Mongolian_Supplement Takri Myanmar_Extended_C Ahom Dogra Warang_Citi
Dives_Akuru Nandinagari Zanabazar_Square Soyombo Unified_Canadian_Aboriginal_Syllabics_Extended_A Pau_Cin_Hau
Devanagari_Extended_A Sunuwar Bhaiksuki Marchen Masaram_Gondi Gunjala_Gondi Makasar Kawi Lisu_Supplement
Tamil_Supplement Cuneiform Cuneiform_Numbers_and_Punctuation Early_Dynastic_Cuneiform Cypro_Minoan
Egyptian_Hieroglyphs Egyptian_Hieroglyph_Format_Controls Egyptian_Hieroglyphs_Extended_A Anatolian_Hieroglyphs
Gurung_Khema Bamum_Supplement Mro Tangsa Bassa_Vah Pahawh_Hmong Kirat_Rai Medefaidrin Miao
Ideographic_Symbols_and_Punctuation Tangut Tangut_Components Khitan_Small_Script Tangut_Supplement Kana_Extended_B
Kana_Supplement Kana_Extended_A Small_Kana_Extension Nushu Duployan Shorthand_Format_Controls
Symbols_for_Legacy_Computing_Supplement Znamenny_Musical_Notation Byzantine_Musical_Symbols Musical_Symbols
Ancient_Greek_Musical_Notation Kaktovik_Numerals Mayan_Numerals Tai_Xuan_Jing_Symbols Counting_Rod_Numerals
Mathematical_Alphanumeric_Symbols Sutton_SignWriting Latin_Extended_G Glagolitic_Supplement Cyrillic_Extended_D
Nyiakeng_Puachue_Hmong Toto Wancho Nag_Mundari Ol_Onal Ethiopic_Extended_B Mende_Kikakui Adlam Indic_Siyaq_Numbers
Ottoman_Siyaq_Numbers Arabic_Mathematical_Alphabetic_Symbols Mahjong_Tiles Domino_Tiles Playing_Cards
Enclosed_Alphanumeric_Supplement Enclosed_Ideographic_Supplement Miscellaneous_Symbols_and_Pictographs Emoticons
Ornamental_Dingbats Transport_and_Map_Symbols Alchemical_Symbols Geometric_Shapes_Extended Supplemental_Arrows_C
Supplemental_Symbols_and_Pictographs Chess_Symbols Symbols_and_Pictographs_Extended_A Symbols_for_Legacy_Computing
CJK_Unified_Ideographs_Extension_B CJK_Unified_Ideographs_Extension_C CJK_Unified_Ideographs_Extension_D
CJK_Unified_Ideographs_Extension_E CJK_Unified_Ideographs_Extension_F CJK_Unified_Ideographs_Extension_I
CJK_Compatibility_Ideographs_Supplement CJK_Unified_Ideographs_Extension_G CJK_Unified_Ideographs_Extension_H Tags
Variation_Selectors_Supplement Supplementary_Private_Use_Area_A Supplementary_Private_Use_Area_B No_Block
""".split()
BINARIES = """Alphabetic Lowercase Uppercase White_Space Cased Case_Ignorable Ideographic Unified_Ideograph Radical Emoji
Emoji_Component Emoji_Modifier Emoji_Modifier_Base Emoji_Presentation Extended_Pictographic Regional_Indicator
Variation_Selector Join_Control Dash Hyphen Quotation_Mark Terminal_Punctuation Sentence_Terminal Diacritic Extender Math
Hex_Digit ASCII_Hex_Digit Noncharacter_Code_Point Default_Ignorable_Code_Point Bidi_Control""".split()
BINARY_ALIASES = """WSpace CI Ideo UIdeo EComp EMod EBase EPres ExtPict RI VS Join_C QMark Term STerm Dia Ext Hex AHex
NChar DI Bidi_C""".split()
POSIX = "alnum alpha blank cntrl digit graph lower print punct space upper xdigit word ascii".split()
POSIX_PROPERTIES = "Alnum Alpha Blank Cntrl Digit Graph Lower Print PosixPunct Space Upper XDigit Word ASCII".split()

# Expressions that the test of loam searches in all code points, in addition to every property.
EXPRESSIONS = [
    r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\h", r"\H", r".", r"\pL", r"\PN", r"\p{^Lu}", r"\P{^Lu}",
    r"[^\p{L}\p{N}\s]", r"[\p{L}&&\p{Lu}]", r"[^\p{L}&&[^\p{Lu}]]", r"[\P{L}&&\P{N}&&[^\p{P}\s]]", r"[[:^alpha:]]",
    r"[^[:^alpha:]]", r"[\W\d]", r"[^\W\d]", r"[a-z&&[^aeiou]\p{Greek}]", r"[\x{61}-\u007A\o{101}\x41\103]",
    r"\p{ uppercase-LETTER }", r"[\p{Han}\p{Hiragana}\p{Katakana}]", r" ?[^(\s|[.,!?…。，、।۔،])]+",
    r"(?i)[\p{Lu}]", r"(?i)\p{Lu}", r"(?i:[\p{Garay}])", r"(?i:[^\p{Lu}])", r"(?i:[a-z])", r"(?i:k)", r"(?i:\x{264})",
    r"(?i:[\x{264}])", r"(?i:[^\x{264}])", r"(?i:[[:upper:]])", r"(?i:[ß])", r"(?i)\w", r"(?i:ɤ|\p{Vithkuqi})",
    r"(?i:[^\W_])", r"(?i:a(?-i:\p{Lu})|[\p{Lt}])", r"(?<=\n)\w", r"(?x) [\p{L} ] # letters [", r"\p{L}++", r"\p{N}{1,3}",
    r"\p{L}\b.", r"\B\p{M}", r"\p{Word}", r"\p{^Word}", r"[\w]", r"(?i)\W",
]


# ---- Observing ----


def to_point(place):
    return place if place < SURROGATES[0] else place + SURROGATES[1] - SURROGATES[0]


def to_spans(points):
    """{1, 2, 3, 7} as [(1, 4), (7, 8)]. Surrogates are never in a text, so a span may include them."""
    spans = []
    for point in sorted(points):
        if spans and (spans[-1][1] == point or (spans[-1][1], point) == SURROGATES):
            spans[-1][1] = point + 1
        else:
            spans.append([point, point + 1])
    return [tuple(span) for span in spans]


def to_points(spans):
    return {p for start, end in spans for p in range(start, end) if not SURROGATES[0] <= p < SURROGATES[1]}


def matched(expression):
    """Spans of the code points that the expression matches in a text of all code points in order."""
    split = pre_tokenizers.Split(Regex(expression), "removed")
    spans, at = [], 0
    for _, (start, end) in split.pre_tokenize_str(TEXT) + [("", (len(TEXT), len(TEXT)))]:
        if at < start:
            spans.append((to_point(at), to_point(start - 1) + 1))
        at = end
    return spans


def partition(names, property_of):
    """{code point: index of the name whose property it has}, `len(names)` if it has none. For each bit of the index, one
    expression finds its ones and another its zeros, which proves that no point has two."""
    bits = max(1, (len(names) - 1).bit_length())
    ones, zeros = dict.fromkeys(POINTS, 0), dict.fromkeys(POINTS, 0)
    for bit in range(bits):
        for seen, wanted in ((ones, 1), (zeros, 0)):
            inside = [property_of(name) for index, name in enumerate(names) if index >> bit & 1 == wanted]
            if inside:
                for point in to_points(matched("[" + "".join(inside) + "]")):
                    seen[point] |= 1 << bit
    values = {}
    for point in POINTS:
        known = ones[point] ^ zeros[point] == (1 << bits) - 1
        assert known or ones[point] == zeros[point] == 0, hex(point)
        values[point] = ones[point] if known else len(names)
    return values


def aliases(names, aliases_, values, property_of):
    """The index of each alias, found by one point of each index and proved by the partition that they form."""
    first = {}
    for point in POINTS:
        first.setdefault(values[point], point)
    text, order = "".join(map(chr, first.values())), list(first)
    found = {}
    for alias in aliases_:
        pieces = pre_tokenizers.Split(Regex(property_of(alias)), "removed", invert=True).pre_tokenize_str(text)
        assert len(pieces) == 1 and len(pieces[0][0]) == 1, (alias, pieces)
        found[alias] = order[pieces[0][1][0]]
    spelt = list(names)
    for alias, index in found.items():
        if index < len(spelt):
            spelt[index] = alias
    assert partition(spelt, property_of) == values
    return found


def changed_by(function):
    return {point: after for point in POINTS if (after := function(chr(point))) != chr(point)}


def boundaries(pre_tokenizer, before, after):
    """For each code point between the two texts, whether a piece ends to its left and to its right."""
    width = len(before) + 1 + len(after)
    text = "".join(before + chr(point) + after for point in POINTS)
    starts, ends = set(), set()
    for _, (start, end) in pre_tokenizer.pre_tokenize_str(text):
        starts.add(start)
        ends.add(end)
    for index, point in enumerate(POINTS):
        place = index * width + len(before)
        yield point, place in ends, place in starts, place + 1 in ends


def alone(pre_tokenizer):
    return {point for point, _, starts, ends in boundaries(pre_tokenizer, "a", "a") if starts and ends}


def around_added(token, text_of, inside):
    """Code points beside an added token for which `inside(encoding)` holds."""
    tokenizer = Tokenizer(models.BPE(vocab={}, merges=[]))
    tokenizer.add_tokens([token])
    found = set()
    for start in range(0, len(POINTS), 100000):
        chunk = POINTS[start : start + 100000]
        for point, encoding in zip(chunk, tokenizer.encode_batch([text_of(chr(p)) for p in chunk])):
            if inside(encoding):
                found.add(point)
    return found


def rust_classes():
    """The classes of the parts without expressions, from every place that uses a class."""
    words, spaces = set(), set()
    for point, _, starts, ends in boundaries(pre_tokenizers.Whitespace(), "a", " "):
        if ends and not starts:
            words.add(point)
        elif not ends:
            spaces.add(point)
    split = {point for point, _, starts, _ in boundaries(pre_tokenizers.WhitespaceSplit(), " ", " ") if not starts}
    strip = normalizers.Strip()
    assert spaces == split == {point for point in POINTS if strip.normalize_str(chr(point)) == ""}
    single = AddedToken("xyz", single_word=True)
    assert words == around_added(single, lambda c: "xyz" + c, lambda encoding: not encoding.ids)
    assert words == around_added(single, lambda c: c + "xyz", lambda encoding: not encoding.ids)
    left, right = AddedToken("xyz", lstrip=True), AddedToken("xyz", rstrip=True)
    assert spaces == around_added(left, lambda c: c + "xyz", lambda encoding: encoding.offsets[0][0] == 0)
    assert spaces == around_added(right, lambda c: "xyz" + c, lambda encoding: encoding.offsets[0][1] == 4)
    digits = alone(pre_tokenizers.Digits(individual_digits=True))
    punctuation = alone(pre_tokenizers.Punctuation("isolated"))
    return {"word": words, "white space": spaces, "numeric": digits, "punctuation": punctuation}


def combining_ranks():
    """{mark: rank of its combining class}, from the order in which NFD puts two marks."""
    nfd = normalizers.NFD().normalize_str
    marks = [p for p in POINTS if nfd(chr(p)) == chr(p)
             and (nfd(chr(p) + "\u0334") != chr(p) + "\u0334" or nfd("\u0345" + chr(p)) != "\u0345" + chr(p))]
    marks = sorted({*marks, 0x334, 0x345})
    classes = []  # in order, each a list of marks
    for mark in marks:
        low, high = 0, len(classes)
        while low < high:
            middle = (low + high) // 2
            other = chr(classes[middle][0])
            if nfd(chr(mark) + other) != chr(mark) + other:
                low = middle + 1
            elif nfd(other + chr(mark)) != other + chr(mark):
                high = middle
            else:
                classes[middle].append(mark)
                break
        else:
            classes.insert(low, [mark])
    return {mark: rank for rank, members in enumerate(classes, 1) for mark in members}


def is_hangul(point):
    return 0xAC00 <= point <= 0xD7A3


def compositions(canonical):
    """[(first, second, composite)] of NFC, without Hangul."""
    nfc = normalizers.NFC().normalize_str
    found = []
    for point, parts in canonical.items():
        if nfc(parts) != chr(point):
            continue
        first = nfc(parts[:-1])
        assert len(first) == 1 and nfc(first + parts[-1]) == chr(point), hex(point)
        found.append((ord(first), ord(parts[-1]), point))
    return sorted(found)


def escaped(point):
    return "\\x{%x}" % point


def case_orbits():
    """Sets of code points that match each other without regard to case, as sorted tuples."""
    cased = sorted(to_points(matched(r"[\p{CWCF}\p{CWCM}\p{CWU}\p{CWL}\p{CWT}]")))
    text = "\n".join(map(chr, cased))
    orbits = set()
    for point in cased:
        split = pre_tokenizers.Split(Regex("(?i:" + escaped(point) + ")"), "removed", invert=True)
        orbits.add(tuple(sorted(ord(piece) for piece, _ in split.pre_tokenize_str(text))))
    members = [point for orbit in orbits for point in orbit]
    assert len(members) == len(set(members)) == len(cased)
    # Proves that there are no further pairs: two points differ in a bit, so the class of points with that bit would match a
    # point without it. An expression is limited to 10,000 ranges, so for the low bits alone most unassigned points and other
    # letters are left out.
    others = set(POINTS) - set(cased)
    fewer = others & to_points(matched(r"[\p{L}\p{M}\p{N}\p{S}&&[^\p{Lo}]]"))
    for bit in range(21):
        inside = to_spans(p for p in (fewer if bit < 8 else others) if p >> bit & 1)
        assert merge(matched("(?i:[" + ranges(inside) + "])")) == inside
    return sorted(orbit for orbit in orbits if len(orbit) > 1)


def ranges(spans):
    """Spans as the inside of a class, without the surrogates."""
    parts = []
    for start, end in spans:
        for low, high in ((start, min(end, SURROGATES[0])), (max(start, SURROGATES[1]), end)):
            if low < high:
                parts.append(escaped(low) + "-" + escaped(high - 1))
    return "".join(parts)


def folded_sequences():
    """{code point: the text of several characters that it matches without regard to case}."""
    found = {}
    for point in POINTS:
        folded = chr(point).casefold()
        if len(folded) == 1:
            continue
        split = pre_tokenizers.Split(Regex("(?i:[" + chr(point) + "])"), "removed", invert=True)
        assert split.pre_tokenize_str(folded) == [(folded, (0, len(folded)))], hex(point)
        found[point] = folded
    return found


def version(table, known):
    """The version of Unicode of a table with these code points."""
    steps = sorted(NEWCOMERS[table].items(), key=lambda item: float(item[0]))
    knows = [point in known for _, point in steps]
    assert knows == sorted(knows, reverse=True), (table, knows)
    newest = [name for name, point in steps if point in known]
    return f"Unicode {newest[-1]}" if newest else f"older than Unicode {steps[0][0]}"


# ---- Writing ----


def digest(data):
    """FNV-1a of 64 bits, as in tests/unit/text/test_unicode.c."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def spans_digest(spans):
    return digest(b"".join(number.to_bytes(3, "little") for span in spans for number in span))


def texts_digest(changed):
    data = (point.to_bytes(3, "little") + after.encode() + b"\0" for point, after in sorted(changed.items()))
    return digest(b"".join(data))


def runs(values, default):
    """[first << VALUE_BITS | value] for runs from code point 0 on; each run ends where the next begins."""
    result, last = [], None
    for point in POINTS:
        value = values.get(point, default)
        if value != last:
            result.append(point << VALUE_BITS | value)
        last = value
    return result


def rows(items, width=118):
    """The items, separated by commas, in lines of at most `width` characters."""
    line, lines = "   ", []
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join(lines + [line])


class Source:
    def __init__(self, note):
        self.parts = [
            f"// Made by scripts/unicode_tables.py from `tokenizers` {PINNED}; never changed by hand.",
            "// clang-format off", *(f"// {line}" for line in note), '#include "text/unicode_data.h"', "",
        ]

    def array(self, declaration, items):
        self.parts += [f"{declaration} = {{", rows(items), "};", ""]

    def table(self, name, values, default):
        numbers = runs(values, default)
        self.array(f"static const uint32_t {name}_items[]", map(str, numbers))
        self.parts += [f"const struct loam_runs loam_unicode_{name} = {{{name}_items, {len(numbers)}}};", ""]

    def text(self):
        return "\n".join(self.parts).rstrip("\n") + "\n"


def plain_name(name):
    return name.replace("_", "").replace(" ", "").replace("-", "").lower()


def describe(spans, sets):
    """A class as (categories, name of the table of one further property), if possible."""
    points = to_points(spans)
    inside = [i for i, category in enumerate(CATEGORIES) if sets["category"][category] <= points]
    rest = points.difference(*(sets["category"][CATEGORIES[i]] for i in inside))
    for name in [None, *BINARIES]:
        extra = sets["binary"][name] if name else set()
        if rest <= extra and extra <= points:
            return sum(1 << i for i in inside), name
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    options = parser.parse_args()
    if tokenizers.__version__ != PINNED:
        sys.exit(f"unicode_tables.py: tokenizers {PINNED} is wanted, {tokenizers.__version__} is here")
    files = make_files()
    bad = 0
    for path, text in files.items():
        full = os.path.join(ROOT, path)
        if options.check:
            with open(full, encoding="utf-8") as file:
                if file.read() != text:
                    print(f"{path}: not what tokenizers {PINNED} gives; run scripts/unicode_tables.py")
                    bad = 1
        else:
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
    return bad


def property_files(digests):
    """Categories, scripts, blocks and properties of Oniguruma, and every name that an expression may use."""
    named = "\\p{{{}}}".format
    block_named = "\\p{{In_{}}}".format
    category = partition(CATEGORIES, named)
    script = partition(SCRIPTS, named)
    block = partition(BLOCKS, block_named)
    sets = {"category": {name: set() for name in CATEGORIES}, "binary": {}}
    for point, value in category.items():
        sets["category"][CATEGORIES[value]].add(point)
    spans = {}
    for name in BINARIES:
        spans[name] = matched(named(name))
        sets["binary"][name] = to_points(spans[name])
    properties = {}  # plain name: (categories, table, value)
    own = {}
    for names, others, values, table, spell in (
        (SCRIPTS, SCRIPT_ALIASES, script, "scripts", named),
        (BLOCKS, [], block, "blocks", block_named),
    ):
        meaning = {name: index for index, name in enumerate(names)} | (aliases(names, others, values, spell) if others else {})
        members = {}
        for point, index in values.items():
            members.setdefault(index, []).append(point)
        for name, index in meaning.items():
            spelt = spell(name)[3:-1]
            properties[plain_name(spelt)] = 0, table, index
            digests.append((spell(name), members.get(index, [])))
    for name in CATEGORIES:
        digests.append((named(name), sets["category"][name]))
        properties[plain_name(name)] = 1 << CATEGORIES.index(name), None, 0
    for name in BINARIES:
        digests.append((named(name), sets["binary"][name]))
        properties[plain_name(name)] = 0, name, 1
    for name, expression in [(n, named(n)) for n in CATEGORY_NAMES + BINARY_ALIASES + POSIX_PROPERTIES] + \
            [(f":{n}", f"[[:{n}:]]") for n in POSIX]:
        # Oniguruma's test for a lone \w, and \p{Word}, accepts more of Latin-1 than its class.
        expression = "[\\p{Word}]" if name == "Word" else expression
        found = matched(expression)
        meaning = describe(found, sets)
        if meaning is None:  # needs a separate table
            meaning = 0, plain_name(name).replace(":", "")
            assert own.setdefault(meaning[1], to_points(found)) == to_points(found)
        properties[plain_name(name)] = *meaning, 1
        digests.append((expression, to_points(found)))

    assigned = {point for point in POINTS if CATEGORIES[category[point]] != "Cn"}
    oniguruma = f"Oniguruma has them: {version('scripts', assigned)}."
    partitions = Source([f"Categories, scripts and blocks, as the package's {oniguruma}"])
    partitions.table("categories", category, None)
    partitions.table("scripts", script, None)
    partitions.table("blocks", block, None)

    letters, listed = (Source([f"Properties of {kind}, as the package's {oniguruma}"]) for kind in ("letters", "other kinds"))
    for name, points in (sets["binary"] | own).items():
        source = letters if name in BINARIES[:5] else listed
        source.table(name.lower(), dict.fromkeys(points, 1), 0)
    items = []
    for name, (mask, table, value) in sorted(properties.items()):
        place = "NULL" if table is None else f"&loam_unicode_{table.lower()}"
        items.append(f'{{"{name}", {mask:#x}, {place}, {value if table else 0}}}')
    names = Source([f"The names of properties in their order, as the package's {oniguruma}"])
    names.parts += [f"extern const struct loam_runs loam_unicode_{name.lower()};" for name in sets["binary"] | own] + [""]
    names.array("const struct loam_unicode_property loam_unicode_properties[]", items)
    names.parts.append(f"const size_t loam_unicode_property_count = {len(items)};")
    return {
        "src/text/unicode_data_partitions.c": partitions.text(),
        "src/text/unicode_data_letters.c": letters.text(),
        "src/text/unicode_data_binary.c": listed.text(),
        "src/text/unicode_data_names.c": names.text(),
    }, oniguruma


def case_file(oniguruma):
    orbits = case_orbits()
    sequences = folded_sequences()
    # Sequences of several characters are left to Oniguruma: Unicode has not changed them since 5.1.
    parts = {ord(c) for text in sequences.values() for c in text}
    parts |= {p for orbit in orbits for p in orbit if parts & set(orbit)}
    values = dict.fromkeys(parts | set(range(0x80)), 1) | dict.fromkeys(sequences, 2)
    source = Source([f"Characters that match each other where case is ignored, as the package's {oniguruma}"])
    source.table("sequences", values, 0)
    pairs = [(a, b) for orbit in orbits for a in orbit for b in orbit if a < b]
    source.array("const struct loam_code_point_pair loam_unicode_case_pairs[]",
                 (f"{{{a}, {b}}}" for a, b in sorted(pairs)))
    source.parts.append(f"const size_t loam_unicode_case_pair_count = {len(pairs)};")
    return {"src/text/unicode_data_case.c": source.text()}


def class_file(digests):
    classes = rust_classes()
    values = {}
    for bit, (name, points) in enumerate(classes.items()):
        digests.append((name, points))
        for point in points:
            values[point] = values.get(point, 0) | 1 << bit
    lower = changed_by(normalizers.Lowercase().normalize_str)
    assert lower[0x130] == "i\u0307" and all(len(after) == 1 for point, after in lower.items() if point != 0x130)
    lower[0x130] = "i"
    source = Source([
        "The classes of the parts that are no expressions, and lower case:",
        f"word characters by the crate regex (Whitespace, single_word): {version('words', classes['word'])};",
        f"numeric by Rust's standard library (Digits): {version('numbers', classes['numeric'])};",
        f"punctuation by the crate unicode_categories (Punctuation): {version('punctuation', classes['punctuation'])};",
        f"lower case by Rust's standard library (Lowercase): {version('lower case', lower)}.",
    ])
    source.table("classes", values, 0)
    source.array("const struct loam_code_point_pair loam_unicode_lower_pairs[]",
                 (f"{{{point}, {ord(after)}}}" for point, after in sorted(lower.items())))
    source.parts.append(f"const size_t loam_unicode_lower_pair_count = {len(lower)};")
    return {"src/text/unicode_data_classes.c": source.text()}


def normal_files(forms):
    canonical = {p: t for p, t in forms["NFD"].items() if not is_hangul(p)}
    compatible = {p: t for p, t in forms["NFKD"].items() if not is_hangul(p) and t != canonical.get(p)}
    pool, pooled = [], {}

    def place(text):
        points = tuple(map(ord, text))
        if points not in pooled:
            pooled[points] = len(pool)
            pool.extend(points)
        return pooled[points]

    crate = "as the crate unicode-normalization-alignments has them"
    known = version("decompositions", {*canonical, *compatible})
    source, more = (Source([f"{kind} decompositions, {crate}: {known}."]) for kind in ("Canonical", "Compatible"))
    for source_, name, table in ((source, "canonical", canonical), (more, "compatible", compatible)):
        source_.array(f"static const struct loam_decomposition {name}_items[]",
                     (f"{{{point}, {place(text)}, {len(text)}}}" for point, text in sorted(table.items())))
        source_.parts += [f"const struct loam_decompositions loam_unicode_{name} = {{{name}_items, {len(table)}}};", ""]
    assert len(pool) < 1 << 16
    source.array("const uint32_t loam_unicode_parts[]", map(str, pool))
    ranks = combining_ranks()
    pairs = compositions(canonical)
    other = Source([f"Combining classes, as ranks in their order, {crate}: {version('combining', ranks)};",
                    f"and what composes to what, without Hangul: {known}."])
    other.table("combining", ranks, 0)
    other.array("const struct loam_composition loam_unicode_compositions[]", (f"{{{a}, {b}, {c}}}" for a, b, c in pairs))
    other.parts.append(f"const size_t loam_unicode_composition_count = {len(pairs)};")
    return {"src/text/unicode_data_canonical.c": source.text(), "src/text/unicode_data_compatible.c": more.text(),
            "src/text/unicode_data_compositions.c": other.text()}


def digest_file(digests, forms, boundary):
    """The digests of the test: of the spans of each class, and of the characters that each form changes."""
    lines = [f"// Made by scripts/unicode_tables.py from `tokenizers` {PINNED}; never changed by hand.",
             "// clang-format off",
             "// What the package gives for every code point: classes by FNV-1a of 64 bits over the spans of their code points (3 bytes",
             "// for each end), forms over the characters that change (3 bytes) and what they become, with a zero byte.",
             "#ifndef LOAM_TESTS_UNICODE_DIGESTS_H", "#define LOAM_TESTS_UNICODE_DIGESTS_H", "", "#include <stdint.h>", "",
             "struct digest {", "    const char *name; // an expression, a class or a form", "    uint64_t value;", "};"]

    def add(name, items):
        lines.extend(["", f"static const struct digest {name}[] = {{",
                      rows(f"{{{c_string(key)}, {value:#018x}}}" for key, value in items), "};"])

    named = [(key, points) for key, points in digests if key.startswith(("\\", "["))]
    add("property_digests", [(key, spans_digest(to_spans(points))) for key, points in named])
    add("expression_digests", [(key, spans_digest(merge(matched(key)))) for key in EXPRESSIONS])
    add("class_digests", [(key, spans_digest(to_spans(points))) for key, points in digests if not key.startswith(("\\", "["))])
    add("boundary_digests", [(key, spans_digest(to_spans(points))) for key, points in boundary.items()])
    add("form_digests", [(key, texts_digest(changed)) for key, changed in forms.items()])
    lines += ["", "#endif", ""]
    return {"tests/unit/text/unicode_digests.h": "\n".join(lines)}


def merge(spans):
    """Joins spans that touch, also across the surrogates."""
    merged = []
    for start, end in spans:
        if merged and (merged[-1][1] == start or (merged[-1][1], start) == SURROGATES):
            merged[-1][1] = end
        else:
            merged.append([start, end])
    return [tuple(span) for span in merged]


def c_string(text):
    body = "".join(c if " " <= c <= "~" and c not in '"\\?' else "\\" + c if c in '"\\?' else
                   "".join(f"\\{byte:03o}" for byte in c.encode()) for c in text)
    return f'"{body}"'


# Contexts for normal forms: next to a mark of the lowest and of the highest combining class, which a normal form reorders
# with the marks that it knows, and between a letter and a mark that composes with it.
CONTEXTS = {"": ("", ""), " between e and U+0334": ("e", "\u0334"), " after e U+0345": ("e\u0345", ""),
            " between e and U+0301": ("e", "\u0301")}


def normal_forms():
    """{form: {code point: its result}}, in each context, and lower case."""
    forms = {}
    for name in ("NFC", "NFD", "NFKC", "NFKD"):
        normalize = getattr(normalizers, name)().normalize_str
        for context, (before, after) in CONTEXTS.items():
            found = ((point, before + chr(point) + after) for point in POINTS)
            forms[name + context] = {point: form for point, text in found if (form := normalize(text)) != text}
    forms["Lowercase"] = changed_by(normalizers.Lowercase().normalize_str)
    return forms


def word_boundaries():
    """Code points between letters with a word boundary on a side, by the expression that finds it."""
    text = "".join("a" + chr(point) for point in POINTS)
    found = {}
    for expression, side in ((r"(?<=a)\b", 1), (r"\b(?=a)", 2)):
        pieces = pre_tokenizers.Split(Regex(expression), "isolated").pre_tokenize_str(text)
        starts = {start for _, (start, _) in pieces}
        found[expression] = {point for index, point in enumerate(POINTS) if 2 * index + side in starts}
    return found


def make_files():
    digests = []
    forms = normal_forms()
    files, oniguruma = property_files(digests)
    files |= case_file(oniguruma) | class_file(digests) | normal_files(forms)
    return files | digest_file(digests, forms, word_boundaries())


if __name__ == "__main__":
    sys.exit(main())
