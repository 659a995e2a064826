// JSON from the hub: the list of a repository's files, the answer about files to push, and the answer
// about LFS objects. Each input is read as all three.
#include <string.h>

#include "fuzz.h"
#include "hub/lfs_batch.h"
#include "hub/listing.h"
#include "hub/preupload.h"

static void check_listing(const char *text, size_t size)
{
    struct loam_listing listing;
    struct loam_error error;
    enum loam_status status = loam_listing_parse(&listing, text, size, "org/name", &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    fuzz_require(loam_is_commit(listing.commit));
    for (size_t i = 0; i < listing.count; i++)
        fuzz_require(loam_repo_file_is_safe(listing.files[i].name) && listing.files[i].size >= -1);
    loam_listing_deinit(&listing);
}

static void check_preupload(const char *text, size_t size)
{
    struct loam_folder_file files[] = {{.name = (char[]){"a.bin"}, .size = 10},
                                       {.name = (char[]){"b"}, .size = 0}};
    struct loam_folder folder = {.files = files, .count = 2};
    struct loam_error error;
    enum loam_status status = loam_preupload_parse(&folder, 0, 2, text, size, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    fuzz_require(files[1].mode == LOAM_UPLOAD_REGULAR);
    fuzz_require(strnlen(files[0].remote, LOAM_DIGEST_SIZE) < LOAM_DIGEST_SIZE);
}

static void check_batch(const char *text, size_t size)
{
    struct loam_folder_file files[] = {{.name = (char[]){"a.bin"}, .size = 10, .local = "aa"},
                                       {.name = (char[]){"b.bin"}, .size = INT64_MAX, .local = "bb"}};
    const struct loam_folder_file *objects[] = {&files[0], &files[1]};
    struct loam_lfs_plan plan;
    struct loam_error error;
    enum loam_status status = loam_lfs_batch_parse(&plan, objects, 2, text, size, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    for (size_t i = 0; i < plan.count; i++) {
        const struct loam_lfs_upload *upload = &plan.uploads[i];
        fuzz_require((upload->chunk == 0) == (upload->part_count == 0));
        if (upload->chunk > 0)
            fuzz_require((upload->file->size - 1) / upload->chunk + 1 == (int64_t)upload->part_count);
        for (size_t part = 0; part < upload->part_count; part++)
            fuzz_require(upload->parts[part] != NULL);
    }
    loam_lfs_plan_deinit(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_listing((const char *)data, size);
    check_preupload((const char *)data, size);
    check_batch((const char *)data, size);
    return 0;
}
