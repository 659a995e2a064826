#!/usr/bin/env python3
"""Writes short stories about people, things and places: text to train a base model on, or questions in SQuAD v2 format.

    stories.py text COUNT SEED >FILE                  JSONL with a "text" in each line
    stories.py quiz COUNT SEED >FILE                  the same, each story with many short questions and answers
    stories.py questions train|dev COUNT SEED >FILE   SQuAD v2 JSON

Uses only the standard library, and of its generator only random(), so that every Python 3 writes the same bytes."""
import json
import random
import sys

import words

# Slots of a fact: n and m people, o a thing, p a place with its preposition, q a place to go to, t a town, f a food, j a
# job, c a colour, k a number, d a day. {an o} is "a kite", {the q} "the barn", {o} the word alone.
# kind: (group, slots, what a story says, [(question, slot that it names, slot that answers it)]). Within a group no value
# comes twice in a story, so that a question has one answer; a question without an answer names one that the group lacks.
KINDS = [
    ("thing", "op", ["The {o} is {p}.", "The {o} was {p}.", "Somebody had left {an o} {p}.", "{p} there is {an o}.",
                     "You can see {an o} {p}."],
     [("Where is the {o}?", "o", "p"), ("Where can I find the {o}?", "o", "p"), ("What is {p}?", "p", "o")]),
    ("thing", "nop", ["{n} found {an o} {p}.", "{n} saw {an o} {p}."],
     [("What did {n} find?", "n", "o"), ("Who found the {o}?", "o", "n"), ("Where was the {o} found?", "o", "p")]),
    ("thing", "no", ["{n} has {an o}.", "{n} owns {an o}.", "The {o} belongs to {n}."],
     [("What does {n} have?", "n", "o"), ("Who has the {o}?", "o", "n"), ("Who owns the {o}?", "o", "n")]),
    ("thing", "nmo", ["{n} gave {m} {an o}.", "{n} gave {an o} to {m}.", "{m} got {an o} from {n}."],
     [("What did {n} give away?", "n", "o"), ("What did {m} get?", "m", "o"), ("Who gave away the {o}?", "o", "n"),
      ("Who got the {o}?", "o", "m")]),
    ("thing", "nod", ["{n} bought {an o} on {d}.", "On {d} {n} bought {an o}."],
     [("What did {n} buy?", "n", "o"), ("Who bought the {o}?", "o", "n"), ("When was the {o} bought?", "o", "d")]),
    ("colour", "oc", ["The {o} is {c}.", "The colour of the {o} is {c}.", "The {o} was painted {c}."],
     [("What colour is the {o}?", "o", "c"), ("What is the colour of the {o}?", "o", "c"), ("What is {c}?", "c", "o")]),
    ("home", "nt", ["{n} lives in {t}.", "{n} comes from {t}.", "The home of {n} is {t}."],
     [("Where does {n} live?", "n", "t"), ("Who lives in {t}?", "t", "n"), ("Where does {n} come from?", "n", "t")]),
    ("job", "nj", ["{n} is {an j}.", "{n} works as {an j}.", "{n} wants to be {an j}."],
     [("What is the job of {n}?", "n", "j"), ("Who is the {j}?", "j", "n"), ("Who works as {an j}?", "j", "n")]),
    ("food", "nf", ["{n} likes {f}.", "{n} loves {f}.", "The favourite food of {n} is {f}.", "{n} eats {f} every day."],
     [("What does {n} like?", "n", "f"), ("What does {n} eat?", "n", "f"), ("Who likes {f}?", "f", "n")]),
    ("age", "nk", ["{n} is {k} years old.", "{n} turned {k} today."],
     [("How old is {n}?", "n", "k"), ("What is the age of {n}?", "n", "k"), ("Who is {k} years old?", "k", "n")]),
    ("way", "nqd", ["{n} went to {the q} on {d}.", "On {d} {n} walked to {the q}.", "{n} drove to {the q} on {d}."],
     [("Where did {n} go?", "n", "q"), ("Who went to {the q}?", "q", "n"), ("When did {n} go away?", "n", "d")]),
]
UNKNOWN = ["I do not know", "Nobody knows", "I can not tell"]
SAYS = "said replied answered whispered cried".split()


class Dice(random.Random):
    def below(self, limit):
        return int(self.random() * limit)

    def pick(self, values):
        return values[self.below(len(values))]

    def some(self, values, count):
        """Different ones of a list, in random order."""
        values = list(values)
        return [values.pop(self.below(len(values))) for _ in range(min(count, len(values)))]

    def chance(self, probability):
        return self.random() < probability


