// SQuAD v1.1 and v2.0 JSON as published: articles with paragraphs, each with a context, questions and gold
// answers.
#ifndef LOAM_DATA_DATASET_SQUAD_H
#define LOAM_DATA_DATASET_SQUAD_H

#include <stdbool.h>

#include "base/file.h"

// A string of the file. It may contain NULs.
struct loam_squad_text {
    const char *text;
    size_t size;
};

struct loam_squad_question {
    struct loam_squad_text title; // of the article; "" if it has none
    struct loam_squad_text context;
    struct loam_squad_text question;
    struct loam_squad_text id;  // "" if it has none
    const char *const *answers; // [answer_count]
    size_t answer_count;        // 0: unanswerable
    struct loam_squad_text first_answer;
    size_t line; // of the file, where the question's object begins
};

struct loam_squad; // has every string once: questions share their context

// Parses `map`, the contents of the file at `path`. Its pages are released as they are parsed. With
// `skip_bad` a broken question or paragraph is skipped and counted in `*bad`.
enum loam_status loam_squad_parse(struct loam_squad **out, const struct loam_map *map, const char *path,
                                  bool skip_bad, size_t *bad, struct loam_error *error);
void loam_squad_destroy(struct loam_squad *squad);
size_t loam_squad_count(const struct loam_squad *squad);
size_t loam_squad_longest(const struct loam_squad *squad); // index of the question with the most text
struct loam_squad_question loam_squad_at(const struct loam_squad *squad, size_t index);

#endif
