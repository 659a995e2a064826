// Every family has goldens, and every golden of a family is compared.
#include "parity/run/common_golden.h"

#include <dirent.h>

static bool is_in(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static bool is_compared(const char *name)
{
    return is_in(golden_names, GOLDEN_COUNT, name) || is_in(golden_module_names, GOLDEN_MODULE_COUNT, name);
}

static void test_families_have_goldens(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_config config;
    char path[768];
    for (size_t f = 0; loam_family_at(f) != NULL; f++) {
        const struct loam_family *family = loam_family_at(f);
        int found = 0;
        for (size_t i = 0; i < GOLDEN_COUNT; i++) {
            snprintf(path, sizeof path, "%s/parity/goldens/%s", LOAM_TESTS, golden_names[i]);
            assert_ok(loam_config_load(&config, path, &error));
            found += config.family == family;
        }
        if (found == 0)
            fail_msg("the family %s (%s, number %zu) has no golden in golden_names: tests/parity/families.py "
                     "describes them, make_goldens.py makes them",
                     family->model_type, family->architecture, f);
    }
}

static void test_goldens_are_compared(void **state)
{
    (void)state;
    struct loam_error error;
    char path[768];
    snprintf(path, sizeof path, "%s/parity/goldens", LOAM_TESTS);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    int found = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        json_t *config = NULL;
        const char *dot = strrchr(entry->d_name, '.');
        // The goldens of chat templates are one file.
        if (entry->d_name[0] == '.' || (dot != NULL && strcmp(dot, ".json") == 0)) continue;
        snprintf(path, sizeof path, "%s/parity/goldens/%s/config.json", LOAM_TESTS, entry->d_name);
        assert_ok(loam_json_load(&config, path, &error));
        const char *type = json_string_value(json_object_get(config, "model_type"));
        assert_non_null(type);
        if (loam_family_find(type) != NULL && !is_compared(entry->d_name))
            fail_msg("the golden %s is of a supported family, and golden_names does not have it",
                     entry->d_name);
        found += is_compared(entry->d_name);
        json_decref(config);
    }
    closedir(directory);
    assert_int_equal(found, GOLDEN_COUNT + GOLDEN_MODULE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families_have_goldens),
        cmocka_unit_test(test_goldens_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
