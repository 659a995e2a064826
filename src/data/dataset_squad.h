// SQuAD v1.1 and v2.0 JSON as published: articles of paragraphs, each a context with questions and gold
// answers.
#ifndef LOAM_DATA_DATASET_SQUAD_H
#define LOAM_DATA_DATASET_SQUAD_H

#include <stdbool.h>

#include "base/file.h"

// A string of the file; `size` counts what an escaped NUL would hide.
struct loam_squad_text {
    const char *text;
    size_t size;
};

struct loam_squad_question {
    struct loam_squad_text title; // of the article; "" where there is none
    struct loam_squad_text context;
    struct loam_squad_text question;
    struct loam_squad_text id; // "" where there is none
    const char *const *answers;
    size_t answer_count; // 0: unanswerable
    struct loam_squad_text first_answer;
    size_t line; // where the question's object begins
};

struct loam_squad; // every string once: questions share their context
// Parses `map`, the contents of the file that messages call `path`. Its pages are released behind the parser.
// With `skip_bad` a question or paragraph that breaks the format is left out and counted in `*bad`.
enum loam_status loam_squad_parse(struct loam_squad **out, const struct loam_map *map, const char *path,
                                  bool skip_bad, size_t *bad, struct loam_error *error);
void loam_squad_destroy(struct loam_squad *squad);
size_t loam_squad_count(const struct loam_squad *squad);
size_t loam_squad_longest(const struct loam_squad *squad); // the question with the most text; there is one
struct loam_squad_question loam_squad_at(const struct loam_squad *squad, size_t index);

#endif
