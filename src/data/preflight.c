#include "data/preflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/rng.h"
#include "data/preflight_checks.h"

enum {
    MOST_RECORDS = 256,
    MOST_TEXT = 4 << 20, // bytes; a sample of long records is smaller
};

void loam_preflight_deinit(struct loam_preflight *preflight)
{
    free(preflight->first_use);
    *preflight = (struct loam_preflight){0};
}

const char *loam_severity_name(enum loam_severity severity)
{
    return severity == LOAM_FINDING_MISTAKE ? "mistake" : "doubt";
}

size_t loam_preflight_sample(size_t count, size_t wanted, size_t i)
{
    if (count <= wanted) return i;
    size_t first = wanted / 4;
    if (i < first) return i;
    // Part `part` of `parts` equal ones, in arithmetic that does not overflow.
    size_t parts = wanted - first, part = i - first, rest = count - first;
    size_t begin = rest / parts * part + rest % parts * part / parts;
    size_t end = rest / parts * (part + 1) + rest % parts * (part + 1) / parts;
    uint32_t random[4];
    loam_rng_block(0, loam_rng_stream(LOAM_RNG_LOOK, 0), i, random);
    return first + begin + random[0] % (end - begin);
}

// ---- Findings ----

static bool is_finding(const struct loam_preflight_check *check, const struct loam_preflight_tally *tally)
{
    return tally->records > 0 && 100 * tally->records > check->above * tally->looked;
}

static enum loam_status append_example(struct loam_bytes *text, const struct loam_preflight_input *input,
                                       const struct loam_preflight_tally *tally, struct loam_error *error)
{
    struct loam_dataset_place place = {0};
    if (tally->first != SIZE_MAX) place = loam_dataset_place(input->dataset, tally->first);
    if (place.path == NULL) return LOAM_OK;
    if (tally->looked == 0)
        return loam_bytes_format(text, error, " (such as %s:%zu)", place.path, place.line);
    return loam_bytes_format(text, error, " (%zu of %zu records looked at, such as %s:%zu)", tally->records,
                             tally->looked, place.path, place.line);
}

static enum loam_status add_finding(struct loam_preflight *preflight,
                                    const struct loam_preflight_facts *facts,
                                    const struct loam_preflight_check *check,
                                    const struct loam_preflight_tally *tally, struct loam_error *error)
{
    struct loam_bytes text = {0};
    struct loam_finding *finding = &preflight->findings[preflight->count];
    *finding =
        (struct loam_finding){.check = check->name, .severity = check->severity, .looked = tally->looked};
    if (tally->looked > 0) finding->records = tally->records;
    enum loam_status status =
        loam_bytes_format(&text, error, "%s: ", loam_dataset_name(facts->input->dataset));
    if (status == LOAM_OK) status = check->describe(facts, tally, &text, error);
    if (status == LOAM_OK) status = append_example(&text, facts->input, tally, error);
    if (status == LOAM_OK) {
        snprintf(finding->message, sizeof finding->message, "%s", text.data);
        preflight->count++;
        preflight->mistakes += check->severity == LOAM_FINDING_MISTAKE;
    }
    loam_bytes_deinit(&text);
    return status;
}

// ---- The sample ----

// Working memory of looking at records.
struct sample {
    struct loam_example example;
    struct loam_example prompt;
    struct loam_example_text text;
    struct loam_preflight_tally tallies[LOAM_PREFLIGHT_CHECKS];
};

static void deinit_sample(struct sample *sample)
{
    loam_example_deinit(&sample->example);
    loam_example_deinit(&sample->prompt);
    loam_example_text_deinit(&sample->text);
}

static void note_use(struct loam_preflight *preflight, const struct loam_preflight_input *input,
                     const struct loam_example *example, size_t index)
{
    if (index >= UINT32_MAX) return;
    for (int32_t i = 0; i < example->count; i++) {
        int32_t id = example->ids[i];
        if (id >= 0 && id < input->vocabulary && preflight->first_use[id] == 0)
            preflight->first_use[id] = (uint32_t)index + 1;
    }
}

static void tally_record(struct sample *sample, const struct loam_preflight_facts *facts, size_t index)
{
    const struct loam_preflight_look look = {
        .example = &sample->example, .text = &sample->text, .prompt = &sample->prompt};
    for (size_t i = 0; i < LOAM_PREFLIGHT_CHECKS; i++) {
        const struct loam_preflight_check *check = &loam_preflight_checks[i];
        struct loam_preflight_tally *tally = &sample->tallies[i];
        if (check->shows == NULL) continue;
        tally->looked++;
        if (!check->shows(facts, &look, tally)) continue;
        if (tally->records++ == 0) tally->first = index;
    }
}

