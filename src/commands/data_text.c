// Examples and their summary as text: learnt tokens in a colour, or between marks.
#include "commands/data.h"
#include "commands/output.h"

// How a run of tokens is written.
struct style {
    const char *begin;
    const char *end;
};
static const struct style plain_styles[] = {{"", ""}, {"[[", "]]"}};                          // [learnt]
static const struct style color_styles[] = {{"\033[2m", "\033[0m"}, {"\033[32m", "\033[0m"}}; // dim, green

static bool has_color(const struct loam_data_view *view)
{
    return view->options->color == LOAM_COLOR_ALWAYS;
}

// ---- An example ----

static enum loam_status append_head(const struct loam_data_view *view, struct loam_bytes *out,
                                    struct loam_error *error)
{
    const struct loam_example *example = &view->example;
    struct loam_dataset_place place = loam_dataset_place(view->dataset, view->index);
    const char *begin = has_color(view) ? "\033[1m" : "", *end = has_color(view) ? "\033[0m" : "";
    LOAM_TRY(loam_bytes_append_text(out, begin, error));
    size_t before = out->size;
    LOAM_TRY(loam_bytes_format(out, error, "%s:%zu", place.path, place.line));
    out->size = before + loam_make_printable(out->data + before, out->size - before);
    out->data[out->size] = '\0';
    if (example->dropped)
        return loam_bytes_format(out, error, "%s  left out: its %d tokens are more than %d\n", end,
                                 (int)example->length, (int)view->session->max_length);
    LOAM_TRY(loam_bytes_format(out, error, "%s  %d tokens, %d learnt", end, (int)example->count,
                               (int)loam_data_count_learnt(view)));
    if (place.pieces > 1)
        LOAM_TRY(loam_bytes_format(out, error, ", piece %d of %d", (int)place.piece + 1, (int)place.pieces));
    if (example->length > example->count)
        LOAM_TRY(loam_bytes_format(out, error, ", cut by %d", (int)(example->length - example->count)));
    return loam_bytes_append_text(out, "\n", error);
}

static enum loam_status append_run(const struct loam_data_view *view, const struct loam_data_run *run,
                                   struct loam_bytes *out, struct loam_error *error)
{
    const struct style *style = &(has_color(view) ? color_styles : plain_styles)[run->learnt];
    LOAM_TRY(loam_bytes_append_text(out, style->begin, error));
    for (int32_t i = run->first; i < run->end; i++) {
        if (view->options->tokens && i > 0) LOAM_TRY(loam_bytes_append_text(out, "|", error));
        LOAM_TRY(loam_data_append_token(view, i, out, error));
    }
    return loam_bytes_append_text(out, style->end, error);
}

enum loam_status loam_data_text_example(const struct loam_data_view *view, struct loam_bytes *out,
                                        struct loam_error *error)
{
    struct loam_data_run run = {0};
    LOAM_TRY(append_head(view, out, error));
    while (loam_data_next_run(view, &run))
        LOAM_TRY(append_run(view, &run, out, error));
    return loam_bytes_append_text(out, view->example.dropped ? "\n" : "\n\n", error);
}

// ---- The summary ----

static double percent(int64_t part, int64_t all)
{
    return all > 0 ? 100.0 * (double)part / (double)all : 0;
}

static enum loam_status append_counts(const struct loam_data_view *view, struct loam_bytes *out,
                                      struct loam_error *error)
{
    const struct loam_statistics *statistics = &view->statistics;
    char records[LOAM_GROUPED_SIZE], tokens[LOAM_GROUPED_SIZE], learnt[LOAM_GROUPED_SIZE];
    char removed[LOAM_GROUPED_SIZE];
    size_t skipped = loam_dataset_counts(view->dataset).skipped_bad;
    LOAM_TRY(
        loam_bytes_format(out, error, "records     %s", loam_grouped((int64_t)statistics->records, records)));
    if (skipped > 0) LOAM_TRY(loam_bytes_format(out, error, ", and %zu broken ones skipped", skipped));
    if (statistics->split > 0)
        LOAM_TRY(loam_bytes_format(
            out, error, "\nsplit       %zu records became %zu examples: %zu in all", statistics->split,
            statistics->examples - (statistics->records - statistics->split), statistics->examples));
    LOAM_TRY(loam_bytes_format(out, error, "\ntokens      %s, of which %s are learnt (%.1f %%)\n",
                               loam_grouped(statistics->tokens, tokens),
                               loam_grouped(statistics->learnt, learnt),
                               percent(statistics->learnt, statistics->tokens)));
    LOAM_TRY(loam_bytes_format(
        out, error, "too long    %zu cut, %zu left out (more than %d tokens; %s tokens are lost)\n",
        statistics->cut, statistics->dropped, (int)view->session->max_length,
        loam_grouped(statistics->removed, removed)));
    return loam_bytes_format(out, error, "no label    %zu %s give nothing to learn\n",
                             statistics->without_label, statistics->split > 0 ? "examples" : "records");
}

