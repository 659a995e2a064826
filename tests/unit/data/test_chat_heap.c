// Opens chat templates and makes examples of conversations with every n-th allocation refused once, including those of
// jansson. Either the examples are those of an undisturbed run or the error is LOAM_ERROR_MEMORY; nothing leaks.
#include "test.h"

#include "data/dataset.h"
#include "helpers/byte_tokenizer.h"
#include "property/run/heap_watch.h"

// Values of every kind, loops, macros, filters with memory of their own, and marks.
static const char chat_template[] =
    "{% macro show(m, end='</s>') %}<pad>{{ m.role | upper }}:{{ m.content | replace('a', 'bb') | trim }}{{ "
    "end }}"
    "{% endmacro %}{% set ns = namespace(n=0, seen=[]) %}{{ bos_token }}"
    "{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set ns.seen = ns.seen + [m.role] %}"
    "{% if m.role == 'assistant' %}<pad>A:{% generation %}{{ m.content }}</s>{% endgeneration %}"
    "{% else %}{{ show(m) }}{% endif %}{% endfor %}"
    "{{ ns.seen | unique | list | tojson }}{{ messages | map(attribute='role') | sort | join(',') }}"
    "{{ '%s %d' | format('x', ns.n) }}{{ 'a-b'.split('-') | reverse | list }}{{ {'k': [1, 2.5]} | items | "
    "list }}"
    "{% if add_generation_prompt %}<pad>A:{% endif %}";
static const char tool_template[] =
    "{% for t in tools %}{{ t | tojson(indent=2) }}{% endfor %}{% for m in messages %}<pad>{{ m.role }}:{{ "
    "m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<pad>assistant:{% endif %}";

#define MESSAGE(role, content) "{\"role\": \"" role "\", \"content\": \"" content "\"}"
static const char records[] =
    "{\"messages\": [" MESSAGE("system", "s\\u00e9 </s>") ", " MESSAGE("user", "abcdefgh") ", " MESSAGE(
        "assistant",
        "ij") ", " MESSAGE("user",
                           "klmnopqrstuvwxyzklmnopqrstuvwxyz") ", " MESSAGE("assistant",
                                                                            "yz") "]}\n"
                                                                                  "{\"messages\": [" MESSAGE(
                                                                                      "user",
                                                                                      "q") ", {\"role\": "
                                                                                           "\"assistant\", "
                                                                                           "\"content\": "
                                                                                           "null, "
                                                                                           "\"tool_calls\": "
                                                                                           "[{\"function\": "
                                                                                           "{\"name\": "
                                                                                           "\"f\", "
                                                                                           "\"arguments\": "
                                                                                           "{\"x\": [1, "
                                                                                           "null]}}}]}], "
                                                                                           "\"tools\": "
                                                                                           "[{\"name\": "
                                                                                           "\"f\"}]}\n";

static char directory[256];
static struct loam_tokenizer *tokenizer;

static void write_text(const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    test_write_file(path, text, strlen(text));
}

static int set_up(void **state)
{
    (void)state;
    if (test_make_directory(directory) == NULL) return 1;
    tokenizer = test_byte_tokenizer(directory, false, false);
    json_t *config =
        json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:s}]}", "bos_token", "<s>", "chat_template", "name", "default",
                  "template", chat_template, "name", "tool_use", "template", tool_template);
    char *text = json_dumps(config, 0);
    write_text("tokenizer_config.json", text);
    __wrap_free(text);
    json_decref(config);
    write_text("chats.jsonl", records);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
    return 0;
}

// All ids and weights of the examples and prompts of a run.
struct reading {
    int32_t ids[4000];
    float weights[4000];
    size_t count;
    struct loam_dataset_counts counts;
    enum loam_too_long too_long;
};

static void keep(struct reading *reading, const struct loam_example *example)
{
    assert_true(reading->count + (size_t)example->count <= sizeof reading->ids / sizeof *reading->ids);
    if (example->count == 0) return;
    memcpy(reading->ids + reading->count, example->ids, (size_t)example->count * sizeof *example->ids);
    memcpy(reading->weights + reading->count, example->weights,
           (size_t)example->count * sizeof *example->weights);
    reading->count += (size_t)example->count;
}

