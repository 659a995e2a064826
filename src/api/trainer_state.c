// The state of a trainer on disk: DIRECTORY/adapter-I.safetensors with the values and moments of each
// adapter, and DIRECTORY/trainer.json, written last, with what is counted and the SHA-256 of those files.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/sized.h"
#include "api/trainer.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "io/atomic.h"
#include "io/digest.h"
#include "train/optimiser_file.h"

enum { VERSION = 1 };
static const char state_name[] = "trainer.json";

// What is done with the file of each adapter, in order. `sums` is the array of their SHA-256.
typedef enum loam_status file_visitor(struct loam_trainer_handle *trainer, size_t index, const char *path,
                                      json_t *sums, struct loam_error *error);

static enum loam_status visit_files(struct loam_trainer_handle *trainer, const char *directory,
                                    file_visitor *visit, json_t *sums, struct loam_error *error)
{
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; status == LOAM_OK && i < trainer->packing.adapters.count; i++) {
        char *path = loam_format(error, "%s/adapter-%zu.safetensors", directory, i);
        if (path == NULL) return LOAM_ERROR_MEMORY;
        status = visit(trainer, i, path, sums, error);
        free(path);
    }
    return status;
}

static enum loam_status sum_file(const char *path, char sum[LOAM_DIGEST_SIZE], struct loam_error *error)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return loam_fail(error, LOAM_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: it is not a regular file", path);
    return loam_digest_file(path, LOAM_DIGEST_SHA256, about.st_size, sum, error);
}

static enum loam_status write_file(struct loam_trainer_handle *trainer, size_t index, const char *path,
                                   json_t *sums, struct loam_error *error)
{
    char sum[LOAM_DIGEST_SIZE];
    const size_t *first = trainer->first + index;
    LOAM_TRY(
        loam_optimiser_write_file(&trainer->trainer.optimiser, first[0], first[1] - first[0], path, error));
    LOAM_TRY(sum_file(path, sum, error));
    if (json_array_append_new(sums, json_string(sum)) == 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory");
}

static enum loam_status check_file(struct loam_trainer_handle *trainer, size_t index, const char *path,
                                   json_t *sums, struct loam_error *error)
{
    (void)trainer;
    char sum[LOAM_DIGEST_SIZE];
    const char *expected = json_string_value(json_array_get(sums, index));
    LOAM_TRY(sum_file(path, sum, error));
    if (expected != NULL && strcmp(sum, expected) == 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s is not the file that %s beside it was written with (its SHA-256 differs)", path,
                     state_name);
}

static enum loam_status read_file(struct loam_trainer_handle *trainer, size_t index, const char *path,
                                  json_t *sums, struct loam_error *error)
{
    (void)sums;
    const size_t *first = trainer->first + index;
    return loam_optimiser_read_file(&trainer->trainer.optimiser, first[0], first[1] - first[0], path, false,
                                    error);
}

static enum loam_status write_counts(const struct loam_trainer_handle *trainer, const char *path,
                                     json_t *sums, struct loam_error *error)
{
    // The seed is text, because many readers of JSON have doubles for numbers.
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)trainer->seed);
    const struct loam_loss_scale *scale = &trainer->trainer.optimiser.loss_scale;
    json_t *root = json_pack(
        "{s:i, s:s, s:f, s:I, s:I, s:I, s:I, s:s, s:O}", "version", VERSION, "loam", LOAM_VERSION,
        "loss_factor", scale->factor, "good_steps", (json_int_t)scale->good_steps, "adapters",
        (json_int_t)trainer->packing.adapters.count, "updates", (json_int_t)trainer->trainer.optimiser.step,
        "passes", (json_int_t)trainer->passes, "seed", seed, "sha256", sums);
    struct loam_bytes text = {0};
    enum loam_status status = loam_json_append(&text, root, JSON_INDENT(2), error);
    if (status == LOAM_OK) status = loam_atomic_write_file(path, text.data, text.size, error);
    loam_bytes_deinit(&text);
    json_decref(root);
    return status;
}

