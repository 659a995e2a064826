#include "data/dataset_squad.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json_stream.h"
#include "data/template.h"

// The kinds of open objects and arrays. A value without a rule is IGNORED with its contents.
enum node {
    IGNORED,
    DOCUMENT,
    ARTICLES,
    ARTICLE,
    PARAGRAPHS,
    PARAGRAPH,
    QUESTIONS,
    QUESTION,
    ANSWERS,
    ANSWER,
};

enum slot { NO_SLOT, TITLE, CONTEXT, ID, QUESTION_TEXT, IMPOSSIBLE, ANSWER_TEXT };

#define ACCEPT(kind) (1U << (kind))
#define ACCEPT_OBJECT ACCEPT(LOAM_JSON_OBJECT)
#define ACCEPT_ARRAY ACCEPT(LOAM_JSON_ARRAY)
#define ACCEPT_TEXT ACCEPT(LOAM_JSON_STRING)
#define ACCEPT_NUMBER ACCEPT(LOAM_JSON_NUMBER)
#define ACCEPT_BOOL (ACCEPT(LOAM_JSON_TRUE) | ACCEPT(LOAM_JSON_FALSE))

// The rules of the format. Each is about the value of `key` in `parent`, or about an element if the parent
// is an array.
static const struct rule {
    enum node parent;
    const char *key;
    unsigned accepts; // kinds of JSON values
    enum node child;  // kind of the value, if it is an object or array
    enum slot slot;   // destination of another value
    const char *complaint;
} rules[] = {
    {DOCUMENT, "data", ACCEPT_ARRAY, ARTICLES, NO_SLOT, "\"data\" must be an array of articles"},
    {ARTICLES, NULL, ACCEPT_OBJECT, ARTICLE, NO_SLOT, "an article must be an object"},
    {ARTICLE, "title", ACCEPT_TEXT, IGNORED, TITLE, "\"title\" must be a string"},
    {ARTICLE, "paragraphs", ACCEPT_ARRAY, PARAGRAPHS, NO_SLOT, "\"paragraphs\" must be an array"},
    {PARAGRAPHS, NULL, ACCEPT_OBJECT, PARAGRAPH, NO_SLOT, "a paragraph must be an object"},
    {PARAGRAPH, "context", ACCEPT_TEXT, IGNORED, CONTEXT, "\"context\" must be a string"},
    {PARAGRAPH, "qas", ACCEPT_ARRAY, QUESTIONS, NO_SLOT, "\"qas\" must be an array of questions"},
    {QUESTIONS, NULL, ACCEPT_OBJECT, QUESTION, NO_SLOT, "a question must be an object"},
    {QUESTION, "id", ACCEPT_TEXT | ACCEPT_NUMBER, IGNORED, ID, "\"id\" must be a string"},
    {QUESTION, "question", ACCEPT_TEXT, IGNORED, QUESTION_TEXT, "\"question\" must be a string"},
    {QUESTION, "is_impossible", ACCEPT_BOOL, IGNORED, IMPOSSIBLE, "\"is_impossible\" must be true or false"},
    {QUESTION, "answers", ACCEPT_ARRAY, ANSWERS, NO_SLOT, "\"answers\" must be an array of answers"},
    {ANSWERS, NULL, ACCEPT_OBJECT, ANSWER, NO_SLOT, "an answer must be an object"},
    {ANSWER, "text", ACCEPT_TEXT, IGNORED, ANSWER_TEXT, "\"text\" of an answer must be a string"},
};

// A string in the pool, by its offset, since the pool moves while it grows.
struct span {
    size_t start;
    size_t size;
    bool present;
};
struct article {
    struct span title;
};
struct paragraph {
    size_t article;
    struct span context;
};
struct question {
    size_t paragraph;
    struct span id;
    struct span text;
    size_t first_answer;
    size_t answer_count;
    size_t line;
};

// Apart from the pool, each loam_bytes holds an array of the struct with its name.
struct loam_squad {
    struct loam_bytes pool; // every string, NUL-terminated
    struct loam_bytes articles;
    struct loam_bytes paragraphs;
    struct loam_bytes questions;
    struct loam_bytes answers; // struct span
    const char **answer_texts; // parallel to answers
};

struct parser {
    struct loam_squad *squad;
    struct loam_map_reader reader;
    const char *path;
    bool skip_bad;
    size_t bad;

