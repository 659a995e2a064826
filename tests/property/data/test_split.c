// Random data sets with --too-long split: the pieces of a text are disjoint and join to the whole, a conversation keeps its
// system message and loses no turn, and indices lead back to their records.
#include "test.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "data/dataset.h"
#include "data/split.h"
#include "helpers/byte_tokenizer.h"
#include "helpers/chats.h"

static struct loam_error error;
static uint32_t seed = 1;

static uint32_t draw(uint32_t limit)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 16) % limit;
}

struct setting {
    char directory[256];
    char path[300];
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_chat_source source;
    struct loam_chat_options chat;
    struct loam_dataset_options options;
};

static void start(struct setting *setting, bool adds_bos, bool adds_eos)
{
    *setting = (struct setting){0};
    assert_non_null(test_make_directory(setting->directory));
    snprintf(setting->path, sizeof setting->path, "%s/data.jsonl", setting->directory);
    setting->tokenizer = test_byte_tokenizer(setting->directory, adds_bos, adds_eos);
    setting->special = test_special_tokens(adds_bos, adds_eos);
    setting->options = (struct loam_dataset_options){.path = setting->path,
                                                     .tokenizer = setting->tokenizer,
                                                     .special = &setting->special,
                                                     .vocabulary = TEST_VOCABULARY};
}

static void finish(struct setting *setting)
{
    loam_chat_source_deinit(&setting->source);
    loam_tokenizer_destroy(setting->tokenizer);
    test_remove_directory(setting->directory);
}

static struct loam_dataset *open_data(struct setting *setting, enum loam_too_long too_long,
                                      int32_t max_length)
{
    struct loam_dataset *dataset;
    setting->options.too_long = too_long;
    setting->options.max_length = max_length;
    assert_ok(loam_dataset_open(&dataset, &setting->options, &error));
    return dataset;
}

// ---- Indices ----

static void test_indices(void **unused)
{
    (void)unused;
    for (int round = 0; round < 50; round++) {
        struct loam_splits splits = {.longest = 4};
        int32_t pieces[40];
        size_t record = 0, example = 0;
        for (; record < 40; record++) {
            pieces[record] = draw(2) == 0 ? 1 : 2 + (int32_t)draw(5);
            static const int32_t starts[8] = {0};
            if (pieces[record] > 1)
                assert_ok(loam_splits_add_chat(&splits, record, "r", starts, pieces[record], 9, &error));
        }
        for (record = 0; record < 40; record++) {
            assert_int_equal(loam_splits_first(&splits, record), example);
            for (int32_t piece = 0; piece < pieces[record]; piece++) {
                const struct loam_split_place place = loam_splits_find(&splits, example++);
                assert_int_equal(place.record, record);
                assert_int_equal(place.piece, piece);
                assert_int_equal(place.split != NULL ? place.split->pieces : 1, pieces[record]);
            }
        }
        assert_int_equal(loam_splits_first(&splits, 40), example);
        assert_int_equal(splits.extra, example - 40);
        loam_splits_deinit(&splits);
    }
}

// ---- Texts ----

static size_t write_texts(const struct setting *setting, bool has_title)
{
    struct loam_bytes file = {0};
    const size_t records = 1 + draw(6);
    for (size_t i = 0; i < records; i++) {
        assert_ok(loam_bytes_append_text(
            &file, has_title ? "{\"title\": \"T\", \"text\": \"" : "{\"text\": \"", &error));
        for (uint32_t size = 1 + draw(60); size > 0; size--)
            assert_ok(loam_bytes_append_text(&file,
                                             draw(8) == 0   ? "\\nz"
                                             : draw(5) == 0 ? "\xC3\xA9"
                                                            : "b",
                                             &error));
        assert_ok(loam_bytes_append_text(&file, "\"}\n", &error));
    }
    test_write_file(setting->path, file.data, file.size);
    loam_bytes_deinit(&file);
    return records;
}

