// Running commands through loam.h, as another program would.
#include "test.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "io/safetensors.h"

struct host {
    struct loam_bytes text;  // what the command wrote
    const char *input;       // what it reads
    size_t calls;            // of the text callback
    size_t calls_before_end; // the text callback refuses after so many; 0: never
    size_t events;
    size_t last_event; // the command is asked to stop there; 0: never
    bool input_fails;
};

static bool take_text(void *user, const char *text, size_t size)
{
    struct host *host = user;
    struct loam_error error;
    assert_ok(loam_bytes_append(&host->text, text, size, &error));
    return ++host->calls != host->calls_before_end;
}

static ptrdiff_t give_input(void *user, char *buffer, size_t capacity)
{
    struct host *host = user;
    if (host->input_fails) return -1;
    size_t size = strlen(host->input);
    if (size > 3) size = 3; // in small pieces
    assert_true(size <= capacity);
    memcpy(buffer, host->input, size);
    host->input += size;
    return (ptrdiff_t)size;
}

static bool take_event(void *user, const struct loam_event *event)
{
    struct host *host = user;
    (void)event;
    return ++host->events != host->last_event;
}

// Runs a command with options in pairs, NULL at the end; a switch has the value "true".
static enum loam_status run(struct host *host, enum loam_command command, const char *const *pairs,
                            struct loam_error *error)
{
    struct loam_options *options;
    if (loam_options_create(&options, command, error) != LOAM_OK) fail_msg("%s", error->message);
    for (; *pairs != NULL; pairs += 2) {
        if (loam_options_set(options, pairs[0], pairs[1], error) != LOAM_OK)
            fail_msg("--%s: %s", pairs[0], error->message);
    }
    struct loam_callbacks callbacks = {
        .user = host, .text = take_text, .event = take_event, .input = give_input};
    enum loam_status status = loam_run(options, host == NULL ? NULL : &callbacks, error);
    loam_options_destroy(options);
    return status;
}

static const char tiny[] = LOAM_TESTS "/data/tiny";

static void test_tokenize(void **state)
{
    (void)state;
    struct loam_error error;
    struct host host = {.input = "The bakery is closed."};
    assert_ok(run(&host, LOAM_COMMAND_TOKENIZE, (const char *[]){"model", tiny, NULL}, &error));
    struct host back = {.input = host.text.data};
    assert_ok(
        run(&back, LOAM_COMMAND_TOKENIZE, (const char *[]){"model", tiny, "decode", "true", NULL}, &error));
    assert_string_equal(back.text.data, "The bakery is closed.");
    loam_bytes_deinit(&host.text);
    loam_bytes_deinit(&back.text);
}

static void test_callbacks(void **state)
{
    (void)state;
    struct loam_error error;
    static const char *const lines[] = {"model", tiny, "lines", "true", NULL};
    // One that has seen enough stops the command.
    struct host host = {.input = "a\nb\nc\n", .calls_before_end = 2};
    assert_fails(run(&host, LOAM_COMMAND_TOKENIZE, lines, &error), LOAM_ERROR_STOPPED, "closed");
    assert_int_equal(host.calls, 2);
    loam_bytes_deinit(&host.text);

    struct host broken = {.input_fails = true};
    assert_fails(run(&broken, LOAM_COMMAND_TOKENIZE, lines, &error), LOAM_ERROR_IO, "input");
    assert_int_equal(broken.calls, 0);

    // Without callbacks: a command that needs no input still works.
    assert_ok(run(NULL, LOAM_COMMAND_INSPECT, (const char *[]){"path", tiny, NULL}, &error));
    assert_fails(run(NULL, LOAM_COMMAND_TOKENIZE, lines, &error), LOAM_ERROR_ARGUMENT, "no input");
}

static double member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) fail_msg("no number \"%s\"", key);
    return json_number_value(value);
}

