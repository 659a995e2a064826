#include "data/shape.h"

#include <string.h>

enum field {
    PROMPT,
    RESPONSE,
    INSTRUCTION,
    INPUT,
    OUTPUT,
    CONTEXT,
    QUESTION,
    ANSWER,
    ANSWERS,
    FIELDS,
};
static const char *const names[FIELDS] = {
    [PROMPT] = "prompt",           [RESPONSE] = "response", [INPUT] = "input",
    [INSTRUCTION] = "instruction", [OUTPUT] = "output",     [CONTEXT] = "context",
    [QUESTION] = "question",       [ANSWER] = "answer",     [ANSWERS] = "answers",
};

#define BIT(field) (1U << (field))
#define GIVE(text) "give --template FILE, made by printf '" text "{eos}' >FILE"

// The first row applies whose fields all exist. Rows with more fields come first; the last row always
// applies.
static const struct shape {
    unsigned bits;
    const char *advice;
} shapes[] = {
    {BIT(CONTEXT) | BIT(QUESTION) | BIT(ANSWERS),
     "this is SQuAD without its articles and paragraphs: jq -c '(if type == \"object\" then .data? // . else "
     ". "
     "end) | if type == \"array\" then .[] else . end | {context, question, answer: (.answers.text[0] // "
     "\"Can not "
     "find answer\")}' OLD >NEW.jsonl makes records for --template squad"},
    {BIT(CONTEXT) | BIT(QUESTION) | BIT(ANSWER), "give --template squad"},
    {BIT(INSTRUCTION) | BIT(CONTEXT) | BIT(RESPONSE),
     GIVE("### Instruction:\\n{instruction}\\n\\n### Input:\\n{context}\\n\\n### Response:\\n{response}")},
    {BIT(INSTRUCTION) | BIT(RESPONSE),
     GIVE("### Instruction:\\n{instruction}\\n\\n### Response:\\n{response}")},
    {BIT(QUESTION) | BIT(ANSWER), GIVE("Question: {question}\\nAnswer:\\n{answer}")},
    {BIT(PROMPT) | BIT(RESPONSE), GIVE("{prompt}\\n{response}")},
    {BIT(INPUT) | BIT(OUTPUT), GIVE("{input}\\n{output}")},
    {0, "give --template FILE, a text with {NAME} for the field NAME"},
};

unsigned loam_shape_bit(const char *name, size_t size)
{
    for (unsigned i = 0; i < FIELDS; i++)
        if (strlen(names[i]) == size && memcmp(names[i], name, size) == 0) return BIT(i);
    return 0;
}

const char *loam_shape_advice(unsigned bits)
{
    size_t i = 0;
    while ((shapes[i].bits & bits) != shapes[i].bits)
        i++;
    return shapes[i].advice;
}
