// ROUGE-L equals that of the package rouge_score (tests/parity/make_rouge_goldens.py).
#include "test.h"

#include <math.h>

#include "base/json.h"
#include "base/json_read.h"
#include "evaluate/score.h"

static struct loam_error error;

static void check(const char *prediction, const char *const *golds, size_t count, double expected)
{
    double score;
    assert_ok(loam_score_rouge_l(prediction, strlen(prediction), golds, count, &score, &error));
    if (!(fabs(score - expected) < 1e-12))
        fail_msg("\"%s\" beside \"%s\": %.15g, not %.15g", prediction, golds[0], score, expected);
}

static void test_goldens(void **state)
{
    (void)state;
    json_t *root, *item;
    size_t index;
    assert_ok(loam_json_load(&root, LOAM_TESTS "/parity/goldens/rouge.json", &error));
    const json_t *pairs = json_object_get(root, "pairs"), *several = json_object_get(root, "several");
    assert_true(json_array_size(pairs) >= 400 && json_array_size(several) >= 40);
    json_array_foreach(pairs, index, item)
    {
        const char *gold = json_string_value(json_array_get(item, 1));
        check(json_string_value(json_array_get(item, 0)), &gold, 1,
              json_number_value(json_array_get(item, 2)));
    }
    json_array_foreach(several, index, item)
    {
        const char *golds[3];
        for (size_t i = 0; i < 3; i++)
            golds[i] = json_string_value(json_array_get(json_array_get(item, 1), i));
        check(json_string_value(json_array_get(item, 0)), golds, 3,
              json_number_value(json_array_get(item, 2)));
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
