#include "common_fixture.h"

#include <jansson.h>
#include <sys/stat.h>

#include "model/model.h"
#include "test.h"

static const char bloom[] = "{\"model_type\": \"bloom\", \"architectures\": [\"BloomForCausalLM\"], "
                            "\"vocab_size\": 260, \"hidden_size\": 16, \"n_layer\": 2, \"n_head\": 2, "
                            "\"bos_token_id\": 1, \"eos_token_id\": 2, \"initializer_range\": 0.1}";
static const char llama[] =
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 260, "
    "\"hidden_size\": 16, \"intermediate_size\": 24, \"num_hidden_layers\": 2, "
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"max_position_embeddings\": 96, "
    "\"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": false, \"bos_token_id\": 1, \"eos_token_id\": 2, "
    "\"initializer_range\": 0.1}";

static const char lines[] = "{\"text\": \"the cat sat\"}\n"
                            "{\"text\": \"a dog\"}\n"
                            "{\"text\": \"the cat sat on the mat and slept\"}\n"
                            "{\"text\": \"birds sing\"}\n"
                            "{\"text\": \"a dog ran to the house\"}\n";

static const char questions[] =
    "{\"version\": \"v2.0\", \"data\": [{\"title\": \"t\", \"paragraphs\": [{\"context\": \"A red hat.\", "
    "\"qas\": ["
    "{\"id\": \"q1\", \"question\": \"Colour?\", \"answers\": [{\"text\": \"red\", \"answer_start\": 2}], "
    "\"is_impossible\": false}, "
    "{\"id\": \"q2\", \"question\": \"What?\", \"answers\": [{\"text\": \"hat\", \"answer_start\": 6}], "
    "\"is_impossible\": false}, "
    "{\"id\": \"q3\", \"question\": \"Who?\", \"answers\": [], \"is_impossible\": true}]}, "
    "{\"context\": \"Tom sang.\", \"qas\": ["
    "{\"id\": \"q4\", \"question\": \"Who?\", \"answers\": [{\"text\": \"Tom\", \"answer_start\": 0}], "
    "\"is_impossible\": false}]}]}]}";

// Returns the character that stands for a byte in GPT-2's byte-level vocabulary.
static unsigned byte_character(unsigned byte)
{
    unsigned others = 0;
    for (unsigned b = 0; b < 256; b++) {
        bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        if (b == byte) return itself ? b : 256 + others;
        others += !itself;
    }
    return 0;
}

static json_t *special_token(int id, const char *content)
{
    return json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", content, "single_word", 0,
                     "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
}

