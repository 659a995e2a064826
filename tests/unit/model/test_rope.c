// RoPE's frequencies beside those of transformers (tests/data/make_rope.py), and how config.json spells them.
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "common_checkpoint.h"
#include "test.h"

enum { MOST = 64 }; // frequencies

static size_t read_bits(const json_t *row, const char *key, float *values)
{
    const char *text = json_string_value(json_object_get(row, key));
    assert_non_null(text);
    const size_t count = strlen(text) / 8;
    assert_true(count <= MOST);
    for (size_t i = 0; i < count; i++) {
        char word[9] = {0};
        memcpy(word, text + 8 * i, 8);
        const uint32_t bits = (uint32_t)strtoul(word, NULL, 16);
        memcpy(&values[i], &bits, sizeof bits);
    }
    return count;
}

static void compute(const json_t *row, const char *type, float *values)
{
    struct loam_error error = {0};
    struct loam_config config;
    const json_t *parameters = json_object_get(row, "rope_parameters");
    json_t *root =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:O, s:O}", "model_type", "llama", "hidden_size", 16,
                  "num_hidden_layers", 1, "num_attention_heads", 4, "intermediate_size", 4, "vocab_size", 9,
                  "head_dim", json_object_get(row, "head_dim"), "rope_parameters", parameters);
    assert_non_null(root);
    json_t *scaled = json_deep_copy(parameters);
    if (type != NULL) assert_int_equal(json_object_set_new(scaled, "rope_type", json_string(type)), 0);
    assert_int_equal(json_object_set_new(root, "rope_parameters", scaled), 0);
    assert_ok(loam_config_parse(&config, root, "config.json", &error));
    assert_int_equal(config.head_dim, json_integer_value(json_object_get(row, "head_dim")));
    loam_config_rope_frequencies(&config, 0, 0, values);
    json_decref(root);
}

// PyTorch's powers are its own, off by an ulp here and there, so a plain frequency may be; what is made of
// one that is the same is the same to the bit.
static void are_those_of_transformers(void **state)
{
    (void)state;
    struct loam_error error = {0};
    json_t *root;
    assert_ok(loam_json_load(&root, LOAM_TESTS "/data/rope.json", &error));
    const json_t *cases = json_object_get(root, "cases");
    size_t compared = 0, all = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *row = json_array_get(cases, i);
        float expected[MOST], expected_plain[MOST], scaled[MOST], plain[MOST];
        const size_t count = read_bits(row, "bits", expected);
        assert_int_equal(read_bits(row, "plain", expected_plain), count);
        compute(row, NULL, scaled);
        compute(row, "default", plain);
        for (size_t j = 0; j < count; j++, all++) {
            assert_true(fabsf(plain[j] - expected_plain[j]) <= 3e-7f * expected_plain[j]);
            if (memcmp(&plain[j], &expected_plain[j], sizeof plain[j]) != 0) continue;
            compared++;
            if (memcmp(&scaled[j], &expected[j], sizeof scaled[j]) != 0)
                fail_msg("case %zu: frequency %zu is %.9g, expected %.9g", i, j, (double)scaled[j],
                         (double)expected[j]);
        }
    }
    json_decref(root);
    assert_true(all > 2000 && compared > all / 100 * 95);
}

// parsed(KEYS): a llama of these keys besides.
static struct loam_config parsed(const char *keys)
{
    struct loam_error error = {0};
    struct loam_config config;
    char text[800];
    snprintf(text, sizeof text, "{" LLAMA_CONFIG ",%s}", keys);
    assert_ok(test_parse_config(&config, text, &error));
    return config;
}

