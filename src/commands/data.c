// loam data: shows examples as they will be learnt. Opens config and tokenizer, no weights.
#include "commands/data.h"

#include <string.h>

#include "base/event.h"
#include "commands/commands.h"
#include "commands/output.h"

enum { TEXT_LIMIT = 5, HTML_LIMIT = 100, NO_LIMIT = -1 }; // examples without --limit

struct data_job {
    const struct loam_settings *settings;
    const struct loam_callbacks *callbacks;
    struct loam_session session;
    struct loam_dataset *eval_dataset;
    struct loam_data_view view;
    struct loam_bytes output;
    struct loam_bytes page;
    struct loam_atomic_file file; // of --html; stream NULL: none
};

bool loam_data_next_run(const struct loam_data_view *view, struct loam_data_run *run)
{
    const struct loam_example *example = &view->example;
    if (run->end >= example->count) return false;
    run->first = run->end;
    run->learnt = loam_example_learns(example, run->first);
    while (run->end < example->count && loam_example_learns(example, run->end) == run->learnt)
        run->end++;
    return true;
}

enum loam_status loam_data_append_token(const struct loam_data_view *view, int32_t index,
                                        struct loam_bytes *out, struct loam_error *error)
{
    size_t start, end = loam_example_text_token(&view->text, index, &start), before = out->size;
    LOAM_TRY(loam_bytes_append(out, view->text.text.data + start, end - start, error));
    out->size = before + loam_make_printable(out->data + before, end - start);
    out->data[out->size] = '\0';
    return LOAM_OK;
}

int32_t loam_data_count_learnt(const struct loam_data_view *view)
{
    int32_t count = 0;
    for (int32_t i = 0; i < view->example.count; i++)
        count += loam_example_learns(&view->example, i);
    return count;
}

// ---- Opening ----

static enum loam_status open_session(struct data_job *job, struct loam_error *error)
{
    const struct loam_train_settings *train = &job->settings->train;
    const struct loam_session_options options = {
        .model = train->model,
        .device = "ref", // nothing is computed
        .threads = 1,
        .prompt_template = train->prompt_template,
        .cut = train->cut,
        .chat_template = train->chat_template,
        .content_may_be_special = train->content_may_be_special,
        .max_length = train->max_length,
        .callbacks = job->callbacks,
        .planning = true,
    };
    return loam_session_open(&job->session, &options, error);
}

// Every record is shown, whatever an epoch takes.
static void tell_shares(const struct data_job *job)
{
    size_t count, records = 0, taken = 0;
    const struct loam_mixture_part *parts = loam_dataset_parts(job->view.dataset, &count);
    for (size_t i = 0; i < count; i++) {
        records += parts[i].count;
        taken += parts[i].taken;
    }
    if (records != taken)
        loam_log_write(
            &job->callbacks->log, LOAM_LOG_INFO,
            "each of the %zu examples counts once here; with the weights and counts of --data an epoch "
            "has %zu",
            records, taken);
}

static enum loam_status open_data(struct data_job *job, struct loam_error *error)
{
    const struct loam_train_settings *train = &job->settings->train;
    struct loam_session_data data = {.sources = &train->data,
                                     .map = &train->map,
                                     .loss_on = train->loss_on,
                                     .too_long = train->too_long,
                                     .skip_bad = train->skip_bad,
                                     .learnt = true};
    LOAM_TRY(loam_session_dataset(&job->session, &data, &job->view.dataset, error));
    tell_shares(job);
    if (train->eval_data.count == 0) return LOAM_OK;
    data.sources = &train->eval_data;
    data.learnt = false;
    return loam_session_dataset(&job->session, &data, &job->eval_dataset, error);
}

static enum loam_status run_preflight(struct data_job *job, struct loam_error *error)
{
    const struct loam_session_sets sets = {.dataset = job->view.dataset, .eval_dataset = job->eval_dataset};
    return loam_session_preflight(&job->session, &sets, &job->view.preflight, error);
}

static enum loam_status open_all(struct data_job *job, struct loam_error *error)
{
    const struct loam_data_options *options = &job->settings->data;
    if (options->html != NULL)
        LOAM_TRY(loam_output_file_check(options->html, job->settings->train.overwrite, error));
    LOAM_TRY(open_session(job, error));
    LOAM_TRY(open_data(job, error));
    LOAM_TRY(run_preflight(job, error));
    job->view.options = options;
    job->view.session = &job->session;
    if (options->html == NULL) return LOAM_OK;
    loam_atomic_clear(options->html);
    LOAM_TRY(loam_atomic_open(&job->file, options->html, error));
    return loam_data_html_begin(&job->view, &job->page, error);
}

// ---- Examples ----

static bool is_shown(const struct data_job *job, int64_t default_limit)
{
    int64_t limit = job->settings->data.limit;
    if (limit == 0) limit = default_limit;
    return limit < 0 || job->view.index < (size_t)limit;
}