static enum loam_status append_repeats(const struct loam_data_view *view, struct loam_bytes *out,
                                       struct loam_error *error)
{
    const struct loam_statistics *statistics = &view->statistics;
    const struct loam_repeats *repeats = &statistics->normalized_repeats;
    LOAM_TRY(loam_bytes_format(out, error,
                               "repeated    %zu records; %zu if case and white space do not count",
                               statistics->repeats.count, repeats->count));
    if (repeats->count > 0) {
        struct loam_dataset_place first = loam_dataset_place(view->dataset, repeats->first);
        struct loam_dataset_place of = loam_dataset_place(view->dataset, repeats->of);
        LOAM_TRY(loam_bytes_format(out, error, " (%s:%zu repeats %s:%zu)", first.path, first.line, of.path,
                                   of.line));
    }
    return loam_bytes_append_text(out, "\n", error);
}

static enum loam_status append_scripts(const struct loam_data_view *view, struct loam_bytes *out,
                                       struct loam_error *error)
{
    struct loam_script_share shares[LOAM_SHOWN_SCRIPTS];
    int count = loam_statistics_scripts(&view->statistics, shares);
    LOAM_TRY(loam_bytes_append_text(out, count > 0 ? "scripts     " : "scripts     none", error));
    for (int i = 0; i < count; i++)
        LOAM_TRY(loam_bytes_format(out, error, "%s%s %.1f %%", i > 0 ? ", " : "", shares[i].name,
                                   100 * shares[i].share));
    return loam_bytes_append_text(out, "\n", error);
}

static enum loam_status append_bar(const struct loam_histogram *histogram, int bar, size_t most,
                                   struct loam_bytes *out, struct loam_error *error)
{
    enum { WIDTH = 40 };
    static const char hashes[] = "########################################";
    size_t count = histogram->counts[bar];
    size_t width = (count * WIDTH + most - 1) / most; // a record shows
    char number[LOAM_GROUPED_SIZE];
    return loam_bytes_format(out, error, "  %7d-%-7d %9s %.*s\n",
                             histogram->start + bar * histogram->step + 1,
                             histogram->start + (bar + 1) * histogram->step,
                             loam_grouped((int64_t)count, number), (int)width, hashes);
}

static enum loam_status append_lengths(const struct loam_data_view *view, struct loam_bytes *out,
                                       struct loam_error *error)
{
    const struct loam_statistics *statistics = &view->statistics;
    struct loam_histogram histogram = loam_statistics_histogram(statistics);
    size_t most = 1;
    LOAM_TRY(loam_bytes_format(
        out, error, "lengths     median %d, 90 %% at most %d, 99 %% at most %d, longest %d tokens\n",
        (int)loam_statistics_length(statistics, 50), (int)loam_statistics_length(statistics, 90),
        (int)loam_statistics_length(statistics, 99), (int)loam_statistics_length(statistics, 100)));
    for (int bar = 0; bar < histogram.bars; bar++)
        if (histogram.counts[bar] > most) most = histogram.counts[bar];
    for (int bar = 0; bar < histogram.bars; bar++)
        LOAM_TRY(append_bar(&histogram, bar, most, out, error));
    return LOAM_OK;
}

static enum loam_status append_findings(const struct loam_data_view *view, struct loam_bytes *out,
                                        struct loam_error *error)
{
    const struct loam_preflight *preflight = &view->preflight;
    LOAM_TRY(loam_bytes_format(out, error, "preflight   %zu checks, %zu %s looked at, %zu %s\n",
                               preflight->checked, preflight->looked,
                               view->statistics.split > 0 ? "examples" : "records", preflight->count,
                               preflight->count == 1 ? "finding" : "findings"));
    for (size_t i = 0; i < preflight->count; i++) {
        const struct loam_finding *finding = &preflight->findings[i];
        LOAM_TRY(loam_bytes_append_line(out, error, "  %s %s: %s", loam_severity_name(finding->severity),
                                        finding->check, finding->message));
    }
    return LOAM_OK;
}

enum loam_status loam_data_text_summary(const struct loam_data_view *view, struct loam_bytes *out,
                                        struct loam_error *error)
{
    LOAM_TRY(append_counts(view, out, error));
    LOAM_TRY(append_repeats(view, out, error));
    LOAM_TRY(append_scripts(view, out, error));
    LOAM_TRY(append_lengths(view, out, error));
    return append_findings(view, out, error);
}