static void what_is_empty_is_not_there(void **state)
{
    (void)state;
#define REAL "{\"rope_type\":\"linear\",\"factor\":2.5,\"rope_theta\":7}"
    static const char *const keys[] = {
        "\"rope_scaling\":{},\"rope_parameters\":" REAL,
        "\"rope_scaling\":null,\"rope_parameters\":" REAL,
        "\"rope_scaling\":" REAL ",\"rope_parameters\":{}",
        "\"rope_scaling\":" REAL ",\"rope_parameters\":" REAL,
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct loam_config config = parsed(keys[i]);
        assert_int_equal(config.ropes[0].scaling, LOAM_ROPE_LINEAR);
        assert_true(config.ropes[0].factor == 2.5 && config.ropes[0].theta == 7);
        assert_string_equal(config.notices, "");
    }
    struct loam_config config = parsed("\"rope_scaling\":{},\"rope_parameters\":{}");
    assert_int_equal(config.ropes[0].scaling, LOAM_ROPE_DEFAULT);
    assert_true(config.ropes[0].theta == 10000);
}

// Two values for one thing: the one that transformers takes, and a line.
static void what_is_said_twice(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        enum loam_rope_scaling scaling;
        double theta;
        const char *line;
    } cases[] = {
        {"\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2},\"rope_parameters\":{\"rope_theta\":5}",
         LOAM_ROPE_LINEAR, 10000, "\"rope_scaling\" is {...}, and \"rope_parameters\" is {...}"},
        {"\"rope_theta\":3,\"rope_parameters\":{\"rope_theta\":5}", LOAM_ROPE_DEFAULT, 5,
         "\"rope_parameters.rope_theta\" is 5, and \"rope_theta\" is 3"},
        {"\"rope_theta\":3,\"rope_parameters\":{\"rope_theta\":3.0}", LOAM_ROPE_DEFAULT, 3, ""},
        {"\"rope_scaling\":{\"rope_type\":\"linear\",\"type\":\"yarn\",\"factor\":2}", LOAM_ROPE_LINEAR,
         10000, "\"rope_type\" is linear, and \"type\" is yarn"},
        {"\"original_max_position_embeddings\":64,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,"
         "\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":32}",
         LOAM_ROPE_LLAMA3, 10000, "\"original_max_position_embeddings\" is 64, and "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_config config = parsed(cases[i].keys);
        assert_int_equal(config.ropes[0].scaling, cases[i].scaling);
        assert_true(config.ropes[0].theta == cases[i].theta);
        assert_int_equal(config.notices[0] == '\0', cases[i].line[0] == '\0');
        assert_non_null(strstr(config.notices, cases[i].line));
    }
    assert_int_equal(parsed(cases[4].keys).ropes[0].original_positions, 64);
}

// Where each kind of layer has a table, transformers reads "truncate" beside the tables and not in them.
static void what_is_not_in_the_table(void **state)
{
    (void)state;
#define TABLES(inside, beside)                                                                               \
    "{\"model_type\":\"gemma3_text\",\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":4,"  \
    "\"head_dim\":16,\"intermediate_size\":20,\"vocab_size\":11,\"rope_parameters\":{\"full_attention\":"    \
    "{\"rope_type\":\"yarn\",\"rope_theta\":100,\"factor\":4,\"original_max_position_embeddings\":64" inside \
    "},\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":50}" beside "}}"
    static const struct {
        const char *text;
        bool exact;
    } cases[] = {
        {TABLES("", ""), false},
        {TABLES(",\"truncate\":false", ""), false},
        {TABLES("", ",\"truncate\":false"), true},
        {TABLES(",\"truncate\":true", ",\"truncate\":false"), true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error = {0};
        struct loam_config config;
        size_t yarns = 0;
        assert_ok(test_parse_config(&config, cases[i].text, &error));
        for (int r = 0; r < config.family->rope_count; r++) {
            if (config.ropes[r].scaling != LOAM_ROPE_YARN) continue;
            yarns++;
            assert_int_equal(config.ropes[r].exact_range, cases[i].exact);
        }
        assert_int_equal(yarns, 1);
    }
    // With one table for all layers, it is in the table.
    static const char one[] = "\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4,\"truncate\":false,"
                              "\"original_max_position_embeddings\":64}";
    assert_true(parsed(one).ropes[0].exact_range);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_those_of_transformers),
        cmocka_unit_test(what_is_empty_is_not_there),
        cmocka_unit_test(what_is_said_twice),
        cmocka_unit_test(what_is_not_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