// Writes the page's text to its file.
static enum loam_status flush_page(struct data_job *job, struct loam_error *error)
{
    LOAM_TRY(loam_atomic_write(&job->file, job->page.data, job->page.size, error));
    loam_bytes_clear(&job->page);
    return LOAM_OK;
}

static enum loam_status show_example(struct data_job *job, struct loam_error *error)
{
    const struct loam_data_view *view = &job->view;
    if (job->settings->json)
        return loam_output_json(job->callbacks, loam_data_json_example(view), JSON_COMPACT, error);
    loam_bytes_clear(&job->output);
    LOAM_TRY(loam_data_text_example(view, &job->output, error));
    return loam_output_bytes(job->callbacks, job->output.data, job->output.size, error);
}

static enum loam_status show_record(struct data_job *job, struct loam_error *error)
{
    struct loam_data_view *view = &job->view;
    const bool in_page = job->file.stream != NULL && is_shown(job, HTML_LIMIT);
    const bool in_output =
        !view->options->summary && is_shown(job, job->settings->json ? NO_LIMIT : TEXT_LIMIT);
    if (!in_page && !in_output) return LOAM_OK;
    LOAM_TRY(loam_example_text_decode(&view->text, &view->example, job->session.tokenizer, error));
    if (in_output) LOAM_TRY(show_example(job, error));
    if (!in_page) return LOAM_OK;
    LOAM_TRY(loam_data_html_example(view, &job->page, error));
    return flush_page(job, error);
}

static enum loam_status read_record(struct data_job *job, struct loam_error *error)
{
    struct loam_data_view *view = &job->view;
    const int32_t piece = loam_dataset_place(view->dataset, view->index).piece;
    const char *text;
    size_t size;
    LOAM_TRY(loam_dataset_read(view->dataset, view->index, &view->example, error));
    if (piece > 0) {
        LOAM_TRY(loam_statistics_add_piece(&view->statistics, &view->example, piece == 1, error));
        return show_record(job, error);
    }
    LOAM_TRY(loam_dataset_text(view->dataset, view->index, &text, &size, error));
    LOAM_TRY(loam_statistics_add(&view->statistics, view->index, &view->example, text, size, error));
    return show_record(job, error);
}

static enum loam_status read_records(struct data_job *job, struct loam_error *error)
{
    enum { REPORT = 64 }; // records between two reports of progress
    const size_t count = loam_dataset_count(job->view.dataset);
    for (size_t i = 0; i < count; i++) {
        job->view.index = i;
        LOAM_TRY(read_record(job, error));
        if (i % REPORT == 0 || i + 1 == count)
            LOAM_TRY(loam_event_progress(job->callbacks, LOAM_ACTIVITY_READ, (int64_t)i + 1, (int64_t)count,
                                         error));
    }
    loam_statistics_finish(&job->view.statistics);
    return LOAM_OK;
}

// ---- The end ----

static enum loam_status end_page(struct data_job *job, struct loam_error *error)
{
    if (job->file.stream == NULL) return LOAM_OK;
    LOAM_TRY(loam_data_html_end(&job->view, &job->page, error));
    LOAM_TRY(flush_page(job, error));
    return loam_atomic_commit(&job->file, error);
}

// With --json the lines are examples, so that the findings go to the log.
static enum loam_status show_summary(struct data_job *job, struct loam_error *error)
{
    const struct loam_data_view *view = &job->view;
    if (job->settings->json && view->options->summary)
        return loam_output_json(job->callbacks, loam_data_json_summary(view), JSON_INDENT(2), error);
    if (job->settings->json) {
        loam_session_log_findings(&job->session, &view->preflight, 0);
        return LOAM_OK;
    }
    loam_bytes_clear(&job->output);
    LOAM_TRY(loam_data_text_summary(view, &job->output, error));
    return loam_output_bytes(job->callbacks, job->output.data, job->output.size, error);
}

static void close_all(struct data_job *job)
{
    struct loam_data_view *view = &job->view;
    loam_atomic_abort(&job->file);
    loam_bytes_deinit(&job->page);
    loam_bytes_deinit(&job->output);
    loam_example_text_deinit(&view->text);
    loam_example_deinit(&view->example);
    loam_statistics_deinit(&view->statistics);
    loam_preflight_deinit(&view->preflight);
    loam_dataset_destroy(job->eval_dataset);
    loam_dataset_destroy(view->dataset);
    loam_session_close(&job->session);
}

enum loam_status loam_run_data(const struct loam_settings *settings, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    struct data_job job = {.settings = settings, .callbacks = callbacks};
    enum loam_status status = open_all(&job, error);
    if (status == LOAM_OK) status = read_records(&job, error);
    if (status == LOAM_OK) status = end_page(&job, error);
    if (status == LOAM_OK) status = show_summary(&job, error);
    close_all(&job);
    return status;
}
