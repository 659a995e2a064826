#include "test.h"

#include <math.h>

#include "evaluate/score.h"

static struct loam_error error;

// The expectations are the results of the official script.
static void test_normalises(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", ""},
        {"The  Cheese!", "cheese"},
        {"a an the", ""},
        {"An apple, a day\tthe\n end.", "apple day end"},
        {"another theatre Athe", "another theatre athe"},
        {"U.S.A.", "usa"},         // the punctuation goes first
        {"the-end a_n", "theend"}, // "a_n" becomes an article
        {"$1,000.50 (approx.)", "100050 approx"},
        {"\xC2\xA0non\xE3\x80\x80"
         "breaking\x1Cspace",
         "non breaking space"},                                                // U+00A0, U+3000, U+001C
        {"zero\xE2\x80\x8Bwidth", "zero\xE2\x80\x8Bwidth"},                    // U+200B is no white space
        {"\xE2\x80\x9Cthe moon\xE2\x80\x9D", "\xE2\x80\x9C moon\xE2\x80\x9D"}, // only ASCII punctuation goes
        {"the\xCC\x81", "\xCC\x81"}, // a combining mark ends the word before it
        {"th\xC3\xA9 caf\xC3\x89", "th\xC3\xA9 caf\xC3\xA9"},
        {"a\xC2\xBD the\xE2\x85\xA7", "a\xC2\xBD the\xE2\x85\xB7"}, // fractions and numerals are word parts
        {"\xC4\xB0stanbul", "i\xCC\x87stanbul"},                    // U+0130
        {"\xCE\x9F\xCE\x94\xCE\x9F\xCE\xA3",
         "\xCE\xBF\xCE\xB4\xCE\xBF\xCF\x82"},                        // the last letter is a final sigma
        {"\xCE\xA3'\xCE\xA3 \xCE\xA3", "\xCF\x83\xCF\x82 \xCF\x83"}, // letters on both sides; before; none
        {"\xCD\x85\xCE\xA3", "\xCD\x85\xCF\x83"}, // after a mark alone, which is skipped, it is not final
        {"a\xFFthe", "\xFF"},                     // a byte outside UTF-8 is not a letter
    };
    struct loam_bytes out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_ok(loam_score_normalise(cases[i].text, strlen(cases[i].text), &out, &error));
        assert_string_equal(out.data, cases[i].expected);
    }
    assert_ok(loam_score_normalise("x\0 y", 4, &out, &error));
    assert_memory_equal(out.data, "x\0 y", 5);
    loam_bytes_deinit(&out);
}

