#include "hub/pull.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "hub/cache.h"
#include "hub/download.h"
#include "hub/listing.h"

// The weights of a repository, in the order of preference: safetensors, or what torch.save writes.
static const struct weight_files {
    const char *single, *index, *start; // of a model; the names of all its files begin with `start`
    const char *adapter;
} weight_files[] = {
    {"model.safetensors", "model.safetensors.index.json", "model", "adapter_model.safetensors"},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model", "adapter_model.bin"},
};
enum { SAFETENSORS, PICKLED, WEIGHT_FILES };

// Files to pull without --include. Only names at the top of the repository match, because directories below
// hold the same weights in other formats.
static const struct {
    const char *pattern;
    bool model, adapter, outline;
    bool pickled; // only from a repository without safetensors
} wanted_patterns[] = {
    {"config.json", true, false, true, false},
    {"generation_config.json", true, false, true, false},
    {"tokenizer.json", true, true, true, false},
    {"tokenizer_config.json", true, true, true, false},
    {"special_tokens_map.json", true, true, true, false},
    {"added_tokens.json", true, true, true, false},
    {"chat_template.jinja", true, true, true, false},
    {"model.safetensors.index.json", true, false, false, false},
    {"model*.safetensors", true, false, false, false},
    {"adapter_config.json", false, true, false, false},
    {"adapter_model.safetensors", false, true, false, false},
    {"pytorch_model.bin.index.json", true, false, false, true},
    {"pytorch_model*.bin", true, false, false, true},
    {"adapter_model.bin", false, true, false, true},
};

struct pull_job {
    struct loam_hub *hub;
    const struct loam_repo *repo;
    const struct loam_pull *pull;
    struct loam_cache cache;
    char commit[LOAM_COMMIT_SIZE];
    struct loam_listing listing;
    struct loam_wanted_file *files;
    size_t count;
    bool pickled;                  // the repository has no safetensors of the kind
    struct loam_error cache_error; // an allocation that failed while the cache was searched
};

// ---- Files in the cache ----

static bool is_cached(const struct pull_job *job, const char *file)
{
    return loam_cache_has_file(&job->cache, job->commit, file);
}

// Required files that the cache does not hold.
struct missing {
    size_t count;
    char first[256]; // name of the first one
};

static void require_file(const struct pull_job *job, const char *file, struct missing *missing)
{
    if (loam_repo_file_is_safe(file) && is_cached(job, file)) return;
    if (missing->count++ == 0) snprintf(missing->first, sizeof missing->first, "%s", file);
}

// Requires every shard that the index names. The index comes from outside: a shard whose name is not safe
// counts as missing.
static void require_shards(struct pull_job *job, const struct weight_files *files, struct missing *missing)
{
    struct loam_error problem = {0};
    json_t *root = NULL;
    char *snapshot = loam_cache_snapshot_path(&job->cache, job->commit, &problem);
    char *path = snapshot == NULL ? NULL : loam_path_join(snapshot, files->index, &problem);
    bool read = path != NULL && loam_json_load(&root, path, &problem) == LOAM_OK;
    if (problem.status == LOAM_ERROR_MEMORY) job->cache_error = problem;
    json_t *map = json_object_get(root, "weight_map");
    if (!read || json_object_size(map) == 0) require_file(job, files->single, missing);
    void *iterator = json_object_iter(map);
    for (const char *last = ""; iterator != NULL; iterator = json_object_iter_next(map, iterator)) {
        const char *shard = json_string_value(json_object_iter_value(iterator));
        if (shard != NULL && strcmp(shard, last) == 0) continue; // neighbours are usually in one shard
        require_file(job, shard != NULL ? shard : "", missing);
        last = shard != NULL ? shard : "";
    }
    json_decref(root);
    free(path);
    free(snapshot);
}

static void require_weights(struct pull_job *job, struct missing *missing)
{
    for (size_t i = 0; i < WEIGHT_FILES; i++) {
        if (is_cached(job, weight_files[i].single)) return;
        if (is_cached(job, weight_files[i].index)) {
            require_shards(job, &weight_files[i], missing);
            return;
        }
    }
    require_file(job, weight_files[SAFETENSORS].single, missing);
}

