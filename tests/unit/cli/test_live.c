// The live line: its text after a sequence of events, for terminals of various widths.
#include "test.h"

#include <math.h>

#include "cli/live.h"

static struct loam_event progress(enum loam_activity activity, int64_t done, int64_t total)
{
    return (struct loam_event){
        .kind = LOAM_EVENT_PROGRESS, .activity = activity, .done = done, .total = total};
}

static struct loam_event step(int64_t at, int64_t total, double loss, int64_t tokens, double seconds)
{
    struct loam_event event = progress(LOAM_ACTIVITY_TRAIN, at, total);
    event.step = at;
    event.total_steps = total;
    event.loss = loss;
    event.tokens = tokens;
    event.seconds = seconds;
    return event;
}

// The columns of a line. An SGR sequence has none, a character of several bytes one.
static int columns(const char *line)
{
    int count = 0;
    for (; *line != '\0'; line++) {
        if (*line == '\033')
            line = strchr(line, 'm');
        else if (((unsigned char)*line & 0xc0) != 0x80)
            count++;
    }
    return count;
}

static const char *line_of(const struct cli_live *live, double now, int64_t memory, int width, bool utf8,
                           bool color, char line[CLI_LIVE_SIZE])
{
    struct cli_style style = {.columns = width, .utf8 = utf8, .color = color};
    cli_live_format(live, now, memory, &style, line);
    return line;
}

// The state after 10 of 100 steps of a second and 500 tokens each. The loss falls from 10 to 1.
static struct cli_live trained(void)
{
    struct cli_live live = {0};
    struct loam_event start = {.kind = LOAM_EVENT_START, .total_steps = 100, .seconds = 0};
    cli_live_update(&live, &start, 0);
    for (int64_t i = 1; i <= 10; i++) {
        struct loam_event event = step(i, 100, (double)(11 - i), 500 * i, (double)i);
        cli_live_update(&live, &event, 100);
    }
    return live;
}

// The weighted mean of 10, 9, ... 1 with weights 0.9^9 ... 1 is 4.6466.
#define TRAINED "step  10/100  loss 4.6466"
#define BARS                                                                                                 \
    "\xe2\x96\x88\xe2\x96\x87\xe2\x96\x86\xe2\x96\x86\xe2\x96\x85\xe2\x96\x84\xe2\x96\x83\xe2\x96\x83\xe2"   \
    "\x96\x82\xe2\x96\x81"

static void training(void **state)
{
    (void)state;
    char line[CLI_LIVE_SIZE];
    struct cli_live live = trained();
    assert_true(cli_live_is_active(&live));
    assert_string_equal(line_of(&live, 0, 300 << 20, 200, false, false, line),
                        TRAINED "  500 tokens/s  1:30 left  300 MiB");
    assert_string_equal(line_of(&live, 0, 300 << 20, 200, true, false, line),
                        TRAINED "  " BARS "  500 tokens/s  1:30 left  300 MiB");
    assert_string_equal(line_of(&live, 0, INT64_C(20) << 30, 200, true, true, line),
                        TRAINED "  \033[36m" BARS "\033[0m  500 tokens/s  1:30 left  20.0 GiB");
    assert_string_equal(line_of(&live, 0, 0, 200, false, false, line), TRAINED "  500 tokens/s  1:30 left");
}

static void before_the_first_step(void **state)
{
    (void)state;
    char line[CLI_LIVE_SIZE];
    struct cli_live live = {0};
    assert_false(cli_live_is_active(&live));
    assert_string_equal(line_of(&live, 0, 0, 80, true, true, line), "");
    struct loam_event start = {.kind = LOAM_EVENT_START, .total_steps = 7};
    cli_live_update(&live, &start, 0);
    assert_string_equal(line_of(&live, 0, 0, 80, true, true, line), "step 0/7");
    struct loam_event unlabelled = step(1, 7, NAN, 0, 0.5);
    cli_live_update(&live, &unlabelled, 0);
    assert_string_equal(line_of(&live, 0, 0, 80, true, true, line), "step 1/7  0 tokens/s  0:03 left");
}