static enum loam_status read_examples(struct loam_dataset *dataset, struct reading *reading,
                                      struct loam_error *error)
{
    struct loam_example example = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < loam_dataset_count(dataset) && status == LOAM_OK; i++) {
        status = loam_dataset_read(dataset, i, &example, error);
        if (status == LOAM_OK) keep(reading, &example);
        if (status == LOAM_OK) status = loam_dataset_prompt(dataset, i, &example, error);
        if (status == LOAM_OK) keep(reading, &example);
    }
    loam_example_deinit(&example);
    reading->counts = loam_dataset_counts(dataset);
    return status;
}

static enum loam_status read_stops(struct reading *reading, const struct loam_chat_options *chat,
                                   struct loam_error *error)
{
    struct loam_chat_work work = {0};
    int32_t *ids = NULL;
    size_t count = 0, capacity = 0;
    const enum loam_status status = loam_chat_stops(chat, &work, &ids, &count, &capacity, error);
    for (size_t i = 0; i < count && status == LOAM_OK; i++)
        reading->ids[reading->count++] = ids[i];
    __wrap_free(ids);
    loam_chat_work_deinit(&work);
    return status;
}

static enum loam_status read_source(struct reading *reading, const struct loam_chat_source *source,
                                    struct loam_error *error)
{
    char path[300];
    struct loam_special_tokens special = test_special_tokens(true, false);
    const struct loam_chat_options chat = {.name = "the conversation",
                                           .source = source,
                                           .tokenizer = tokenizer,
                                           .special = &special,
                                           .max_length = 160,
                                           .vocabulary = TEST_VOCABULARY};
    const struct loam_dataset_options options = {.path = path,
                                                 .chat = &chat,
                                                 .too_long = reading->too_long,
                                                 .max_length = chat.max_length,
                                                 .tokenizer = tokenizer,
                                                 .special = &special,
                                                 .vocabulary = TEST_VOCABULARY};
    struct loam_dataset *dataset;
    snprintf(path, sizeof path, "%s/chats.jsonl", directory);
    LOAM_TRY(loam_dataset_open(&dataset, &options, error));
    enum loam_status status = read_examples(dataset, reading, error);
    loam_dataset_destroy(dataset);
    return status == LOAM_OK ? read_stops(reading, &chat, error) : status;
}

static enum loam_status read_all(struct reading *reading, struct loam_error *error)
{
    struct loam_chat_source source;
    reading->count = 0;
    LOAM_TRY(loam_chat_source_find(&source, directory, NULL, false, error));
    const enum loam_status status = read_source(reading, &source, error);
    loam_chat_source_deinit(&source);
    return status;
}

static void walk(enum loam_too_long too_long)
{
    static struct reading reading, whole;
    struct loam_error error;
    reading.too_long = too_long;
    assert_ok(read_all(&reading, &error)); // jansson seeds its hashes
    heap.asked = 0;
    assert_ok(read_all(&reading, &error));
    whole = reading;
    const long total = heap.asked, live = heap.live;
    assert_true(total > 100);
    assert_int_equal(whole.counts.split, too_long == LOAM_TOO_LONG_SPLIT);
    long refused = 0;
    for (long n = 0; n < total; n++) {
        heap.asked = 0;
        heap.fails = n;
        const enum loam_status status = read_all(&reading, &error);
        heap.fails = -1;
        if (heap.live != live) fail_msg("%ld: %ld blocks lost", n, heap.live - live);
        refused += status != LOAM_OK;
        if (status == LOAM_ERROR_IO)
            assert_non_null(strstr(error.message, "Cannot allocate memory"));
        else if (status != LOAM_OK)
            assert_fails(status, LOAM_ERROR_MEMORY, "out of memory");
        if (status != LOAM_OK) continue;
        assert_int_equal(reading.count, whole.count);
        assert_memory_equal(reading.ids, whole.ids, whole.count * sizeof *whole.ids);
        assert_memory_equal(reading.weights, whole.weights, whole.count * sizeof *whole.weights);
    }
    assert_true(refused > 100);
}

static void cut(void **state)
{
    (void)state;
    walk(LOAM_TOO_LONG_CUT);
}

static void split(void **state)
{
    (void)state;
    walk(LOAM_TOO_LONG_SPLIT);
}

int main(void)
{
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    const struct CMUnitTest tests[] = {cmocka_unit_test(cut), cmocka_unit_test(split)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