def vocabulary(part):
    """The values of each slot: all of them, or those of the question set's train or dev."""
    def share(values):
        return [value for i, value in enumerate(values) if part == "all" or (i % 4 == 3) == (part == "dev")]

    names, places = share(words.NAMES), share(words.PLACES)
    return {"n": names, "m": names, "o": share(words.OBJECTS), "p": [" ".join(place) for place in places],
            "q": [place[1][4:] for place in places], "t": share(words.TOWNS), "f": share(words.FOODS),
            "j": share(words.JOBS), "c": words.COLOURS, "k": words.NUMBERS, "d": words.DAYS}


def capital(text):
    return text[0].upper() + text[1:]


def fill(template, values):
    for slot, value in values.items():
        article = "an " if value[0] in "aeiou" else "a "
        template = template.replace("{an " + slot + "}", article + value)
        template = template.replace("{the " + slot + "}", "the " + value).replace("{" + slot + "}", value)
    return capital(template)


def forms(slot, value):
    """Ways to give a value as an answer, the shortest first."""
    if slot == "p":
        return [value[value.index(" ") + 1:], value]
    if slot == "q":
        return ["the " + value, "to the " + value]
    if slot in "oj":
        return [fill("{an x}", {"x": value}).lower(), "the " + value]
    if slot in "td":
        return [value, {"t": "in ", "d": "on "}[slot] + value]
    return [value]


class Story:
    """Some facts about some people, and the sentences that tell them."""

    def __init__(self, dice, values, once=False):
        """With once, each kind of fact comes once."""
        self.dice, self.values, self.once = dice, values, once
        self.people = dice.some(values["n"], 2 + dice.below(3))
        self.things = dice.some(values["o"], 2 + dice.below(3))
        self.used = {}  # group: the values that its facts name
        self.facts = []  # (kind, values, sentence)
        kinds = dice.some(KINDS, 3 + dice.below(3) if once else 1 + dice.below(3))
        for kind in kinds if once else (dice.pick(kinds) for _ in range(2 + dice.below(5))):
            self.add(kind)
        self.sentences = [fact[2] for fact in self.facts]
        for filler in dice.some(words.FILLERS, dice.below(2)):
            self.sentences.insert(dice.below(len(self.sentences) + 1), filler)
        self.text = " ".join(self.sentences)

    def add(self, kind):
        used = self.used.setdefault(kind[0], set())
        chosen = {}
        for slot in kind[1]:
            free = [value for value in self.cast(slot) if value not in used and value not in chosen.values()]
            if not free:
                return
            chosen[slot] = self.dice.pick(free)
        used.update(chosen.values())
        # A wish is no job yet: fine to talk about, not to ask a stranger.
        says = [text for text in kind[2] if not (self.once and "wants" in text)]
        self.facts.append((kind, chosen, fill(self.dice.pick(says), chosen)))

    def cast(self, slot):
        return {"n": self.people, "m": self.people, "o": self.things}.get(slot, self.values[slot])

    def asks(self, kind):
        """Its questions; with once, only those that a small base can read: for what follows in the telling, not for who."""
        return [ask for ask in kind[3] if not (self.once and ask[2] in "nmd")]

    def question(self, unknown):
        """A question and its fact and the slot that answers it; no fact where the story does not tell."""
        dice = self.dice
        kind, chosen, sentence = dice.pick(self.facts)
        text, key, answer = dice.pick(self.asks(kind))
        if not unknown:
            return fill(text, chosen), (sentence, answer, chosen[answer])
        values = self.cast(key) if dice.chance(0.6) else self.values[key]
        free = [value for value in values if value not in self.used[kind[0]]]
        if not free:
            free = [value for value in self.values[key] if value not in self.used[kind[0]]]
        return fill(text, {key: dice.pick(free)}), None


    def missing(self):
        """A question about someone or something in the story, of a kind that the story tells nothing of."""
        kind = self.dice.pick([kind for kind in KINDS if kind[0] not in self.used])
        text, key, _ = self.dice.pick(self.asks(kind))
        told = [value for value in self.cast(key) if value in self.text]
        return fill(text, {key: self.dice.pick(told or self.values[key])})