// Checks that the examples from `*index` on are the pieces of `whole`.
static void check_pieces(struct loam_dataset *dataset, size_t *index, const struct loam_example *whole,
                         size_t record, int32_t longest)
{
    struct loam_example piece = {0};
    int32_t done = 0;
    const int32_t pieces = loam_dataset_place(dataset, *index).pieces;
    assert_int_equal(pieces, (whole->count + longest - 1) / longest);
    for (int32_t i = 0; i < pieces; i++, ++*index) {
        const struct loam_dataset_place place = loam_dataset_place(dataset, *index);
        assert_ok(loam_dataset_read(dataset, *index, &piece, &error));
        assert_int_equal(place.line, record + 1);
        assert_int_equal(place.piece, i);
        assert_true(piece.count >= 1 && piece.count <= longest);
        assert_true(piece.count >= 2 || longest <= 2 || pieces == 1);
        assert_true(done + piece.count <= whole->count);
        assert_memory_equal(piece.ids, whole->ids + done, (size_t)piece.count * sizeof *piece.ids);
        for (int32_t t = 0; t < piece.count; t++)
            assert_true(piece.weights[t] == whole->weights[done + t] || (i > 0 && t == 0));
        assert_int_equal(piece.begins_inside, i > 0);
        assert_int_equal(piece.ends_inside, i + 1 < pieces);
        done += piece.count;
    }
    assert_int_equal(done, whole->count);
    loam_example_deinit(&piece);
}

static void check_texts(struct setting *setting)
{
    static const char *const templates[] = {NULL, "{text}", "# {title}\n{text}{eos}"};
    struct loam_template *template = NULL;
    struct loam_example example = {0};
    const uint32_t kind = draw(3);
    const int32_t longest = 1 + (int32_t)draw(30);
    const size_t records = write_texts(setting, kind == 2);
    if (templates[kind] != NULL)
        assert_ok(loam_template_parse(&template, templates[kind], strlen(templates[kind]), "t", &error));
    setting->options.prompt_template = template;
    struct loam_dataset *whole = open_data(setting, LOAM_TOO_LONG_DROP, 1000);
    struct loam_dataset *split = open_data(setting, LOAM_TOO_LONG_SPLIT, longest);
    size_t index = 0;
    for (size_t i = 0; i < records; i++) {
        assert_int_equal(loam_dataset_limit(split, i), i == 0 ? loam_dataset_count(split) : index);
        assert_ok(loam_dataset_read(whole, i, &example, &error));
        check_pieces(split, &index, &example, i, longest);
    }
    assert_int_equal(index, loam_dataset_count(split));
    assert_int_equal(loam_dataset_counts(split).examples, index);
    assert_int_equal(loam_dataset_counts(split).cut + loam_dataset_counts(split).dropped, 0);
    loam_example_deinit(&example);
    loam_dataset_destroy(whole);
    loam_dataset_destroy(split);
    loam_template_destroy(template);
}

static void test_texts(void **unused)
{
    (void)unused;
    for (int ends = 0; ends < 4; ends++) {
        struct setting setting;
        start(&setting, ends % 2 == 1, ends / 2 == 1);
        for (int round = 0; round < 12; round++)
            check_texts(&setting);
        finish(&setting);
    }
}

// ---- Conversations ----

static const char turns[] =
    "{% for m in messages %}{{ '<pad>' ~ m.role ~ ':' ~ m.content ~ '</s>' }}{% endfor %}";

// Appends the text of a message as the template writes it, with marks around what is learnt.
static void append_message(struct loam_bytes *text, const char *role, uint32_t number, bool learnt)
{
    assert_ok(
        loam_bytes_format(text, &error, "^P%s:%s%u^E%s", role, learnt ? "{" : "", number, learnt ? "}" : ""));
}

static void append_json(struct loam_bytes *file, const char *role, uint32_t number, bool is_first)
{
    assert_ok(loam_bytes_format(file, &error, "%s{\"role\": \"%s\", \"content\": \"%u\"}",
                                is_first ? "" : ", ", role, number));
}