// The least important fields are left out first, and every line is narrower than the terminal.
static void narrow(void **state)
{
    (void)state;
    char line[CLI_LIVE_SIZE];
    struct cli_live live = trained();
    for (int width = 0; width < 120; width++) {
        line_of(&live, 0, 300 << 20, width, true, true, line);
        assert_true(columns(line) <= (width > 1 ? width - 1 : 0));
        assert_int_equal(strstr(line, "\033[36m") == NULL, strstr(line, "\033[0m") == NULL);
    }
    const struct {
        int width;
        const char *line;
    } cases[] = {
        {200, TRAINED "  " BARS "  500 tokens/s  1:30 left  300 MiB"},
        {71, TRAINED "  " BARS "  500 tokens/s  1:30 left"},
        {59, TRAINED "  " BARS "  1:30 left"},
        {39, TRAINED "  1:30 left"},
        {37, TRAINED "  1:30 left"},
        {36, TRAINED},
        {26, TRAINED},
        {25, "step  10/100"},
        {13, "step  10/100"},
        {12, "step  10/10"},
        {2, "s"},
        {1, ""},
        {0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(line_of(&live, 0, 300 << 20, cases[i].width, true, false, line), cases[i].line);
}

static void times(void **state)
{
    (void)state;
    const struct {
        double seconds; // of a step; 100 steps are left
        const char *text;
    } cases[] = {{0.001, "0:00 left"},   {0.597, "1:00 left"},      {35.99, "59:59 left"},
                 {36, "1:00:00 left"},   {863.99, "23:59:59 left"}, {864, "1 d 0 h left"},
                 {3000, "3 d 11 h left"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[CLI_LIVE_SIZE];
        struct cli_live live = {0};
        struct loam_event first = step(1, 101, 1, 10, cases[i].seconds);
        cli_live_update(&live, &first, 0);
        assert_non_null(strstr(line_of(&live, 0, 0, 80, false, false, line), cases[i].text));
    }
}

// The time of an evaluation does not count as time of a step.
static void evaluation_between_steps(void **state)
{
    (void)state;
    char line[CLI_LIVE_SIZE];
    struct cli_live live = trained();
    struct loam_event half = progress(LOAM_ACTIVITY_EVALUATE, 10, 40);
    cli_live_update(&live, &half, 200);
    assert_string_equal(line_of(&live, 200, 0, 80, true, false, line), "step  10/100  evaluating 10/40");
    half.done = 20;
    cli_live_update(&live, &half, 210);
    assert_string_equal(line_of(&live, 210, 0, 80, true, false, line),
                        "step  10/100  evaluating 20/40  0:20 left");
    assert_string_equal(line_of(&live, 210, 0, 36, true, false, line), "evaluating 20/40  0:20 left");
    half.done = 40;
    cli_live_update(&live, &half, 230);
    struct loam_event evaluated = {
        .kind = LOAM_EVENT_EVAL, .step = 10, .total_steps = 100, .tokens = 5000, .seconds = 40};
    cli_live_update(&live, &evaluated, 230);
    struct loam_event next = step(11, 100, 4.6466, 5500, 41);
    cli_live_update(&live, &next, 231);
    assert_string_equal(line_of(&live, 231, 0, 80, false, false, line),
                        "step  11/100  loss 4.6466  500 tokens/s  1:29 left");
}

static void the_end(void **state)
{
    (void)state;
    char line[CLI_LIVE_SIZE];
    struct cli_live live = trained();
    struct loam_event last = step(100, 100, 4.6466, 50000, 75);
    cli_live_update(&live, &last, 0);
    assert_non_null(strstr(line_of(&live, 0, 0, 120, false, false, line), "tokens/s  in 1:15"));
}

static void other_activities(void **state)
{
    (void)state;
    char line[CLI_LIVE_SIZE];
    struct cli_live live = {0};
    struct loam_event loading = progress(LOAM_ACTIVITY_LOAD, 250, 1000);
    cli_live_update(&live, &loading, 5);
    assert_string_equal(line_of(&live, 5, 0, 80, true, true, line), "loading the weights 25 %");
    loading.done = 500;
    cli_live_update(&live, &loading, 15);
    assert_string_equal(line_of(&live, 15, 1 << 20, 80, true, true, line),
                        "loading the weights 50 %  0:20 left  1 MiB");
    loading.done = 1000;
    cli_live_update(&live, &loading, 35);
    assert_false(cli_live_is_active(&live));
    // The next activity counts from its own start.
    struct loam_event answering = progress(LOAM_ACTIVITY_ANSWER, 1, 3);
    cli_live_update(&live, &answering, 100);
    assert_string_equal(line_of(&live, 100, 0, 80, true, true, line), "answering 1/3");
    answering.done = 2;
    cli_live_update(&live, &answering, 160);
    assert_string_equal(line_of(&live, 160, 0, 80, true, true, line), "answering 2/3  1:00 left");
}

// The curve holds a run of any length. Every point is the mean of the same number of values.
static void curve(void **state)
{
    (void)state;
    struct cli_live live = {0};
    int64_t steps = 1000;
    for (int64_t i = 1; i <= steps; i++) {
        struct loam_event event = step(i, steps, (double)i, i, (double)i);
        cli_live_update(&live, &event, 0);
    }
    const struct cli_curve *losses = &live.losses;
    assert_int_equal(losses->stride, 64);
    assert_int_equal(losses->count, 15); // 960 values; 40 are pending
    assert_int_equal(losses->pending, 40);
    for (int i = 0; i < losses->count; i++)
        assert_true(fabs(losses->points[i] - (64 * i + 32.5)) < 1e-9);
    char line[CLI_LIVE_SIZE];
    assert_int_equal(columns(line_of(&live, 0, 0, 200, true, true, line)),
                     columns(line_of(&live, 0, 0, 200, false, false, line)) + 2 + 15);
}

// Small noise is drawn as a flat curve.
static void flat_curve(void **state)
{
    (void)state;
    struct cli_live live = {0};
    for (int64_t i = 1; i <= 4; i++) {
        struct loam_event event = step(i, 9, i % 2 == 0 ? 6.0001 : 6.0, i, (double)i);
        cli_live_update(&live, &event, 0);
    }
    char line[CLI_LIVE_SIZE];
    assert_non_null(strstr(line_of(&live, 0, 0, 80, true, false, line),
                           "  \xe2\x96\x81\xe2\x96\x81\xe2\x96\x81\xe2\x96\x81  "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training),
        cmocka_unit_test(before_the_first_step),
        cmocka_unit_test(narrow),
        cmocka_unit_test(times),
        cmocka_unit_test(evaluation_between_steps),
        cmocka_unit_test(the_end),
        cmocka_unit_test(other_activities),
        cmocka_unit_test(curve),
        cmocka_unit_test(flat_curve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