static void require_tokenizer(const struct pull_job *job, struct missing *missing)
{
    if (!loam_cache_has_absence(&job->cache, job->commit, "tokenizer.json"))
        require_file(job, "tokenizer.json", missing);
}

// A cache that holds the weights also holds the optional files: loam links the weights last
// (bring_files), and transformers and PEFT download them last.
static struct missing find_missing(struct pull_job *job, enum loam_pull_kind kind)
{
    struct missing missing = {0};
    switch (kind) {
    case LOAM_PULL_MODEL:
        require_file(job, "config.json", &missing);
        require_tokenizer(job, &missing);
        require_weights(job, &missing);
        break;
    case LOAM_PULL_ADAPTER:
        require_file(job, "adapter_config.json", &missing);
        if (!is_cached(job, weight_files[PICKLED].adapter))
            require_file(job, weight_files[SAFETENSORS].adapter, &missing);
        break;
    case LOAM_PULL_EITHER:
        missing = find_missing(job, LOAM_PULL_MODEL);
        if (missing.count > 0 && is_cached(job, "adapter_config.json"))
            return find_missing(job, LOAM_PULL_ADAPTER);
        break;
    case LOAM_PULL_OUTLINE: // a program that needs only the tokenizer does not download the config
        require_file(job, "config.json", &missing);
        require_tokenizer(job, &missing);
        break;
    case LOAM_PULL_TOKENIZER:
        require_tokenizer(job, &missing);
        break;
    }
    return missing;
}

// A pattern with wildcards counts as missing, because only the hub knows which files it matches.
static struct missing find_missing_included(const struct pull_job *job)
{
    struct missing missing = {0};
    for (size_t i = 0; i < job->pull->include_count; i++) {
        const char *name = job->pull->include[i];
        if (strpbrk(name, "*?[") == NULL)
            require_file(job, name, &missing);
        else if (missing.count++ == 0)
            snprintf(missing.first, sizeof missing.first, "%s", name);
    }
    return missing;
}

static enum loam_status fail_offline(const struct pull_job *job, const struct missing *missing,
                                     struct loam_error *error)
{
    const char *revision = job->repo->revision;
    bool main = strcmp(revision, "main") == 0;
    return loam_fail(
        error, LOAM_ERROR_IO,
        "%s: the cache %s lacks %s%s of it, and HF_HUB_OFFLINE forbids asking the hub; without that, "
        "loam pull %s%s%s completes it",
        job->repo->id, job->hub->settings.cache, missing->first, missing->count > 1 ? " and other files" : "",
        job->repo->id, main ? "" : "@", main ? "" : revision);
}

// ---- Files in the repository ----

static enum loam_status fetch_listing(struct pull_job *job, struct loam_error *error)
{
    struct loam_bytes revision = {0};
    enum loam_status status = loam_url_append(&revision, job->repo->revision, "", error);
    // "blobs=true" adds the sizes.
    char *url = status != LOAM_OK ? NULL
                                  : loam_hub_url(job->hub, error, "api/models/%s/revision/%s?blobs=true",
                                                 job->repo->id, revision.data);
    struct loam_http_request request = {
        .method = "GET", .url = url, .what = job->repo->id, .accept = "application/json", .to_hub = true};
    status = url == NULL ? error->status : loam_hub_run(job->hub, &request, 1, error);
    if (status == LOAM_OK) status = loam_hub_check(job->hub, &request, job->repo, error);
    if (status == LOAM_OK)
        status =
            loam_listing_parse(&job->listing, request.text.data, request.text.size, job->repo->id, error);
    if (status == LOAM_OK) memcpy(job->commit, job->listing.commit, sizeof job->commit);
    loam_http_request_deinit(&request);
    loam_bytes_deinit(&revision);
    free(url);
    return status;
}

// Replaces LOAM_PULL_EITHER by the kind of the listed repository.
static enum loam_pull_kind resolve_kind(const struct pull_job *job)
{
    if (job->pull->kind != LOAM_PULL_EITHER) return job->pull->kind;
    return loam_listing_find(&job->listing, "adapter_config.json") != NULL ? LOAM_PULL_ADAPTER
                                                                           : LOAM_PULL_MODEL;
}

static bool is_of_kind(const struct pull_job *job, size_t row, enum loam_pull_kind kind)
{
    if (wanted_patterns[row].pickled && !job->pickled) return false;
    return kind == LOAM_PULL_MODEL     ? wanted_patterns[row].model
           : kind == LOAM_PULL_ADAPTER ? wanted_patterns[row].adapter
                                       : wanted_patterns[row].outline;
}

