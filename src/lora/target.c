#include "lora/target.h"

#include <oniguruma.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/heap.h"

enum {
    // Backtracking steps of a match. An expression that backtracks exponentially fails instead of hanging.
    // Ordinary expressions take some hundreds of steps on the path of a module.
    RETRY_LIMIT = 1000000,
    // Entries of the backtracking stack, 32 bytes each. Ordinary expressions need one a character.
    STACK_LIMIT = 1 << 16,
};

static const char all_linear[] = "all-linear";
static const char blanks[] = " \t\r\n";

static enum loam_status compile_regex(OnigRegex *regex, const char *text, const char *pattern,
                                      struct loam_error *error)
{
    OnigErrorInfo info;
    const OnigUChar *first = (const OnigUChar *)text;
    int code = onig_new(regex, first, first + strlen(text), ONIG_OPTION_NONE, ONIG_ENCODING_UTF8,
                        ONIG_SYNTAX_PYTHON, &info);
    if (code == ONIG_NORMAL) return LOAM_OK;
    *regex = NULL;
    OnigUChar reason[ONIG_MAX_ERROR_MESSAGE_LEN];
    onig_error_code_to_str(reason, code, &info);
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "target modules \"%.200s\": not a regular expression that can be read (%s)", pattern,
                     (char *)reason);
}

enum loam_status loam_targets_init_pattern(struct loam_targets *targets, const char *pattern,
                                           struct loam_error *error)
{
    *targets = (struct loam_targets){.kind = LOAM_TARGET_PATTERN};
    // The pattern is compiled alone first: "a)|(b" is no expression, but would compile within the group.
    OnigRegex regex;
    LOAM_TRY(compile_regex(&regex, pattern, pattern, error));
    onig_free(regex);
    char *whole = loam_format(error, "(?:%s)\\Z", pattern);
    if (whole == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = compile_regex(&regex, whole, pattern, error);
    free(whole);
    if (status != LOAM_OK) return status;
    targets->regex = regex;
    targets->pattern = loam_strdup(pattern, error);
    if (targets->pattern == NULL) {
        loam_targets_deinit(targets);
        return LOAM_ERROR_MEMORY;
    }
    return LOAM_OK;
}

static enum loam_status add_entry(struct loam_targets *targets, const char *text, size_t size,
                                  struct loam_error *error)
{
    char *entry = loam_strndup(text, size, error);
    if (entry == NULL) return LOAM_ERROR_MEMORY;
    targets->entries[targets->count++] = entry;
    return LOAM_OK;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Sorts the list and drops duplicates, so that saved files do not depend on the order on the command line.
static void sort_entries(struct loam_targets *targets)
{
    qsort(targets->entries, targets->count, sizeof *targets->entries, compare_entries);
    size_t kept = 0;
    for (size_t i = 0; i < targets->count; i++) {
        if (kept > 0 && strcmp(targets->entries[kept - 1], targets->entries[i]) == 0)
            free(targets->entries[i]);
        else
            targets->entries[kept++] = targets->entries[i];
    }
    targets->count = kept;
}

static enum loam_status add_trimmed(struct loam_targets *targets, const char *text, size_t size,
                                    struct loam_error *error)
{
    for (; size > 0 && strchr(blanks, text[0]) != NULL; size--)
        text++;
    while (size > 0 && strchr(blanks, text[size - 1]) != NULL)
        size--;
    if (size == 0) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "target modules: an empty name in the list; write names separated by single commas");
    }
    return add_entry(targets, text, size, error);
}

static enum loam_status split_list(struct loam_targets *targets, const char *text, struct loam_error *error)
{
    size_t commas = 0;
    for (const char *c = text; *c != '\0'; c++) {
        commas += *c == ',';
    }
    targets->entries = loam_calloc(commas + 1, sizeof *targets->entries, error);
    if (targets->entries == NULL) return LOAM_ERROR_MEMORY;
    for (;;) {
        size_t size = strcspn(text, ",");
        LOAM_TRY(add_trimmed(targets, text, size, error));
        if (text[size] == '\0') break;
        text += size + 1;
    }
    sort_entries(targets);
    return LOAM_OK;
}

enum loam_status loam_targets_parse_list(struct loam_targets *targets, const char *text,
                                         struct loam_error *error)
{
    *targets = (struct loam_targets){.kind = LOAM_TARGET_LIST};
    enum loam_status status = split_list(targets, text, error);
    if (status != LOAM_OK) loam_targets_deinit(targets);
    return status;
}

