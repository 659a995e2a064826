// The locks of the cache that huggingface_hub and loam share.
#include <fcntl.h>
#include <sys/stat.h>

#include "test.h"

#include "hub/cache.h"

static void open_cache(struct loam_cache *cache, const char *directory)
{
    struct loam_error error;
    struct loam_repo repo;
    assert_ok(loam_repo_parse(&repo, "org/tiny", &error));
    assert_ok(loam_cache_open(cache, directory, &repo, &error));
    char path[300];
    snprintf(path, sizeof path, "%s/.locks/models--org--tiny", directory);
    assert_string_equal(cache->locks, path);
}

static void test_lock(void **state)
{
    struct loam_error error;
    struct loam_cache cache;
    int first, second;
    open_cache(&cache, *state);
    assert_ok(loam_cache_lock(&cache, "etag", &first, &error));
    assert_true(first >= 0);
    // A second open of the file does not get the lock, even within one process.
    assert_ok(loam_cache_lock(&cache, "etag", &second, &error));
    assert_int_equal(second, -1);
    assert_ok(loam_cache_lock(&cache, "other", &second, &error));
    assert_true(second >= 0);
    close(second);
    close(first);
    assert_ok(loam_cache_lock(&cache, "etag", &second, &error));
    assert_true(second >= 0);
    close(second);
    loam_cache_close(&cache);
}

static void test_lock_that_cannot_be_opened(void **state)
{
    struct loam_error error;
    struct loam_cache cache;
    char path[300];
    int descriptor;
    open_cache(&cache, *state);
    assert_ok(loam_cache_lock(&cache, "etag", &descriptor, &error)); // makes the directories
    close(descriptor);
    snprintf(path, sizeof path, "%s/directory.lock", cache.locks);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_fails(loam_cache_lock(&cache, "directory", &descriptor, &error), LOAM_ERROR_IO,
                 "cannot open the lock");
    assert_int_equal(descriptor, -1);
    snprintf(path, sizeof path, "%s/link.lock", cache.locks);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_fails(loam_cache_lock(&cache, "link", &descriptor, &error), LOAM_ERROR_IO,
                 "it is a link; remove it");
    assert_int_equal(descriptor, -1);
    loam_cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(test_lock),
        test_in_directory(test_lock_that_cannot_be_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