// `single`: the repository has the weights in one file.
static bool is_wanted(const struct pull_job *job, const char *name, enum loam_pull_kind kind, bool single)
{
    for (size_t i = 0; i < job->pull->include_count; i++)
        if (fnmatch(job->pull->include[i], name, FNM_NOESCAPE) == 0) return true;
    if (job->pull->include_count > 0) return false;
    // A single file of weights holds the same as the shards beside it, and is the one that loam reads.
    const struct weight_files *files = &weight_files[job->pickled ? PICKLED : SAFETENSORS];
    bool shard = strncmp(name, files->start, strlen(files->start)) == 0 && strcmp(name, files->single) != 0;
    if (single && shard) return false;
    for (size_t i = 0; i < sizeof wanted_patterns / sizeof *wanted_patterns; i++)
        if (is_of_kind(job, i, kind) &&
            fnmatch(wanted_patterns[i].pattern, name, FNM_PATHNAME | FNM_NOESCAPE) == 0)
            return true;
    return false;
}

static bool ends_in(const char *name, const char *ending)
{
    size_t size = strlen(name), ending_size = strlen(ending);
    return size >= ending_size && strcmp(name + size - ending_size, ending) == 0;
}

static bool is_weights(const char *name)
{
    return ends_in(name, ".safetensors") || ends_in(name, ".bin");
}

// Whether the repository has safetensors of the kind at its top.
static bool has_safetensors(const struct pull_job *job, enum loam_pull_kind kind)
{
    for (size_t i = 0; i < job->listing.count; i++) {
        const char *name = job->listing.files[i].name;
        if (kind == LOAM_PULL_ADAPTER ? strcmp(name, weight_files[SAFETENSORS].adapter) == 0
                                      : fnmatch("model*.safetensors", name, FNM_PATHNAME | FNM_NOESCAPE) == 0)
            return true;
    }
    return false;
}

// Refuses a repository without weights.
static enum loam_status check_weights(const struct pull_job *job, enum loam_pull_kind kind,
                                      struct loam_error *error)
{
    bool weightless = kind == LOAM_PULL_OUTLINE || kind == LOAM_PULL_TOKENIZER;
    if (job->pull->include_count > 0 || weightless) return LOAM_OK;
    for (size_t i = 0; i < job->count; i++)
        if (is_weights(job->files[i].name)) return LOAM_OK;
    const struct weight_files *wanted = &weight_files[SAFETENSORS], *other = &weight_files[PICKLED];
    const bool adapter = kind == LOAM_PULL_ADAPTER;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s has neither %s nor %s; --include names other files",
                     job->repo->id, adapter ? wanted->adapter : wanted->single,
                     adapter ? other->adapter : other->single);
}

// Lists the files to download: those that are wanted and not in the cache.
static enum loam_status choose_files(struct pull_job *job, enum loam_pull_kind kind, struct loam_error *error)
{
    job->files = loam_calloc(job->listing.count, sizeof *job->files, error);
    if (job->files == NULL) return LOAM_ERROR_MEMORY;
    job->pickled = !has_safetensors(job, kind);
    const struct weight_files *files = &weight_files[job->pickled ? PICKLED : SAFETENSORS];
    bool single = loam_listing_find(&job->listing, files->single) != NULL;
    for (size_t i = 0; i < job->listing.count; i++) {
        const struct loam_listed_file *listed = &job->listing.files[i];
        if (is_wanted(job, listed->name, kind, single))
            job->files[job->count++] = (struct loam_wanted_file){.name = listed->name, .size = listed->size};
    }
    LOAM_TRY(check_weights(job, kind, error));
    if (job->count == 0)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s has no file that matches --include %s",
                         job->repo->id, job->pull->include[0]);
    size_t missing = 0;
    for (size_t i = 0; i < job->count; i++)
        if (!is_cached(job, job->files[i].name)) job->files[missing++] = job->files[i];
    job->count = missing;
    return LOAM_OK;
}

// ---- Downloading ----