enum loam_status loam_targets_parse(struct loam_targets *targets, const char *text, struct loam_error *error)
{
    if (strcasecmp(text, all_linear) == 0) {
        *targets = (struct loam_targets){.kind = LOAM_TARGET_ALL_LINEAR};
        return LOAM_OK;
    }
    if (strpbrk(text, "*+?|()[]{}^$\\") != NULL) return loam_targets_init_pattern(targets, text, error);
    return loam_targets_parse_list(targets, text, error);
}

enum loam_status loam_targets_init_list(struct loam_targets *targets, const char *const *entries,
                                        size_t count, struct loam_error *error)
{
    *targets = (struct loam_targets){.kind = LOAM_TARGET_LIST};
    targets->entries = loam_calloc(count, sizeof *targets->entries, error);
    if (targets->entries == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        enum loam_status status = add_entry(targets, entries[i], strlen(entries[i]), error);
        if (status != LOAM_OK) {
            loam_targets_deinit(targets);
            return status;
        }
    }
    sort_entries(targets);
    return LOAM_OK;
}

void loam_targets_deinit(struct loam_targets *targets)
{
    for (size_t i = 0; i < targets->count; i++) {
        free(targets->entries[i]);
    }
    free(targets->entries);
    free(targets->pattern);
    if (targets->regex != NULL) onig_free(targets->regex);
    *targets = (struct loam_targets){0};
}

bool loam_target_entry_matches(const char *entry, const char *path)
{
    size_t entry_size = strlen(entry);
    size_t path_size = strlen(path);
    if (entry_size > path_size || strcmp(path + path_size - entry_size, entry) != 0) return false;
    return entry_size == path_size || path[path_size - entry_size - 1] == '.';
}

bool loam_targets_have_path(const struct loam_targets *targets, const char *path)
{
    for (size_t i = 0; i < targets->count; i++)
        if (strcmp(targets->entries[i], path) == 0) return true;
    return false;
}

static enum loam_status match_pattern(const struct loam_targets *targets, const char *path, bool *matches,
                                      struct loam_error *error)
{
    const OnigUChar *first = (const OnigUChar *)path;
    const OnigUChar *end = first + strlen(path);
    OnigMatchParam *parameters = onig_new_match_param();
    if (parameters == NULL)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory while matching target modules");
    onig_initialize_match_param(parameters);
    onig_set_retry_limit_in_match_of_match_param(parameters, RETRY_LIMIT);
    onig_set_match_stack_limit_size_of_match_param(parameters, STACK_LIMIT);
    int length = onig_match_with_param(targets->regex, first, end, first, NULL, ONIG_OPTION_NONE, parameters);
    onig_free_match_param(parameters);
    if (length < 0 && length != ONIG_MISMATCH) {
        OnigUChar reason[ONIG_MAX_ERROR_MESSAGE_LEN];
        onig_error_code_to_str(reason, length);
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "target modules \"%.200s\": matching \"%s\" failed (%s)",
                         targets->pattern, path, (char *)reason);
    }
    *matches = length >= 0;
    return LOAM_OK;
}

enum loam_status loam_targets_match(const struct loam_targets *targets, const char *path, bool *matches,
                                    struct loam_error *error)
{
    if (targets->kind == LOAM_TARGET_PATTERN) return match_pattern(targets, path, matches, error);
    *matches = targets->kind == LOAM_TARGET_ALL_LINEAR;
    for (size_t i = 0; i < targets->count && !*matches; i++) {
        *matches = loam_target_entry_matches(targets->entries[i], path);
    }
    return LOAM_OK;
}

enum loam_status loam_targets_describe(const struct loam_targets *targets, struct loam_bytes *text,
                                       struct loam_error *error)
{
    if (targets->kind == LOAM_TARGET_ALL_LINEAR) return loam_bytes_append_text(text, all_linear, error);
    if (targets->kind == LOAM_TARGET_PATTERN) return loam_bytes_append_text(text, targets->pattern, error);
    for (size_t i = 0; i < targets->count; i++) {
        LOAM_TRY(loam_bytes_format(text, error, "%s%s", i > 0 ? ", " : "", targets->entries[i]));
    }
    return LOAM_OK;
}