    enum node nodes[LOAM_JSON_MAX_DEPTH]; // open objects and arrays
    int depth;
    const struct rule *rule; // for the value of the last key

    // State of the open paragraph, question and answer. Their strings go directly into the pool.
    size_t first_question;
    bool paragraph_bad;
    bool question_bad;
    bool impossible;
    bool has_answers;
    struct span answer;
};

static struct question *question_at(const struct loam_squad *squad, size_t index)
{
    return (struct question *)(void *)squad->questions.data + index;
}
static struct paragraph *paragraph_at(const struct loam_squad *squad, size_t index)
{
    return (struct paragraph *)(void *)squad->paragraphs.data + index;
}
static struct article *article_at(const struct loam_squad *squad, size_t index)
{
    return (struct article *)(void *)squad->articles.data + index;
}
static struct span *answer_at(const struct loam_squad *squad, size_t index)
{
    return (struct span *)(void *)squad->answers.data + index;
}
static size_t article_count(const struct loam_squad *squad)
{
    return squad->articles.size / sizeof(struct article);
}
static size_t paragraph_count(const struct loam_squad *squad)
{
    return squad->paragraphs.size / sizeof(struct paragraph);
}
static size_t answer_count(const struct loam_squad *squad)
{
    return squad->answers.size / sizeof(struct span);
}
size_t loam_squad_count(const struct loam_squad *squad)
{
    return squad->questions.size / sizeof(struct question);
}

static struct question *last_question(const struct loam_squad *squad)
{
    return question_at(squad, loam_squad_count(squad) - 1);
}
static struct paragraph *last_paragraph(const struct loam_squad *squad)
{
    return paragraph_at(squad, paragraph_count(squad) - 1);
}
static struct article *last_article(const struct loam_squad *squad)
{
    return article_at(squad, article_count(squad) - 1);
}

// Removes the questions from `index` on. Their strings stay in the pool, since broken records are few.
static void drop_questions(struct loam_squad *squad, size_t index)
{
    squad->questions.size = index * sizeof(struct question);
}

static bool is_inside(const struct parser *parser, enum node node)
{
    for (int i = 0; i < parser->depth; i++)
        if (parser->nodes[i] == node) return true;
    return false;
}

// Reports a value that breaks the format. With `skip_bad` marks the open question as broken, or the open
// paragraph if the value is not in a question.
static enum loam_status LOAM_PRINTF(4, 5)
    report_fault(struct parser *parser, size_t line, struct loam_error *error, const char *format, ...)
{
    bool in_question = is_inside(parser, QUESTION);
    if (parser->skip_bad) {
        if (in_question)
            parser->question_bad = true;
        else if (is_inside(parser, PARAGRAPH) && !is_inside(parser, QUESTIONS))
            parser->paragraph_bad = true;
        else
            parser->bad++;
        return LOAM_OK;
    }
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (!in_question || !last_question(parser->squad)->id.present)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: %s", parser->path, line, reason);
    const char *id = parser->squad->pool.data + last_question(parser->squad)->id.start;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: question %.64s: %s", parser->path, line, id, reason);
}

static const struct rule *find_rule(enum node parent, const char *key, size_t size)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *rule = &rules[i];
        if (rule->parent != parent || (rule->key == NULL) != (key == NULL)) continue;
        if (key == NULL || (strlen(rule->key) == size && memcmp(rule->key, key, size) == 0)) return rule;
    }
    return NULL;
}

static enum loam_status keep_text(struct parser *parser, const struct loam_json_event *event,
                                  struct span *span, struct loam_error *error)
{
    struct loam_bytes *pool = &parser->squad->pool;
    *span = (struct span){.start = pool->size, .size = event->size, .present = true};
    LOAM_TRY(loam_bytes_append(pool, event->text, event->size, error));
    return loam_bytes_append(pool, "", 1, error);
}

static enum loam_status store(struct parser *parser, enum slot slot, const struct loam_json_event *event,
                              struct loam_error *error)
{
    switch (slot) {
    case TITLE:
        return keep_text(parser, event, &last_article(parser->squad)->title, error);
    case CONTEXT:
        return keep_text(parser, event, &last_paragraph(parser->squad)->context, error);
    case ID:
        return keep_text(parser, event, &last_question(parser->squad)->id, error);
    case QUESTION_TEXT:
        return keep_text(parser, event, &last_question(parser->squad)->text, error);
    case ANSWER_TEXT:
        return keep_text(parser, event, &parser->answer, error);
    case IMPOSSIBLE:
        parser->impossible = event->kind == LOAM_JSON_TRUE;
        return LOAM_OK;
    case NO_SLOT:
        break;
    }
    return LOAM_OK;
}