// An adapter of one module with A = [[1, 2], [3, 4]] and B = [[1, 0], [0, 2], [1, 1]]:
// B A = [[1, 2], [6, 8], [4, 6]], and the scale is 6 / 2.
static void test_inspect_adapter(void **state)
{
    (void)state;
    struct loam_error error;
    char directory[256], path[320];
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/adapter_config.json", directory);
    static const char config[] =
        "{\"peft_type\": \"LORA\", \"task_type\": \"CAUSAL_LM\", \"r\": 2, \"lora_alpha\": 6,"
        " \"target_modules\": [\"dense\"], \"base_model_name_or_path\": \"some/base\"}";
    test_write_file(path, config, sizeof config - 1);
    static const float a[] = {1, 2, 3, 4}, b[] = {1, 0, 0, 2, 1, 1};
    const struct loam_write_tensor tensors[] = {
        {"base_model.model.h.0.dense.lora_A.weight", LOAM_F32, 2, {2, 2}, a},
        {"base_model.model.h.0.dense.lora_B.weight", LOAM_F32, 2, {3, 2}, b},
    };
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", directory);
    assert_ok(loam_safetensors_write(path, tensors, 2, &error));

    struct host host = {0};
    assert_ok(
        run(&host, LOAM_COMMAND_INSPECT, (const char *[]){"path", directory, "json", "true", NULL}, &error));
    json_t *root = json_loadb(host.text.data, host.text.size, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "base_model_name_or_path")), "some/base");
    assert_true(member(root, "parameters") == 10);
    const json_t *modules = json_object_get(root, "modules");
    assert_int_equal(json_array_size(modules), 1);
    const json_t *module = json_array_get(modules, 0);
    assert_string_equal(json_string_value(json_object_get(module, "module")), "h.0.dense");
    assert_true(fabs(member(module, "a_norm") - sqrt(30)) < 1e-6);
    assert_true(fabs(member(module, "b_norm") - sqrt(7)) < 1e-6);
    assert_true(fabs(member(module, "update_norm") - 3 * sqrt(1 + 4 + 36 + 64 + 16 + 36)) < 1e-6);
    json_decref(root);
    loam_bytes_deinit(&host.text);

    // A name in which prefix and suffix overlap names no module, and a model refuses the adapter too.
    const struct loam_write_tensor odd[] = {
        {"base_model.model.lora_A.weight", LOAM_F32, 2, {2, 2}, a},
        {"base_model.model.lora_B.weight", LOAM_F32, 2, {3, 2}, b},
    };
    assert_ok(loam_safetensors_write(path, odd, 2, &error));
    struct host overlap = {0};
    assert_fails(run(&overlap, LOAM_COMMAND_INSPECT,
                     (const char *[]){"path", directory, "json", "true", NULL}, &error),
                 LOAM_ERROR_UNSUPPORTED, "\"base_model.model.lora_A.weight\" is not a LoRA matrix");
    assert_int_equal(overlap.text.size, 0);

    // Without its other half a matrix is an error.
    assert_ok(loam_safetensors_write(path, tensors, 1, &error));
    struct host half = {0};
    assert_fails(run(&half, LOAM_COMMAND_INSPECT, (const char *[]){"path", directory, NULL}, &error),
                 LOAM_ERROR_FORMAT, "base_model.model.h.0.dense.lora_B.weight is missing");
    assert_int_equal(half.text.size, 0);
    test_remove_directory(directory);
}

static bool is_there(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0;
}

static size_t entries_of(const char *path)
{
    size_t count = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2; // itself and its parent
}

// Asked to stop at its first event, at its second and so on, a command that writes `out`, alone in `parent`,
// leaves nothing there; with no event left to be stopped at, it has written it.
static void stop_everywhere(enum loam_command command, const char *const *pairs, const char *parent,
                            const char *out)
{
    struct loam_error error;
    enum loam_status status = LOAM_ERROR_STOPPED;
    size_t last = 0;
    for (; status == LOAM_ERROR_STOPPED; last++) {
        struct host host = {.last_event = last + 1};
        status = run(&host, command, pairs, &error);
        loam_bytes_deinit(&host.text);
        if (status != LOAM_ERROR_STOPPED) break;
        assert_int_equal(host.events, last + 1);
        assert_false(is_there(out));
        assert_int_equal(entries_of(parent), 0);
    }
    assert_ok(status);
    assert_true(last > 1);
    assert_true(is_there(out));
    assert_int_equal(entries_of(parent), 1);
}

