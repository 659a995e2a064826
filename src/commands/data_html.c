// Examples and their summary as a page. It refers to nothing outside, runs no script, and every text of the data is
// escaped.
#include "commands/data.h"
#include "commands/output.h"

// The summary comes last in the file, and first on the page.
static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>loam data</title>\n<style>\n"
    ":root { color-scheme: light dark; --soft: #767676; --learnt: #0a6b2d; --mark: #d9f2e0; --edge: #bbb; }\n"
    "@media (prefers-color-scheme: dark) { :root { --soft: #949494; --learnt: #8fe0a8; --mark: #123d20; "
    "--edge: #555; } }\n"
    "body { display: flex; flex-direction: column; font: 16px/1.45 sans-serif; max-width: 60rem; "
    "margin: 2rem auto; padding: 0 1rem; }\n"
    "#summary { order: -1; }\n"
    "h1, h2 { font-size: 1rem; margin: 1.2rem 0 .3rem; }\n"
    "table { border-collapse: collapse; }\n"
    "td, th { padding: 0 1rem 0 0; text-align: left; vertical-align: top; font-weight: normal; }\n"
    "pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding: .6rem .8rem; "
    "border: 1px solid var(--edge); color: var(--soft); }\n"
    "b { font-weight: normal; color: var(--learnt); background: var(--mark); }\n"
    "i { font-style: normal; outline: 1px solid var(--edge); }\n"
    "meter { width: 20rem; }\n"
    "</style>\n</head>\n<body>\n";