// Writes a conversation of `turn_count` turns, with numbers of random length as contents.
static void write_chat(const struct setting *setting, bool has_system, uint32_t turn_count,
                       char *const turn_texts[])
{
    struct loam_bytes file = {0};
    assert_ok(loam_bytes_append_text(&file, "{\"messages\": [", &error));
    if (has_system) append_json(&file, "system", 7, true);
    for (uint32_t i = 0; i < turn_count; i++) {
        struct loam_bytes text = {0};
        const uint32_t question = 1000000 * draw(3) + 10 * i, answer = 100000 * draw(3) + 10 * i + 1;
        append_json(&file, "user", question, i == 0 && !has_system);
        append_json(&file, "assistant", answer, false);
        append_message(&text, "user", question, false);
        append_message(&text, "assistant", answer, true);
        strcpy(turn_texts[i], text.data);
        loam_bytes_deinit(&text);
    }
    assert_ok(loam_bytes_append_text(&file, "]}\n", &error));
    test_write_file(setting->path, file.data, file.size);
    loam_bytes_deinit(&file);
}

// Tokens of a text in the form of test_chat_describe.
static int32_t count_tokens(const char *text)
{
    int32_t count = 0;
    for (; *text != '\0'; text++)
        count += strchr("{}^", *text) == NULL;
    return count;
}

// Each piece is the system's message and turns that follow each other, as many as fit.
static void check_chat(struct loam_dataset *dataset, bool has_system, uint32_t turn_count,
                       char *const turn_texts[], int32_t longest)
{
    struct loam_example piece = {0};
    uint32_t turn = 0;
    for (size_t i = 0; i < loam_dataset_count(dataset); i++) {
        struct loam_bytes expected = {0};
        assert_ok(loam_bytes_append_text(&expected, has_system ? "^Psystem:7^E" : "", &error));
        do
            assert_ok(loam_bytes_append_text(&expected, turn_texts[turn++], &error));
        while (turn < turn_count && count_tokens(expected.data) + count_tokens(turn_texts[turn]) <= longest);
        assert_ok(loam_dataset_read(dataset, i, &piece, &error));
        char *text = test_chat_describe(&piece);
        assert_string_equal(text, expected.data);
        assert_false(piece.begins_inside || piece.ends_inside || piece.lacks_stop);
        assert_int_equal(loam_dataset_place(dataset, i).piece, i);
        free(text);
        loam_bytes_deinit(&expected);
    }
    assert_int_equal(turn, turn_count);
    loam_example_deinit(&piece);
}

static void test_chats(void **unused)
{
    (void)unused;
    enum { MOST = 8 };
    char texts[MOST][80], *turn_texts[MOST];
    for (int i = 0; i < MOST; i++)
        turn_texts[i] = texts[i];
    struct setting setting;
    start(&setting, true, false);
    setting.source = test_chat_source(turns, NULL);
    for (int round = 0; round < 40; round++) {
        const bool has_system = draw(2) == 0;
        const uint32_t turn_count = 1 + draw(MOST);
        const int32_t longest = 60 + (int32_t)draw(100); // a turn and the system's message fit
        setting.chat = (struct loam_chat_options){.source = &setting.source,
                                                  .tokenizer = setting.tokenizer,
                                                  .special = &setting.special,
                                                  .max_length = longest,
                                                  .vocabulary = TEST_VOCABULARY};
        setting.options.chat = &setting.chat;
        write_chat(&setting, has_system, turn_count, turn_texts);
        struct loam_dataset *dataset = open_data(&setting, LOAM_TOO_LONG_SPLIT, longest);
        check_chat(dataset, has_system, turn_count, turn_texts, longest);
        assert_int_equal(loam_dataset_counts(dataset).records, 1);
        assert_int_equal(loam_dataset_counts(dataset).cut, 0);
        loam_dataset_destroy(dataset);
    }
    finish(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_indices),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_chats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