static void test_stopped(void **state)
{
    (void)state;
    struct loam_error error;
    char root[256], parent[300], model[300], merged[320], adapter[300], file[320];
    assert_non_null(test_make_directory(root));
    snprintf(parent, sizeof parent, "%s/parent", root);
    snprintf(adapter, sizeof adapter, "%s/adapter", root);
    snprintf(model, sizeof model, "%s/parent/model", root);
    assert_int_equal(mkdir(parent, 0777), 0);
    const char *const init[] = {"config",    LOAM_TESTS "/data/tiny/config.json",
                                "tokenizer", LOAM_TESTS "/data/tiny/tokenizer.json",
                                "out",       model,
                                NULL};
    stop_everywhere(LOAM_COMMAND_INIT, init, parent, model);

    // The others write beside it, each into a directory of its own.
    char data[320];
    snprintf(data, sizeof data, "%s/questions.json", tiny);
    struct host host = {0};
    const char *const train[] = {"model",     model, "data",    data, "out", adapter,
                                 "max-steps", "1",   "threads", "1",  NULL};
    assert_ok(run(&host, LOAM_COMMAND_TRAIN, train, &error));
    loam_bytes_deinit(&host.text);
    snprintf(parent, sizeof parent, "%s/merge", root);
    assert_int_equal(mkdir(parent, 0777), 0);
    snprintf(merged, sizeof merged, "%s/merged", parent);
    const char *const merge[] = {"model", model,   "adapter", adapter, "max-shard-size", "100KB", "out",
                                 merged,  "check", "false",   NULL};
    stop_everywhere(LOAM_COMMAND_MERGE, merge, parent, merged);
    snprintf(parent, sizeof parent, "%s/export", root);
    assert_int_equal(mkdir(parent, 0777), 0);
    snprintf(file, sizeof file, "%s/lora.gguf", parent);
    const char *const export[] = {"model", model, "adapter", adapter, "gguf", file, NULL};
    stop_everywhere(LOAM_COMMAND_EXPORT, export, parent, file);
    test_remove_directory(root);
}

// A prompt of several pieces can be stopped before its first token.
static void test_stopped_prompt(void **state)
{
    (void)state;
    enum { LENGTH = 1500 };
    struct loam_error error;
    char root[256], model[300], prompt[LENGTH + 1];
    assert_non_null(test_make_directory(root));
    snprintf(model, sizeof model, "%s/model", root);
    const char *const init[] = {"config",    LOAM_TESTS "/data/tiny/config.json",
                                "tokenizer", LOAM_TESTS "/data/tiny/tokenizer.json",
                                "out",       model,
                                NULL};
    struct host host = {0};
    assert_ok(run(&host, LOAM_COMMAND_INIT, init, &error));
    loam_bytes_deinit(&host.text);
    memset(prompt, '~', LENGTH);
    prompt[LENGTH] = '\0';
    const char *const generate[] = {"model",          model, "prompt",  prompt, "dtype", "f32",
                                    "max-new-tokens", "2",   "threads", "1",    NULL};
    struct host whole = {0};
    assert_ok(run(&whole, LOAM_COMMAND_GENERATE, generate, &error));
    assert_true(whole.text.size > 0);
    loam_bytes_deinit(&whole.text);
    // The last events are those of two tokens, and before them of two pieces of three.
    for (size_t before_end = 2; before_end < 4; before_end++) {
        struct host early = {.last_event = whole.events - before_end};
        assert_fails(run(&early, LOAM_COMMAND_GENERATE, generate, &error), LOAM_ERROR_STOPPED, "stopped");
        assert_int_equal(early.events, early.last_event);
        assert_int_equal(early.text.size, 0);
        loam_bytes_deinit(&early.text);
    }
    test_remove_directory(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenize),        cmocka_unit_test(test_callbacks),
        cmocka_unit_test(test_inspect_adapter), cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_stopped_prompt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
