// Records that training and evaluation share, found by hashes of their texts.
#include "data/preflight_checks.h"
#include "data/text_set.h"

enum {
    MOST_EVALUATED = 4096, // records
    MOST_TRAINED = 65536,
    MOST_TEXT = 32 << 20, // bytes of either
};

// Calls `visit` with the hashes of a sample of the texts. Returns in `*seen` how many there were.
typedef enum loam_status visit_hash(void *user, uint64_t hash, size_t index, struct loam_error *error);

static enum loam_status visit_hashes(struct loam_dataset *dataset, size_t most, visit_hash *visit, void *user,
                                     size_t *seen, struct loam_error *error)
{
    size_t count = loam_dataset_count(dataset), wanted = count < most ? count : most, read = 0;
    *seen = 0;
    for (size_t i = 0; i < wanted && read < MOST_TEXT; i++) {
        const char *text;
        size_t size, index = loam_preflight_sample(count, most, i);
        if (loam_dataset_place(dataset, index).piece > 0) continue; // its record has one before
        LOAM_TRY(loam_dataset_text(dataset, index, &text, &size, error));
        LOAM_TRY(visit(user, loam_text_hash(text, size), index, error));
        read += size;
        ++*seen;
    }
    return LOAM_OK;
}

// ---- Visits ----

struct overlap {
    struct loam_text_set evaluated; // values: indices of evaluation records
    struct loam_text_set shared;    // the hashes that a training record has, too
    struct loam_preflight_tally *tally;
    size_t repeated; // evaluation records whose text an earlier one has
};

static enum loam_status visit_evaluated(void *user, uint64_t hash, size_t index, struct loam_error *error)
{
    struct overlap *overlap = user;
    size_t earlier;
    LOAM_TRY(loam_text_set_add(&overlap->evaluated, hash, index, &earlier, error));
    overlap->repeated += earlier != SIZE_MAX;
    return LOAM_OK;
}

static enum loam_status visit_trained(void *user, uint64_t hash, size_t index, struct loam_error *error)
{
    struct overlap *overlap = user;
    size_t earlier;
    if (loam_text_set_find(&overlap->evaluated, hash) == SIZE_MAX) return LOAM_OK;
    LOAM_TRY(loam_text_set_add(&overlap->shared, hash, index, &earlier, error));
    if (earlier == SIZE_MAX && overlap->tally->records++ == 0) overlap->tally->first = index;
    return LOAM_OK;
}

enum loam_status loam_preflight_find_overlap(const struct loam_preflight_facts *facts,
                                             const struct loam_preflight *preflight,
                                             struct loam_preflight_tally *tally, struct loam_error *error)
{
    const struct loam_preflight_input *input = facts->input;
    struct overlap overlap = {.tally = tally};
    size_t trained;
    (void)preflight;
    if (input->eval_dataset == NULL) return LOAM_OK;
    enum loam_status status =
        visit_hashes(input->eval_dataset, MOST_EVALUATED, visit_evaluated, &overlap, &tally->others, error);
    if (status == LOAM_OK)
        status = visit_hashes(input->dataset, MOST_TRAINED, visit_trained, &overlap, &trained, error);
    // Distinct texts are counted on both sides.
    tally->others -= overlap.repeated;
    loam_text_set_deinit(&overlap.evaluated);
    loam_text_set_deinit(&overlap.shared);
    return status;
}