static enum loam_status look_at_record(struct loam_preflight *preflight, struct sample *sample,
                                       const struct loam_preflight_facts *facts, size_t index,
                                       struct loam_error *error)
{
    const struct loam_preflight_input *input = facts->input;
    LOAM_TRY(loam_dataset_look(input->dataset, index, &sample->example, error));
    LOAM_TRY(loam_dataset_prompt(input->dataset, index, &sample->prompt, error));
    LOAM_TRY(loam_example_text_decode(&sample->text, &sample->example, input->tokenizer, error));
    note_use(preflight, input, &sample->example, index);
    tally_record(sample, facts, index);
    preflight->looked++;
    return LOAM_OK;
}

static enum loam_status look_at_records(struct loam_preflight *preflight, struct sample *sample,
                                        const struct loam_preflight_facts *facts, struct loam_error *error)
{
    const struct loam_preflight_input *input = facts->input;
    size_t count = loam_dataset_count(input->dataset), seen = 0;
    size_t most = count < MOST_RECORDS ? count : MOST_RECORDS;
    for (size_t i = 0; i < most && seen < MOST_TEXT; i++) {
        size_t index = loam_preflight_sample(count, MOST_RECORDS, i);
        LOAM_TRY(look_at_record(preflight, sample, facts, index, error));
        seen += sample->text.text.size;
    }
    return LOAM_OK;
}

// ---- The checks ----

static enum loam_status judge(struct loam_preflight *preflight, const struct loam_preflight_facts *facts,
                              struct loam_preflight_tally tallies[LOAM_PREFLIGHT_CHECKS],
                              struct loam_error *error)
{
    for (size_t i = 0; i < LOAM_PREFLIGHT_CHECKS; i++) {
        const struct loam_preflight_check *check = &loam_preflight_checks[i];
        struct loam_preflight_tally *tally = &tallies[i];
        if (check->of_weights != (facts->model != NULL)) continue;
        preflight->checked++;
        if (check->find != NULL) {
            tally->first = SIZE_MAX;
            LOAM_TRY(check->find(facts, preflight, tally, error));
        }
        if (is_finding(check, tally)) LOAM_TRY(add_finding(preflight, facts, check, tally, error));
    }
    return LOAM_OK;
}

static enum loam_status check_records(struct loam_preflight *preflight,
                                      const struct loam_preflight_facts *facts, struct loam_error *error)
{
    struct sample sample = {0};
    enum loam_status status = look_at_records(preflight, &sample, facts, error);
    if (status == LOAM_OK) status = judge(preflight, facts, sample.tallies, error);
    deinit_sample(&sample);
    return status;
}

enum loam_status loam_preflight_run(struct loam_preflight *preflight,
                                    const struct loam_preflight_input *input, struct loam_error *error)
{
    struct loam_preflight_facts facts;
    *preflight = (struct loam_preflight){0};
    preflight->first_use = loam_calloc((size_t)input->vocabulary, sizeof *preflight->first_use, error);
    if (preflight->first_use == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_preflight_facts_find(&facts, input, error);
    if (status == LOAM_OK) status = check_records(preflight, &facts, error);
    loam_preflight_facts_deinit(&facts);
    return status;
}

enum loam_status loam_preflight_run_loaded(struct loam_preflight *preflight,
                                           const struct loam_preflight_input *input,
                                           const struct loam_model *model, struct loam_error *error)
{
    const struct loam_preflight_facts facts = {.input = input, .model = model};
    struct loam_preflight_tally tallies[LOAM_PREFLIGHT_CHECKS] = {0};
    return preflight->first_use == NULL ? LOAM_OK : judge(preflight, &facts, tallies, error);
}

enum loam_status loam_preflight_require(const struct loam_preflight *preflight, struct loam_error *error)
{
    char names[256] = "";
    size_t used = 0;
    if (preflight->mistakes == 0) return LOAM_OK;
    for (size_t i = 0; i < preflight->count && used < sizeof names; i++) {
        const struct loam_finding *finding = &preflight->findings[i];
        if (finding->severity != LOAM_FINDING_MISTAKE) continue;
        int written =
            snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", finding->check);
        if (written > 0) used += (size_t)written;
    }
    return loam_fail(
        error, LOAM_ERROR_ARGUMENT,
        "--preflight strict: nothing is trained, because of %s; --preflight warn trains all the same", names);
}