static void write_tokenizer(const char *path)
{
    static const char *const specials[] = {"<unk>", "<s>", "</s>", "<pad>"};
    json_t *vocab = json_object();
    json_t *added = json_array();
    for (int i = 0; i < 4; i++) {
        json_object_set_new(vocab, specials[i], json_integer(i));
        json_array_append_new(added, special_token(i, specials[i]));
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned c = byte_character(byte);
        char name[3] = {(char)c, 0, 0};
        if (c >= 128) {
            name[0] = (char)(0xc0 | (c >> 6));
            name[1] = (char)(0x80 | (c & 63));
        }
        json_object_set_new(vocab, name, json_integer(4 + byte));
    }
    const char *level = "{s:s, s:b, s:b, s:b}";
    json_t *root = json_pack(
        "{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:o, s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:o, s:[]}}",
        "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer", "pre_tokenizer",
        json_pack(level, "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 0),
        "post_processor", "decoder",
        json_pack(level, "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 0),
        "model", "type", "BPE", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
        "fuse_unk", 0, "byte_fallback", 0, "vocab", vocab, "merges");
    assert_non_null(root);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
}

static void write_model(struct fixture *fixture, const char *config_text)
{
    struct loam_error error;
    struct loam_config config;
    struct loam_model *model;
    char path[400];
    assert_int_equal(mkdir(fixture->model, 0777), 0);
    snprintf(path, sizeof path, "%s/config.json", fixture->model);
    test_write_file(path, config_text, strlen(config_text));
    assert_ok(loam_config_load(&config, fixture->model, &error));
    assert_ok(loam_model_create(&model, &config, &error));
    assert_ok(loam_model_init_checkpoint(model, 3, LOAM_F32, fixture->model, NULL, &error));
    loam_model_destroy(model);
    snprintf(path, sizeof path, "%s/tokenizer.json", fixture->model);
    write_tokenizer(path);
    static const char settings[] =
        "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"pad_token\": \"<pad>\"}";
    snprintf(path, sizeof path, "%s/tokenizer_config.json", fixture->model);
    test_write_file(path, settings, sizeof settings - 1);
}

static bool collect_event(void *user, const struct loam_event *event)
{
    struct fixture *fixture = user;
    bool progress = event->kind == LOAM_EVENT_PROGRESS;
    size_t *count = progress ? &fixture->progress_count : &fixture->event_count;
    assert_true(*count < FIXTURE_MAX_EVENTS);
    (progress ? fixture->progress : fixture->events)[(*count)++] = *event;
    return !progress || *count != fixture->stop_at;
}

static void collect_line(void *user, enum loam_log_level level, const char *line)
{
    struct fixture *fixture = user;
    size_t used = strlen(fixture->log);
    snprintf(fixture->log + used, sizeof fixture->log - used, "%s%s\n",
             level == LOAM_LOG_WARNING ? "warning: " : "", line);
}

void fixture_make(struct fixture *fixture, const char *family)
{
    *fixture = (struct fixture){0};
    assert_non_null(test_make_directory(fixture->directory));
    snprintf(fixture->model, sizeof fixture->model, "%s/model", fixture->directory);
    snprintf(fixture->out, sizeof fixture->out, "%s/out", fixture->directory);
    snprintf(fixture->adapter, sizeof fixture->adapter, "%s/adapter", fixture->directory);
    write_model(fixture, strcmp(family, "bloom") == 0 ? bloom : llama);
    fixture_write(fixture, "data.jsonl", lines, fixture->jsonl);
    fixture->jsonl_files[0] = fixture->jsonl;
    fixture->squad_files[0] = fixture->squad;
    fixture_write(fixture, "squad.json", questions, fixture->squad);
    fixture->callbacks =
        (struct loam_callbacks){.user = fixture, .log = {collect_line, fixture}, .event = collect_event};
}

void fixture_remove(struct fixture *fixture)
{
    test_remove_directory(fixture->directory);
}

int fixture_setup(void **state)
{
    fixture_make(*state, "bloom");
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_remove(*state);
    return 0;
}

void fixture_clear(struct fixture *fixture)
{
    fixture->event_count = 0;
    fixture->progress_count = 0;
    fixture->stop_at = 0;
    fixture->log[0] = '\0';
}

void fixture_write(const struct fixture *fixture, const char *name, const char *text, char path[300])
{
    snprintf(path, 300, "%s/%s", fixture->directory, name);
    test_write_file(path, text, strlen(text));
}

char *fixture_read(const char *directory, const char *name, size_t *size)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    enum { LIMIT = 1 << 20 };
    char *text = calloc(1, LIMIT);
    assert_non_null(text);
    size_t read = fread(text, 1, LIMIT - 1, file);
    fclose(file);
    if (size != NULL) *size = read;
    return text;
}

bool fixture_has(const char *directory, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

bool fixture_same_file(const char *a, const char *b, const char *name)
{
    size_t size_a = 0, size_b = 0;
    char *text_a = fixture_read(a, name, &size_a), *text_b = fixture_read(b, name, &size_b);
    bool same = text_a != NULL && text_b != NULL && size_a == size_b && memcmp(text_a, text_b, size_a) == 0;
    free(text_a);
    free(text_b);
    return same;
}

struct loam_train_settings fixture_settings(const struct fixture *fixture)
{
    return (struct loam_train_settings){
        .model = fixture->model,
        .data = FIXTURE_LIST(fixture->jsonl_files),
        .out = fixture->out,
        .device = "ref",
        .threads = 1,
        .dtype = LOAM_F32,
        .lora = {.rank = 4, .alpha = 8},
        .shuffle = true,
        .learning_rate = 1e-2,
        .adam_beta1 = 0.9,
        .adam_beta2 = 0.999,
        .adam_epsilon = 1e-8,
        .max_grad_norm = 1,
        .epochs = 3,
        .batch_size = 2,
        .accumulation = 1,
        .logging_steps = 2,
        .seed = 42,
    };
}