static enum loam_status begin_node(struct parser *parser, enum node node, size_t line,
                                   struct loam_error *error)
{
    struct loam_squad *squad = parser->squad;
    if (node == ARTICLE) {
        return loam_bytes_append(&squad->articles, &(struct article){0}, sizeof(struct article), error);
    } else if (node == PARAGRAPH) {
        parser->first_question = loam_squad_count(squad);
        parser->paragraph_bad = false;
        struct paragraph paragraph = {.article = article_count(squad) - 1};
        return loam_bytes_append(&squad->paragraphs, &paragraph, sizeof paragraph, error);
    } else if (node == QUESTION) {
        parser->question_bad = parser->impossible = parser->has_answers = false;
        struct question question = {
            .paragraph = paragraph_count(squad) - 1, .first_answer = answer_count(squad), .line = line};
        return loam_bytes_append(&squad->questions, &question, sizeof question, error);
    } else if (node == ANSWERS) {
        parser->has_answers = true;
    } else if (node == ANSWER) {
        parser->answer = (struct span){0};
    }
    return LOAM_OK;
}

static enum loam_status end_answer(struct parser *parser, size_t line, struct loam_error *error)
{
    if (!parser->answer.present) return report_fault(parser, line, error, "an answer has no \"text\"");
    return loam_bytes_append(&parser->squad->answers, &parser->answer, sizeof parser->answer, error);
}

static enum loam_status end_question(struct parser *parser, struct loam_error *error)
{
    struct loam_squad *squad = parser->squad;
    struct question *question = last_question(squad);
    if (!question->text.present) LOAM_TRY(report_fault(parser, question->line, error, "no \"question\""));
    // A question without "answers" is unanswerable only if is_impossible is true.
    if (!parser->has_answers && !parser->impossible)
        LOAM_TRY(report_fault(parser, question->line, error, "no \"answers\" and no true \"is_impossible\""));
    question->answer_count = parser->impossible ? 0 : answer_count(squad) - question->first_answer;
    if (parser->question_bad) {
        drop_questions(squad, loam_squad_count(squad) - 1);
        parser->bad++;
    }
    return LOAM_OK;
}

static enum loam_status end_paragraph(struct parser *parser, size_t line, struct loam_error *error)
{
    struct loam_squad *squad = parser->squad;
    size_t count = loam_squad_count(squad) - parser->first_question;
    if (count > 0 && !last_paragraph(squad)->context.present) {
        const struct span *id = &question_at(squad, parser->first_question)->id;
        LOAM_TRY(report_fault(parser, line, error,
                              "no \"context\" in the paragraph that ends here, of question %.64s",
                              id->present ? squad->pool.data + id->start : "without an id"));
    }
    if (!parser->paragraph_bad) return LOAM_OK;
    drop_questions(squad, parser->first_question);
    parser->bad += count > 0 ? count : 1;
    return LOAM_OK;
}

// Checks a record while it is still open, so that report_fault finds it.
static enum loam_status end_node(struct parser *parser, size_t line, struct loam_error *error)
{
    enum loam_status status = LOAM_OK;
    enum node node = parser->nodes[parser->depth - 1];
    if (node == ANSWER) status = end_answer(parser, line, error);
    if (node == QUESTION) status = end_question(parser, error);
    if (node == PARAGRAPH) status = end_paragraph(parser, line, error);
    parser->depth--;
    return status;
}

static enum loam_status on_value(struct parser *parser, const struct loam_json_event *event,
                                 struct loam_error *error)
{
    bool container = event->kind == LOAM_JSON_OBJECT || event->kind == LOAM_JSON_ARRAY;
    enum node top = parser->depth > 0 ? parser->nodes[parser->depth - 1] : IGNORED;
    const struct rule *rule = find_rule(top, NULL, 0);
    if (rule == NULL && top != IGNORED) rule = parser->rule;
    enum node child = IGNORED;
    if (parser->depth == 0 && event->kind == LOAM_JSON_OBJECT) child = DOCUMENT;
    if (rule != NULL && event->kind != LOAM_JSON_NULL) {
        if ((rule->accepts & ACCEPT(event->kind)) == 0)
            LOAM_TRY(report_fault(parser, event->line, error, "%s", rule->complaint));
        else if (container)
            child = rule->child;
        else
            LOAM_TRY(store(parser, rule->slot, event, error));
    }
    if (!container) return LOAM_OK;
    parser->nodes[parser->depth++] = child;
    return begin_node(parser, child, event->line, error);
}