static enum loam_status link_files(struct pull_job *job, bool weights, struct loam_error *error)
{
    for (size_t i = 0; i < job->count; i++)
        if (is_weights(job->files[i].name) == weights)
            LOAM_TRY(
                loam_cache_link(&job->cache, job->commit, job->files[i].name, job->files[i].etag, error));
    return LOAM_OK;
}

// Records the optional files that the commit does not have, so that later runs skip the query.
static enum loam_status record_absences(struct pull_job *job, enum loam_pull_kind kind,
                                        struct loam_error *error)
{
    if (job->pull->include_count > 0) return LOAM_OK;
    for (size_t i = 0; i < sizeof wanted_patterns / sizeof *wanted_patterns; i++) {
        const char *name = wanted_patterns[i].pattern;
        if (!is_of_kind(job, i, kind) || strchr(name, '*') != NULL ||
            loam_listing_find(&job->listing, name) != NULL)
            continue;
        LOAM_TRY(loam_cache_record_absence(&job->cache, job->commit, name, error));
    }
    return LOAM_OK;
}

static enum loam_status ask_permission(const struct pull_job *job, struct loam_error *error)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < job->count; i++)
        bytes = loam_add_bytes(bytes, job->files[i].size);
    return job->pull->allow == NULL ? LOAM_OK : job->pull->allow(job->pull->user, bytes, error);
}

static enum loam_status download_files(struct pull_job *job, struct loam_error *error)
{
    const char *commit = job->commit;
    LOAM_TRY(loam_download_heads(job->hub, job->repo, commit, job->files, job->count, error));
    LOAM_TRY(ask_permission(job, error));
    loam_log_write(&job->hub->callbacks->log, LOAM_LOG_INFO, "%s: downloading %zu file%s of commit %.12s",
                   job->repo->id, job->count, job->count == 1 ? "" : "s", commit);
    LOAM_TRY(loam_download_blobs(job->hub, job->repo, commit, &job->cache, job->files, job->count, error));
    LOAM_TRY(link_files(job, false, error));
    return link_files(job, true, error);
}

static enum loam_status update_cache(struct pull_job *job, struct loam_error *error)
{
    LOAM_TRY(fetch_listing(job, error));
    enum loam_pull_kind kind = resolve_kind(job);
    LOAM_TRY(choose_files(job, kind, error));
    if (job->count > 0) LOAM_TRY(download_files(job, error));
    LOAM_TRY(record_absences(job, kind, error));
    loam_cache_write_tag(&job->cache);
    // The commit is recorded last: until then the revision names a commit whose files are complete.
    return loam_cache_set_commit(&job->cache, job->repo->revision, job->commit, error);
}

static enum loam_status pull_files(struct pull_job *job, char **directory, struct loam_error *error)
{
    LOAM_TRY(loam_cache_find_commit(&job->cache, job->repo->revision, job->commit, error));
    bool ask = job->pull->update && !job->hub->settings.offline;
    if (job->pull->update && !ask)
        loam_log_write(&job->hub->callbacks->log, LOAM_LOG_WARNING,
                       "%s: --update has no effect: HF_HUB_OFFLINE forbids asking the hub", job->repo->id);
    struct missing missing = {.count = 1};
    if (job->commit[0] != '\0' && !ask)
        missing =
            job->pull->include_count > 0 ? find_missing_included(job) : find_missing(job, job->pull->kind);
    if (job->cache_error.status != LOAM_OK)
        return loam_fail(error, job->cache_error.status, "%s", job->cache_error.message);
    if (missing.first[0] != '\0' && job->hub->settings.offline) return fail_offline(job, &missing, error);
    if (missing.count > 0) LOAM_TRY(update_cache(job, error));
    *directory = loam_cache_snapshot_path(&job->cache, job->commit, error);
    return *directory == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

enum loam_status loam_hub_pull(struct loam_hub *hub, const struct loam_repo *repo,
                               const struct loam_pull *pull, char **directory, struct loam_error *error)
{
    struct pull_job job = {.hub = hub, .repo = repo, .pull = pull};
    LOAM_TRY(loam_cache_open(&job.cache, hub->settings.cache, repo, error));
    enum loam_status status = pull_files(&job, directory, error);
    free(job.files);
    loam_listing_deinit(&job.listing);
    loam_cache_close(&job.cache);
    if (status != LOAM_OK) loam_hub_settings_redact(&hub->settings, error->message);
    return status;
}
