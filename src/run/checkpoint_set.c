#include "run/checkpoint_set.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "run/checkpoint_files.h"
#include "run/checkpoint_state.h"

void loam_checkpoint_set_deinit(struct loam_checkpoint_set *set)
{
    loam_bytes_deinit(&set->entries);
}

static size_t count_of(const struct loam_checkpoint_set *set)
{
    return set->entries.size / sizeof(struct loam_checkpoint_entry);
}

// The cast is safe: heap memory is aligned for any type.
static struct loam_checkpoint_entry *entries_of(const struct loam_checkpoint_set *set)
{
    return (struct loam_checkpoint_entry *)(void *)set->entries.data;
}

static struct loam_checkpoint_entry *find(const struct loam_checkpoint_set *set, int64_t step)
{
    for (size_t i = 0; i < count_of(set); i++)
        if (entries_of(set)[i].step == step) return &entries_of(set)[i];
    return NULL;
}

static void drop_entry(struct loam_checkpoint_set *set, struct loam_checkpoint_entry *entry)
{
    size_t after = (size_t)(entries_of(set) + count_of(set) - (entry + 1));
    memmove(entry, entry + 1, after * sizeof *entry);
    set->entries.size -= sizeof *entry;
}

// Finds whether OUT/checkpoint-STEP is a directory or a link. A link may lead to a checkpoint that was moved.
static enum loam_status find_directory(const char *out, int64_t step, bool *there, struct stat *about,
                                       struct loam_error *error)
{
    char *path = loam_checkpoint_path(out, step, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    *there = lstat(path, about) == 0 && (S_ISDIR(about->st_mode) || S_ISLNK(about->st_mode));
    free(path);
    return LOAM_OK;
}

enum loam_status loam_checkpoint_set_add(struct loam_checkpoint_set *set, const char *out, int64_t step,
                                         bool doomed, struct loam_error *error)
{
    struct stat about;
    bool there;
    LOAM_TRY(find_directory(out, step, &there, &about, error));
    struct loam_checkpoint_entry *before = find(set, step);
    if (before != NULL) drop_entry(set, before);
    if (!there) return LOAM_OK;
    struct loam_checkpoint_entry entry = {step, about.st_dev, about.st_ino, doomed};
    return loam_bytes_append(&set->entries, &entry, sizeof entry, error);
}

bool loam_checkpoint_set_has_doomed(const struct loam_checkpoint_set *set)
{
    for (size_t i = 0; i < count_of(set); i++)
        if (entries_of(set)[i].doomed) return true;
    return false;
}

enum loam_status loam_checkpoint_set_remove(struct loam_checkpoint_set *set, const char *out, int64_t step,
                                            struct loam_error *error)
{
    struct stat about;
    bool there;
    struct loam_checkpoint_entry *entry = find(set, step);
    if (entry == NULL) return LOAM_OK;
    LOAM_TRY(find_directory(out, step, &there, &about, error));
    bool same = there && about.st_dev == entry->device && about.st_ino == entry->inode;
    if (same) LOAM_TRY(loam_checkpoint_remove(out, step, error));
    drop_entry(set, entry);
    return LOAM_OK;
}

// ---- which checkpoints may be removed ----

// Finds whether the checkpoint has the id `run`. If the state cannot be read or has no id, the answer is no.
static enum loam_status is_of_run(const char *directory, const char *run, bool *same,
                                  struct loam_error *error)
{
    json_t *root = NULL;
    *same = false;
    enum loam_status status = loam_checkpoint_state_peek(&root, directory, error);
    if (status == LOAM_OK) {
        const char *recorded = json_string_value(json_object_get(root, "run"));
        *same = recorded != NULL && strcmp(recorded, run) == 0;
        json_decref(root);
    }
    return status == LOAM_ERROR_MEMORY ? status : LOAM_OK;
}

// Finds whether any version of loam wrote the checkpoint.
static enum loam_status is_of_loam(const char *directory, bool *made, struct loam_error *error)
{
    json_t *root = NULL;
    enum loam_status status = loam_checkpoint_state_peek(&root, directory, error);
    *made = status == LOAM_OK;
    if (status == LOAM_OK) json_decref(root);
    return status == LOAM_ERROR_MEMORY ? status : LOAM_OK;
}

// Fails if a checkpoint later than `start->step` may not be removed.
static enum loam_status check_removable(const char *directory, const struct loam_checkpoint_start *start,
                                        struct loam_error *error)
{
    bool proved;
    LOAM_TRY(is_of_run(directory, start->run, &proved, error));
    if (!proved && start->overwrite) LOAM_TRY(is_of_loam(directory, &proved, error));
    if (proved) return LOAM_OK;
    enum loam_status status = loam_checkpoint_verify(directory, error);
    if (status == LOAM_ERROR_FORMAT) return LOAM_OK; // damaged
    if (status == LOAM_OK)
        return loam_fail(error, LOAM_ERROR_EXISTS,
                         "%s is of another run: move it away, choose another --out, or have it replaced with "
                         "--overwrite",
                         directory);
    return loam_checkpoint_advise(status, directory, error);
}

static enum loam_status add_removable(struct loam_checkpoint_set *set, const char *out, int64_t step,
                                      const struct loam_checkpoint_start *start, struct loam_error *error)
{
    char *directory = loam_checkpoint_path(out, step, error);
    if (directory == NULL) return LOAM_ERROR_MEMORY;
    bool known = true, later = step > start->step;
    enum loam_status status =
        later ? check_removable(directory, start, error) : is_of_run(directory, start->run, &known, error);
    if (status == LOAM_OK && known) status = loam_checkpoint_set_add(set, out, step, later, error);
    free(directory);
    return status;
}

enum loam_status loam_checkpoint_set_fill(struct loam_checkpoint_set *set, const char *out,
                                          const struct loam_checkpoint_start *start, struct loam_error *error)
{
    int64_t *steps;
    size_t count;
    LOAM_TRY(loam_checkpoint_list(out, &steps, &count, error));
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++)
        status = add_removable(set, out, steps[i], start, error);
    free(steps);
    return status;
}

// ---- which checkpoints stay ----

static int compare_newest_first(const void *a, const void *b)
{
    int64_t left = ((const struct loam_checkpoint_entry *)a)->step,
            right = ((const struct loam_checkpoint_entry *)b)->step;
    return (left < right) - (left > right);
}

// `newer` is the number of newer checkpoints of this run that stay.
static bool is_kept(const struct loam_checkpoint_entry *entry, const struct loam_checkpoint_limit *limit,
                    int64_t newer)
{
    if (entry->doomed) return limit->written < 0;
    if (limit->keeps_all || entry->step == limit->best || entry->step == limit->written) return true;
    return limit->count <= 0 || newer < limit->count;
}

enum loam_status loam_checkpoint_set_rotate(struct loam_checkpoint_set *set, const char *out,
                                            const struct loam_checkpoint_limit *limit,
                                            struct loam_error *error)
{
    int64_t newer = 0;
    if (count_of(set) > 0)
        qsort(entries_of(set), count_of(set), sizeof *entries_of(set), compare_newest_first);
    for (size_t i = 0; i < count_of(set);) {
        const struct loam_checkpoint_entry *entry = &entries_of(set)[i];
        if (!is_kept(entry, limit, newer)) {
            LOAM_TRY(loam_checkpoint_set_remove(set, out, entry->step, error));
            continue;
        }
        newer += !entry->doomed;
        i++;
    }
    return LOAM_OK;
}