def dialogue(story):
    """Questions and answers in the ways of novels, of plays and of quizzes."""
    dice = story.dice
    asking, telling = dice.some(story.values["n"], 2)
    style, short = dice.below(5), dice.chance(0.5)
    parts = []
    for i in range(3 + dice.below(4)):
        question, fact = story.question(dice.chance(0.3))
        if fact is None:
            answer = dice.pick(UNKNOWN)
        elif dice.chance(0.05):
            answer = fact[0][:-1]
        else:
            ways = forms(fact[1], fact[2])
            answer = ways[0] if short else dice.pick(ways)
        if style == 0 and i == 0:
            parts.append(f'"{question}" asked {asking}. "{capital(answer)}," {dice.pick(SAYS)} {telling}.')
        elif style == 0:
            parts.append(f'"{question}" "{capital(answer)}."')
        elif style == 1:
            parts.append(f'{asking}: {question}\n{telling}: {capital(answer)}.')
        else:
            parts.append(f'{question}\n{answer}')
    return " ".join(parts) if style == 0 else "\n".join(parts)


def note(story):
    """A list that someone wrote: one value of each fact beside another."""
    dice = story.dice
    lines = []
    for kind, chosen, _ in story.facts:
        _, key, answer = dice.pick(kind[3])
        lines.append(forms(answer, chosen[answer])[0] + " - " + forms(key, chosen[key])[0])
    return f"{dice.pick(story.values['n'])} wrote a list.\n" + "\n".join(lines)


def retelling(story):
    """The same facts in other words and another order."""
    dice = story.dice
    facts = dice.some(story.facts, len(story.facts))
    return f"{dice.pick(story.values['n'])} told it again.\n" + " ".join(
        fill(dice.pick(kind[2]), chosen) for kind, chosen, _ in facts)


def quiz(story):
    """Two questions on each fact, and some that the story does not answer, in random order."""
    dice = story.dice
    pairs = []
    for kind, chosen, _ in story.facts:
        for text, _, answer in dice.some(kind[3], 2):
            pairs.append((fill(text, chosen), forms(answer, chosen[answer])[0]))
    for _ in range(1 + len(pairs) // 4):
        pairs.append((story.question(True)[0], UNKNOWN[0]))
    return "\n".join(f"{question}\n{answer}" for question, answer in dice.some(pairs, len(pairs)))


def quizzes(count, seed):
    dice, values = Dice(seed), vocabulary("all")
    for _ in range(count):
        story = Story(dice, values)
        yield story.text + "\n" + quiz(story)


def texts(count, seed):
    dice, values = Dice(seed), vocabulary("all")
    for _ in range(count):
        story = Story(dice, values)
        rest = (note, retelling, *[dialogue] * 8)[dice.below(10)]
        yield story.text + "\n" + rest(story)


def record(story, unknown, name):
    """A question in SQuAD's form, with the place of its answer in the story."""
    question, fact = (story.missing(), None) if unknown else story.question(False)
    answers = []
    if fact is not None:
        sentence, slot, value = fact
        start = story.text.index(sentence)
        ways = forms(slot, value)
        for text in ways + [capital(way) for way in ways]:
            at = story.text.find(text, start, start + len(sentence))
            if at >= 0:
                answers = [{"text": text, "answer_start": at}]
                break
    return {"id": name, "question": question, "is_impossible": unknown, "answers": answers}


def questions(part, count, seed):
    """The question set: three questions to a story, one of them without an answer."""
    dice, values = Dice(seed), vocabulary(part)
    stories = []
    while len(stories) < count // 3:
        story = Story(dice, values, once=True)
        name = f"{part}-{len(stories):03}"
        records = [record(story, i == 2, f"{name}-{i}") for i in range(3)]
        # One of the few stories with too little to ask about may ask twice: another in its place.
        if len({record["question"] for record in records}) == 3:
            stories.append({"title": name, "paragraphs": [{"context": story.text, "qas": records}]})
    return {"version": "v2.0", "data": stories}


def main(arguments):
    kinds = {"text": texts, "quiz": quizzes}
    if len(arguments) == 3 and arguments[0] in kinds:
        for text in kinds[arguments[0]](int(arguments[1]), int(arguments[2])):
            print(json.dumps({"text": text}))
    elif len(arguments) == 4 and arguments[0] == "questions" and arguments[1] in ("train", "dev"):
        print(json.dumps(questions(arguments[1], int(arguments[2]), int(arguments[3])), indent=1))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
