// Examples and their summary as JSON.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "commands/data.h"
#include "commands/output.h"

// Text that may not be UTF-8, such as a path.
static json_t *printable_string(const char *text)
{
    struct loam_error ignored;
    char *copy = loam_strdup(text, &ignored);
    if (copy == NULL) return NULL;
    json_t *string = json_stringn(copy, loam_make_printable(copy, strlen(copy)));
    free(copy);
    return string;
}

// 0 for a token that is not learnt, else its weight.
static json_t *weight_json(const struct loam_example *example, int32_t index)
{
    double weight = loam_example_learns(example, index) ? (double)example->weights[index] : 0;
    return floor(weight) == weight ? json_integer((json_int_t)weight) : json_real(weight);
}

static json_t *source_json(const struct loam_dataset_place *place)
{
    json_t *source =
        json_pack("{s:o, s:I}", "file", printable_string(place->path), "line", (json_int_t)place->line);
    if (place->pieces == 1) return source;
    loam_json_put(&source, "piece", json_integer(place->piece + 1));
    loam_json_put(&source, "pieces", json_integer(place->pieces));
    return source;
}

json_t *loam_data_json_example(const struct loam_data_view *view)
{
    const struct loam_example *example = &view->example;
    const struct loam_bytes *text = &view->text.text;
    struct loam_dataset_place place = loam_dataset_place(view->dataset, view->index);
    json_t *ids = json_array(), *tokens = json_array(), *learnt = json_array();
    for (int32_t i = 0; i < example->count; i++) {
        const char *token = loam_tokenizer_id_to_token(view->session->tokenizer, example->ids[i]);
        loam_json_push(&ids, json_integer(example->ids[i]));
        loam_json_push(&tokens, token != NULL ? json_string(token) : json_null());
        loam_json_push(&learnt, weight_json(example, i));
    }
    return json_pack("{s:o, s:o, s:o, s:s%, s:o, s:i, s:b}", "ids", ids, "tokens", tokens, "learnt", learnt,
                     "text", text->data, text->size, "source", source_json(&place), "cut",
                     (int)(example->length - example->count), "dropped", (int)example->dropped);
}

// ---- The summary ----

static json_t *lengths_json(const struct loam_statistics *statistics)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i}", "median", (int)loam_statistics_length(statistics, 50),
                     "p90", (int)loam_statistics_length(statistics, 90), "p95",
                     (int)loam_statistics_length(statistics, 95), "p99",
                     (int)loam_statistics_length(statistics, 99), "longest",
                     (int)loam_statistics_length(statistics, 100));
}

static json_t *histogram_json(const struct loam_statistics *statistics)
{
    struct loam_histogram histogram = loam_statistics_histogram(statistics);
    json_t *bars = json_array();
    for (int bar = 0; bar < histogram.bars; bar++)
        loam_json_push(&bars, json_pack("{s:i, s:i, s:I}", "from", histogram.start + bar * histogram.step + 1,
                                        "to", histogram.start + (bar + 1) * histogram.step, "records",
                                        (json_int_t)histogram.counts[bar]));
    return bars;
}

static json_t *scripts_json(const struct loam_statistics *statistics)
{
    struct loam_script_share shares[LOAM_SHOWN_SCRIPTS];
    int count = loam_statistics_scripts(statistics, shares);
    json_t *scripts = json_array();
    for (int i = 0; i < count; i++)
        loam_json_push(&scripts, json_pack("{s:s, s:I, s:o}", "script", shares[i].name, "characters",
                                           (json_int_t)shares[i].characters, "share",
                                           loam_json_number(shares[i].share)));
    return scripts;
}

static json_t *findings_json(const struct loam_preflight *preflight)
{
    json_t *findings = json_array();
    for (size_t i = 0; i < preflight->count; i++) {
        const struct loam_finding *finding = &preflight->findings[i];
        loam_json_push(&findings,
                       json_pack("{s:s, s:s, s:I, s:I, s:o}", "check", finding->check, "severity",
                                 loam_severity_name(finding->severity), "records",
                                 (json_int_t)finding->records, "looked_at", (json_int_t)finding->looked,
                                 "message", printable_string(finding->message)));
    }
    return findings;
}

json_t *loam_data_json_summary(const struct loam_data_view *view)
{
    const struct loam_statistics *statistics = &view->statistics;
    json_t *root = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:I}", "records", (json_int_t)statistics->records,
        "skipped", (json_int_t)loam_dataset_counts(view->dataset).skipped_bad, "cut",
        (json_int_t)statistics->cut, "dropped", (json_int_t)statistics->dropped, "without_label",
        (json_int_t)statistics->without_label, "tokens", (json_int_t)statistics->tokens, "learnt_tokens",
        (json_int_t)statistics->learnt, "removed_tokens", (json_int_t)statistics->removed, "max_length",
        (int)view->session->max_length, "repeated", (json_int_t)statistics->repeats.count,
        "repeated_normalized", (json_int_t)statistics->normalized_repeats.count);
    if (statistics->split > 0) {
        loam_json_put(&root, "split", json_integer((json_int_t)statistics->split));
        loam_json_put(&root, "examples", json_integer((json_int_t)statistics->examples));
    }
    loam_json_put(&root, "lengths", lengths_json(statistics));
    loam_json_put(&root, "histogram", histogram_json(statistics));
    loam_json_put(&root, "scripts", scripts_json(statistics));
    loam_json_put(&root, "checks", json_integer((json_int_t)view->preflight.checked));
    loam_json_put(&root, "looked_at", json_integer((json_int_t)view->preflight.looked));
    loam_json_put(&root, "findings", findings_json(&view->preflight));
    return root;
}
