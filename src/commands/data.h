// The forms in which `loam data` shows examples and their summary: text, JSON and a page.
#ifndef LOAM_COMMANDS_DATA_H
#define LOAM_COMMANDS_DATA_H

#include "base/json.h"
#include "data/example_text.h"
#include "data/statistics.h"
#include "io/atomic.h"
#include "options/settings.h"
#include "session/preflight.h"

struct loam_data_view {
    const struct loam_data_options *options;
    const struct loam_session *session;
    struct loam_dataset *dataset;
    struct loam_preflight preflight;
    struct loam_statistics statistics;
    // The example that is shown.
    size_t index;
    struct loam_example example;
    struct loam_example_text text; // of the example
};

// A run of tokens [first, end) that are all learnt or all not. A zeroed struct stands before the first run.
struct loam_data_run {
    int32_t first;
    int32_t end;
    bool learnt;
};
bool loam_data_next_run(const struct loam_data_view *view, struct loam_data_run *run);
// Appends the text of token `index` without characters that act on a terminal.
enum loam_status loam_data_append_token(const struct loam_data_view *view, int32_t index,
                                        struct loam_bytes *out, struct loam_error *error);
// Tokens of the example that are learnt.
int32_t loam_data_count_learnt(const struct loam_data_view *view);

// Append the example, or the summary of all of them.
enum loam_status loam_data_text_example(const struct loam_data_view *view, struct loam_bytes *out,
                                        struct loam_error *error);
enum loam_status loam_data_text_summary(const struct loam_data_view *view, struct loam_bytes *out,
                                        struct loam_error *error);
enum loam_status loam_data_html_begin(const struct loam_data_view *view, struct loam_bytes *out,
                                      struct loam_error *error);
enum loam_status loam_data_html_example(const struct loam_data_view *view, struct loam_bytes *out,
                                        struct loam_error *error);
enum loam_status loam_data_html_end(const struct loam_data_view *view, struct loam_bytes *out,
                                    struct loam_error *error);
// NULL: memory is lacking.
json_t *loam_data_json_example(const struct loam_data_view *view);
json_t *loam_data_json_summary(const struct loam_data_view *view);

#endif