static enum loam_status on_event(void *user, const struct loam_json_event *event, struct loam_error *error)
{
    struct parser *parser = user;
    loam_map_reader_advance(&parser->reader, event->at);
    if (event->kind == LOAM_JSON_KEY)
        parser->rule = find_rule(parser->nodes[parser->depth - 1], event->text, event->size);
    if (event->defect != NULL)
        return report_fault(parser, event->line, error, "%s in a string", event->defect);
    if (event->size > LOAM_TEXT_LIMIT)
        return report_fault(parser, event->line, error, "a string of %zu bytes; at most %d are allowed",
                            event->size, LOAM_TEXT_LIMIT);
    if (event->kind == LOAM_JSON_KEY) return LOAM_OK;
    if (event->kind == LOAM_JSON_END) return end_node(parser, event->line, error);
    return on_value(parser, event, error);
}

// Fills the pointers to answers, once the pool no longer moves.
static enum loam_status point_to_answers(struct loam_squad *squad, struct loam_error *error)
{
    size_t count = answer_count(squad);
    squad->answer_texts = loam_calloc(count, sizeof *squad->answer_texts, error);
    if (squad->answer_texts == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        squad->answer_texts[i] = squad->pool.data + answer_at(squad, i)->start;
    return LOAM_OK;
}

enum loam_status loam_squad_parse(struct loam_squad **out, const struct loam_map *map, const char *path,
                                  bool skip_bad, size_t *bad, struct loam_error *error)
{
    *out = NULL;
    const char *data = (const char *)map->data;
    size_t start = loam_byte_order_mark(data, map->size);
    struct loam_squad *squad = loam_calloc(1, sizeof *squad, error);
    if (squad == NULL) return LOAM_ERROR_MEMORY;
    struct parser parser = {.squad = squad, .reader.data = map->data, .path = path, .skip_bad = skip_bad};
    enum loam_status status =
        loam_json_stream_parse(data + start, map->size - start, path, 1, on_event, &parser, error);
    if (status == LOAM_OK) status = point_to_answers(squad, error);
    if (status != LOAM_OK) {
        loam_squad_destroy(squad);
        return status;
    }
    *bad = parser.bad;
    *out = squad;
    return LOAM_OK;
}

void loam_squad_destroy(struct loam_squad *squad)
{
    if (squad == NULL) return;
    loam_bytes_deinit(&squad->pool);
    loam_bytes_deinit(&squad->articles);
    loam_bytes_deinit(&squad->paragraphs);
    loam_bytes_deinit(&squad->questions);
    loam_bytes_deinit(&squad->answers);
    free(squad->answer_texts);
    free(squad);
}

static struct loam_squad_text text_of(const struct loam_squad *squad, const struct span *span)
{
    if (!span->present) return (struct loam_squad_text){"", 0};
    return (struct loam_squad_text){squad->pool.data + span->start, span->size};
}

struct loam_squad_question loam_squad_at(const struct loam_squad *squad, size_t index)
{
    const struct question *question = question_at(squad, index);
    const struct paragraph *paragraph = paragraph_at(squad, question->paragraph);
    struct loam_squad_question made = {
        .title = text_of(squad, &article_at(squad, paragraph->article)->title),
        .context = text_of(squad, &paragraph->context),
        .question = text_of(squad, &question->text),
        .id = text_of(squad, &question->id),
        .answer_count = question->answer_count,
        .line = question->line,
    };
    if (question->answer_count > 0) {
        made.answers = squad->answer_texts + question->first_answer;
        made.first_answer = text_of(squad, answer_at(squad, question->first_answer));
    }
    return made;
}

static size_t text_bytes(const struct loam_squad_question *question)
{
    return question->context.size + question->question.size + question->first_answer.size +
           question->title.size + question->id.size;
}

size_t loam_squad_longest(const struct loam_squad *squad)
{
    size_t longest = 0, most = 0;
    for (size_t i = 0; i < loam_squad_count(squad); i++) {
        struct loam_squad_question question = loam_squad_at(squad, i);
        size_t bytes = text_bytes(&question);
        if (bytes <= most) continue;
        most = bytes;
        longest = i;
    }
    return longest;
}