enum loam_status loam_trainer_write_state(struct loam_trainer_handle *trainer, const char *directory,
                                          struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(trainer, "the trainer", error));
    LOAM_TRY(loam_require_path(directory, "the directory", error));
    LOAM_TRY(loam_directory_make(directory, NULL, error));
    char *path = loam_path_join(directory, state_name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    json_t *sums = json_array();
    enum loam_status status = sums == NULL ? loam_fail(error, LOAM_ERROR_MEMORY, "out of memory") : LOAM_OK;
    if (status == LOAM_OK) status = visit_files(trainer, directory, write_file, sums, error);
    if (status == LOAM_OK) status = write_counts(trainer, path, sums, error);
    json_decref(sums);
    free(path);
    return status;
}

// ---- reading ----

struct counts {
    int64_t version;
    int64_t adapters;
    int64_t updates;
    int64_t passes;
    const char *seed;
    struct loam_loss_scale scale; // absent in older states
};

static enum loam_status check_counts(const struct loam_trainer_handle *trainer, const struct counts *counts,
                                     const char *path, struct loam_error *error)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)trainer->seed);
    if (counts->version < 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s is no state of a trainer: it has no version", path);
    if (counts->version != VERSION)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s is of version %lld: loam %s reads version %d",
                         path, (long long)counts->version, LOAM_VERSION, VERSION);
    if (counts->updates < 0 || counts->passes < 0 || counts->seed == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s is no state of a trainer: expected updates, passes and seed", path);
    if (!loam_loss_scale_is_valid(&counts->scale))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: a factor of the loss of %g after %lld good steps cannot be", path,
                         counts->scale.factor, (long long)counts->scale.good_steps);
    if (counts->adapters != (int64_t)trainer->packing.adapters.count)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s is of %lld adapters, and the trainer has %zu", path,
                         (long long)counts->adapters, trainer->packing.adapters.count);
    if (strcmp(counts->seed, seed) != 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "%s was written with the seed %s, and the trainer has %s", path, counts->seed, seed);
    return LOAM_OK;
}

static enum loam_status parse(struct loam_trainer_handle *trainer, const json_t *root, const char *path,
                              const char *directory, struct loam_error *error)
{
    struct loam_loss_scale *scale = &trainer->trainer.optimiser.loss_scale;
    struct counts counts = {.version = -1, .adapters = -1, .updates = -1, .passes = -1};
    counts.scale = loam_loss_scale_make(scale->dynamic);
    LOAM_TRY(loam_json_get_int(root, path, "version", &counts.version, error));
    LOAM_TRY(loam_json_get_int(root, path, "adapters", &counts.adapters, error));
    LOAM_TRY(loam_json_get_int(root, path, "updates", &counts.updates, error));
    LOAM_TRY(loam_json_get_int(root, path, "passes", &counts.passes, error));
    LOAM_TRY(loam_json_get_string(root, path, "seed", &counts.seed, error));
    LOAM_TRY(loam_json_get_double(root, path, "loss_factor", &counts.scale.factor, error));
    LOAM_TRY(loam_json_get_int(root, path, "good_steps", &counts.scale.good_steps, error));
    LOAM_TRY(check_counts(trainer, &counts, path, error));
    json_t *sums = json_object_get(root, "sha256");
    LOAM_TRY(visit_files(trainer, directory, check_file, sums, error)); // of all, before values change
    LOAM_TRY(visit_files(trainer, directory, read_file, sums, error));
    trainer->trainer.optimiser.step = counts.updates;
    if (scale->dynamic) *scale = counts.scale;
    trainer->passes = counts.passes;
    return loam_trainer_clear(&trainer->trainer, error);
}

enum loam_status loam_trainer_read_state(struct loam_trainer_handle *trainer, const char *directory,
                                         struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    json_t *root = NULL;
    LOAM_TRY(loam_require(trainer, "the trainer", error));
    LOAM_TRY(loam_require_path(directory, "the directory", error));
    char *path = loam_path_join(directory, state_name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_json_load(&root, path, error);
    if (status == LOAM_OK) status = parse(trainer, root, path, directory, error);
    json_decref(root);
    free(path);
    return status;
}