static void test_scores(void **state)
{
    (void)state;
    static const struct {
        const char *prediction;
        const char *golds[3];
        double exact;
        double f1;
    } cases[] = {
        {"The Cheese.", {"cheese"}, 1, 1},
        {"cheese", {"bread"}, 0, 0},
        {"best of all cheese", {"cheese"}, 0, 0.4},                    // precision 1/4, recall 1
        {"cheese cheese bread", {"cheese cheese cheese"}, 0, 2.0 / 3}, // bags: two in common
        {"big moon", {"sun", "the moon", "big red moon"}, 0, 0.8},     // the best gold answer counts
        {"moon", {"big moon", "The moon!"}, 1, 1},
        {"moon", {"moon", "sun"}, 1, 1}, // the order of gold answers does not matter
        {"", {NULL}, 1, 1},
        {"the", {NULL}, 1, 1},
        {"moon", {NULL}, 0, 0},
        {"", {"moon"}, 0, 0},
        {"Can not find answer", {NULL}, 1, 1},
        {" can not find answer.\n", {NULL}, 1, 1},
        {"Can not find answer", {"answer"}, 0, 0},
        {"Can not find the moon", {NULL}, 0, 0},
        {"moon", {"the", "moon"}, 1, 1}, // a gold answer of only an article is ignored
        {"", {"the", "moon"}, 0, 0},
        {"", {"the", "..."}, 1, 1},
        {"moon", {"the"}, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count = 0;
        while (count < 3 && cases[i].golds[count] != NULL)
            count++;
        struct loam_score score = {.exact = -1, .f1 = -1};
        const char *prediction = cases[i].prediction;
        assert_ok(loam_score_answer(prediction, strlen(prediction), cases[i].golds, count, &score, &error));
        if (score.exact != cases[i].exact || fabs(score.f1 - cases[i].f1) > 1e-15)
            fail_msg("case %zu: exact %g f1 %.17g", i, score.exact, score.f1);
    }
    // Only `size` bytes of the prediction are read, and a NUL among them is a character like others.
    const char *gold = "b";
    struct loam_score score;
    assert_ok(loam_score_answer("b c", 1, &gold, 1, &score, &error));
    assert_true(score.exact == 1);
    assert_ok(loam_score_answer("x\0 b", 4, &gold, 1, &score, &error));
    assert_true(score.exact == 0 && fabs(score.f1 - 2.0 / 3) < 1e-15);
}

// A text that is no question of SQuAD has no answer that stands for none.
static void test_texts(void **state)
{
    (void)state;
    const char *const golds[] = {"a red moon", "Can not find answer"};
    struct loam_score score;
    assert_ok(loam_score_text("Can not find answer", 19, golds, 2, &score, &error));
    assert_true(score.exact == 1 && score.f1 == 1 && score.rouge_l == 1);
    assert_ok(loam_score_text("The moon is red.", 16, golds, 1, &score, &error));
    // Bags {moon, is, red} and {red, moon}; of "the moon is red" and "a red moon" one word in order.
    assert_true(score.exact == 0 && fabs(score.f1 - 0.8) < 1e-15 && fabs(score.rouge_l - 2.0 / 7) < 1e-15);
}

// By hand, and as rouge_score gives them.
static void test_rouge_l(void **state)
{
    (void)state;
    static const struct {
        const char *prediction;
        const char *golds[3];
        double f;
    } cases[] = {
        {"police kill the gunman", {"police killed the gunman"}, 0.75}, // Lin 2004: 3 of 4 words
        {"the gunman kill police", {"police killed the gunman"}, 0.5},
        {"the cat sat on the mat", {"the cat on the mat"}, 10.0 / 11}, // precision 5/6, recall 1
        {"Hello, WORLD!", {"hello world"}, 1},
        {"one_two", {"one two"}, 1}, // words have no underscore
        {"a b c d", {"d c b a"}, 0.25},
        {"a b a b a", {"b a b"}, 0.75},
        {"moon", {"sun", "the moon", "moon rise over sea"}, 2.0 / 3}, // the best gold text
        {"", {"moon"}, 0},
        {"moon", {""}, 0},
        {"...", {"!"}, 0}, // no words
        {"moon", {NULL}, 0},
        {"caf\xC3\xA9 au lait", {"caf au lait"}, 1}, // other letters separate words
        {"\xC4\xB0stanbul", {"i stanbul"}, 1},       // U+0130 becomes i and a mark
        {"4\xE2\x84\xAA tv", {"4k tv"}, 1},          // the Kelvin sign becomes k
        {"a\xFF", {"a"}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count = 0;
        double f = -1;
        while (count < 3 && cases[i].golds[count] != NULL)
            count++;
        assert_ok(loam_score_rouge_l(cases[i].prediction, strlen(cases[i].prediction), cases[i].golds, count,
                                     &f, &error));
        if (fabs(f - cases[i].f) > 1e-15) fail_msg("case %zu: %.17g", i, f);
    }
}

static void test_sums(void **state)
{
    (void)state;
    struct loam_score_sums sums = {0};
    loam_score_add(&sums, &(struct loam_score){1, 1, 0.5}, true);
    loam_score_add(&sums, &(struct loam_score){0, 0.5, 0.25}, true);
    loam_score_add(&sums, &(struct loam_score){0, 0, 0}, false);
    assert_int_equal(sums.overall.count, 3);
    assert_int_equal(sums.answerable.count, 2);
    assert_int_equal(sums.unanswerable.count, 1);
    assert_true(sums.overall.exact == 1 && sums.overall.f1 == 1.5);
    assert_true(sums.answerable.exact == 1 && sums.answerable.f1 == 1.5);
    assert_true(sums.unanswerable.exact == 0 && sums.unanswerable.f1 == 0);
    assert_true(sums.overall.rouge_l == 0.75 && sums.unanswerable.rouge_l == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalises), cmocka_unit_test(test_scores), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_rouge_l),    cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