static enum loam_status append_escaped(struct loam_bytes *out, const char *text, size_t size,
                                       struct loam_error *error)
{
    static const struct {
        char character;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (size_t at = 0; at < size; at++) {
        size_t e = 0;
        while (e < sizeof entities / sizeof *entities && entities[e].character != text[at])
            e++;
        LOAM_TRY(e < sizeof entities / sizeof *entities
                     ? loam_bytes_append_text(out, entities[e].entity, error)
                     : loam_bytes_append(out, text + at, 1, error));
    }
    return LOAM_OK;
}

// Appends text that may have any bytes.
static enum loam_status append_text(struct loam_bytes *out, const char *text, struct loam_error *error)
{
    struct loam_bytes copy = {0};
    enum loam_status status = loam_bytes_append_text(&copy, text, error);
    if (status == LOAM_OK) {
        copy.size = loam_make_printable(copy.data, copy.size);
        status = append_escaped(out, copy.data, copy.size, error);
    }
    loam_bytes_deinit(&copy);
    return status;
}

enum loam_status loam_data_html_begin(const struct loam_data_view *view, struct loam_bytes *out,
                                      struct loam_error *error)
{
    (void)view;
    return loam_bytes_append_text(out, head, error);
}

// ---- An example ----

static enum loam_status append_token(const struct loam_data_view *view, int32_t index, struct loam_bytes *out,
                                     struct loam_error *error)
{
    struct loam_bytes text = {0};
    const bool marked = view->options->tokens;
    enum loam_status status = loam_data_append_token(view, index, &text, error);
    if (status == LOAM_OK && marked)
        status = loam_bytes_format(out, error, "<i title=\"%d\">", (int)view->example.ids[index]);
    if (status == LOAM_OK) status = append_escaped(out, text.data, text.size, error);
    if (status == LOAM_OK && marked) status = loam_bytes_append_text(out, "</i>", error);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status append_heading(const struct loam_data_view *view, struct loam_bytes *out,
                                       struct loam_error *error)
{
    const struct loam_example *example = &view->example;
    struct loam_dataset_place place = loam_dataset_place(view->dataset, view->index);
    LOAM_TRY(loam_bytes_append_text(out, "<h2>", error));
    LOAM_TRY(append_text(out, place.path, error));
    if (example->dropped)
        return loam_bytes_format(out, error, ":%zu — left out: %d tokens</h2>\n", place.line,
                                 (int)example->length);
    LOAM_TRY(loam_bytes_format(out, error, ":%zu — %d tokens, %d learnt, cut by %d", place.line,
                               (int)example->count, (int)loam_data_count_learnt(view),
                               (int)(example->length - example->count)));
    if (place.pieces > 1)
        LOAM_TRY(loam_bytes_format(out, error, ", piece %d of %d", (int)place.piece + 1, (int)place.pieces));
    return loam_bytes_append_text(out, "</h2>\n", error);
}

enum loam_status loam_data_html_example(const struct loam_data_view *view, struct loam_bytes *out,
                                        struct loam_error *error)
{
    struct loam_data_run run = {0};
    LOAM_TRY(loam_bytes_append_text(out, "<section>\n", error));
    LOAM_TRY(append_heading(view, out, error));
    // A line break after <pre> is left out by the browser, so the text may begin with one of its own.
    LOAM_TRY(loam_bytes_append_text(out, "<pre>\n", error));
    while (loam_data_next_run(view, &run)) {
        if (run.learnt) LOAM_TRY(loam_bytes_append_text(out, "<b>", error));
        for (int32_t i = run.first; i < run.end; i++)
            LOAM_TRY(append_token(view, i, out, error));
        if (run.learnt) LOAM_TRY(loam_bytes_append_text(out, "</b>", error));
    }
    return loam_bytes_append_text(out, "</pre>\n</section>\n", error);
}

// ---- The summary ----

static enum loam_status append_number(struct loam_bytes *out, const char *name, int64_t number,
                                      struct loam_error *error)
{
    char text[LOAM_GROUPED_SIZE];
    return loam_bytes_format(out, error, "<tr><th>%s</th><td>%s</td></tr>\n", name,
                             loam_grouped(number, text));
}

static enum loam_status append_numbers(const struct loam_data_view *view, struct loam_bytes *out,
                                       struct loam_error *error)
{
    const struct loam_statistics *statistics = &view->statistics;
    const struct {
        const char *name;
        int64_t number;
    } rows[] = {
        {"records", (int64_t)statistics->records},
        {"broken records, skipped", (int64_t)loam_dataset_counts(view->dataset).skipped_bad},
        {"records split", (int64_t)statistics->split},
        {"examples", (int64_t)statistics->examples},
        {"tokens", statistics->tokens},
        {"learnt tokens", statistics->learnt},
        {"examples cut", (int64_t)statistics->cut},
        {"examples left out", (int64_t)statistics->dropped},
        {"tokens lost by both", statistics->removed},
        {"examples with nothing to learn", (int64_t)statistics->without_label},
        {"repeated records", (int64_t)statistics->repeats.count},
        {"the same but for case and white space", (int64_t)statistics->normalized_repeats.count},
        {"median length", loam_statistics_length(statistics, 50)},
        {"99 % at most", loam_statistics_length(statistics, 99)},
        {"longest", loam_statistics_length(statistics, 100)},
    };
    LOAM_TRY(loam_bytes_append_text(out, "<table>\n", error));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        LOAM_TRY(append_number(out, rows[i].name, rows[i].number, error));
    return loam_bytes_append_text(out, "</table>\n", error);
}

static enum loam_status append_histogram(const struct loam_data_view *view, struct loam_bytes *out,
                                         struct loam_error *error)
{
    struct loam_histogram histogram = loam_statistics_histogram(&view->statistics);
    size_t most = 1;
    for (int bar = 0; bar < histogram.bars; bar++)
        if (histogram.counts[bar] > most) most = histogram.counts[bar];
    LOAM_TRY(loam_bytes_append_text(out, "<h2>Lengths in tokens</h2>\n<table>\n", error));
    for (int bar = 0; bar < histogram.bars; bar++)
        LOAM_TRY(loam_bytes_format(
            out, error,
            "<tr><th>%d–%d</th><td>%zu</td><td><meter max=\"%zu\" value=\"%zu\"></meter></td></tr>\n",
            histogram.start + bar * histogram.step + 1, histogram.start + (bar + 1) * histogram.step,
            histogram.counts[bar], most, histogram.counts[bar]));
    return loam_bytes_append_text(out, "</table>\n", error);
}

static enum loam_status append_scripts(const struct loam_data_view *view, struct loam_bytes *out,
                                       struct loam_error *error)
{
    struct loam_script_share shares[LOAM_SHOWN_SCRIPTS];
    int count = loam_statistics_scripts(&view->statistics, shares);
    LOAM_TRY(loam_bytes_append_text(out, "<h2>Scripts</h2>\n<table>\n", error));
    for (int i = 0; i < count; i++)
        LOAM_TRY(loam_bytes_format(out, error, "<tr><th>%s</th><td>%.1f %%</td></tr>\n", shares[i].name,
                                   100 * shares[i].share));
    return loam_bytes_append_text(out, "</table>\n", error);
}

static enum loam_status append_findings(const struct loam_data_view *view, struct loam_bytes *out,
                                        struct loam_error *error)
{
    const struct loam_preflight *preflight = &view->preflight;
    LOAM_TRY(loam_bytes_format(out, error, "<h2>Preflight: %zu checks, %zu records looked at</h2>\n<table>\n",
                               preflight->checked, preflight->looked));
    for (size_t i = 0; i < preflight->count; i++) {
        const struct loam_finding *finding = &preflight->findings[i];
        LOAM_TRY(loam_bytes_format(out, error, "<tr><th>%s</th><th>%s</th><td>",
                                   loam_severity_name(finding->severity), finding->check));
        LOAM_TRY(append_text(out, finding->message, error));
        LOAM_TRY(loam_bytes_append_text(out, "</td></tr>\n", error));
    }
    if (preflight->count == 0)
        LOAM_TRY(loam_bytes_append_text(out, "<tr><td>Nothing was found.</td></tr>\n", error));
    return loam_bytes_append_text(out, "</table>\n", error);
}

enum loam_status loam_data_html_end(const struct loam_data_view *view, struct loam_bytes *out,
                                    struct loam_error *error)
{
    LOAM_TRY(loam_bytes_append_text(out, "<section id=\"summary\">\n<h1>", error));
    LOAM_TRY(append_text(out, loam_dataset_name(view->dataset), error));
    LOAM_TRY(loam_bytes_append_text(out, "</h1>\n", error));
    LOAM_TRY(append_findings(view, out, error));
    LOAM_TRY(append_numbers(view, out, error));
    LOAM_TRY(append_histogram(view, out, error));
    LOAM_TRY(append_scripts(view, out, error));
    return loam_bytes_append_text(out, "</section>\n</body>\n</html>\n", error);
}
