#include "text/normalizer.h"

#include <string.h>

#include "text/part.h"

// In the order of enum loam_split_behavior.
static const char *const behaviors[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                        "Contiguous"};

static enum loam_status parse_behavior(const json_t *part, const char *name,
                                       enum loam_split_behavior *behavior, struct loam_error *error)
{
    int index = (int)*behavior;
    LOAM_TRY(loam_part_choice(part, name, "behavior", behaviors, sizeof behaviors / sizeof *behaviors, &index,
                              error));
    *behavior = (enum loam_split_behavior)index;
    return LOAM_OK;
}

static enum loam_status parse_split(const json_t *part, const char *name, void *target,
                                    struct loam_error *error)
{
    struct loam_step step = {0};
    if (!json_is_string(json_object_get(part, "behavior")))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"behavior\" must be a string", name);
    LOAM_TRY(parse_behavior(part, name, &step.behavior, error));
    LOAM_TRY(loam_part_bool(part, name, "invert", &step.invert, error));
    LOAM_TRY(loam_part_pattern(part, name, &step.pattern, error));
    return loam_steps_add(target, &step, error);
}

static enum loam_status parse_byte_level(const json_t *part, const char *name, void *target,
                                         struct loam_error *error)
{
    bool prefix_space;
    bool use_regex = true;
    LOAM_TRY(loam_part_bool(part, name, "add_prefix_space", &prefix_space, error));
    LOAM_TRY(loam_json_get_bool(part, name, "use_regex", &use_regex, error));
    if (prefix_space) {
        struct loam_step step = {.rewrite = loam_rewrite_prefix_space};
        LOAM_TRY(loam_steps_add(target, &step, error));
    }
    if (use_regex) {
        struct loam_step step = {.behavior = LOAM_SPLIT_ISOLATED};
        LOAM_TRY(loam_pattern_init_gpt2(&step.pattern, error));
        LOAM_TRY(loam_steps_add(target, &step, error));
    }
    struct loam_step step = {.rewrite = loam_rewrite_byte_level};
    return loam_steps_add(target, &step, error);
}

static enum loam_status parse_scheme(const json_t *part, const char *name, enum loam_prepend_scheme *scheme,
                                     struct loam_error *error)
{
    // In the order of enum loam_prepend_scheme.
    static const char *const schemes[] = {"always", "first", "never"};
    int index = LOAM_PREPEND_ALWAYS;
    bool prefix_space = true; // the older form; false means "never"
    LOAM_TRY(loam_part_choice(part, name, "prepend_scheme", schemes, 3, &index, error));
    LOAM_TRY(loam_json_get_bool(part, name, "add_prefix_space", &prefix_space, error));
    bool stated = json_is_string(json_object_get(part, "prepend_scheme"));
    if (!prefix_space && stated && index != LOAM_PREPEND_NEVER)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: \"add_prefix_space\" is false, so \"prepend_scheme\" must be \"never\", not \"%s\"", name,
            schemes[index]);
    *scheme = prefix_space ? (enum loam_prepend_scheme)index : LOAM_PREPEND_NEVER;
    return LOAM_OK;
}

static enum loam_status add_metaspace(struct loam_steps *steps, const struct loam_bytes *mark,
                                      enum loam_prepend_scheme scheme, bool split, struct loam_error *error)
{
    struct loam_step rewrite = {.rewrite = loam_rewrite_metaspace, .prepend_scheme = scheme};
    LOAM_TRY(loam_bytes_append(&rewrite.content, mark->data, mark->size, error));
    LOAM_TRY(loam_steps_add(steps, &rewrite, error));
    if (!split) return LOAM_OK;
    struct loam_step cut = {.behavior = LOAM_SPLIT_MERGED_WITH_NEXT};
    LOAM_TRY(loam_pattern_init_literal(&cut.pattern, mark->data, mark->size, error));
    return loam_steps_add(steps, &cut, error);
}

static enum loam_status parse_metaspace(const json_t *part, const char *name, void *target,
                                        struct loam_error *error)
{
    enum loam_prepend_scheme scheme = LOAM_PREPEND_ALWAYS;
    bool split = true;
    struct loam_bytes mark = {0};
    LOAM_TRY(parse_scheme(part, name, &scheme, error));
    LOAM_TRY(loam_json_get_bool(part, name, "split", &split, error));
    enum loam_status status = loam_part_text(part, name, "replacement", &mark, error);
    if (status == LOAM_OK && (mark.size == 0 || loam_utf8_length(mark.data[0]) != mark.size))
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"replacement\" must be one character", name);
    if (status == LOAM_OK) status = add_metaspace(target, &mark, scheme, split, error);
    loam_bytes_deinit(&mark);
    return status;
}

static enum loam_status parse_digits(const json_t *part, const char *name, void *target,
                                     struct loam_error *error)
{
    bool individual;
    LOAM_TRY(loam_part_bool(part, name, "individual_digits", &individual, error));
    struct loam_step step = {.behavior = individual ? LOAM_SPLIT_ISOLATED : LOAM_SPLIT_CONTIGUOUS};
    loam_pattern_init_class(&step.pattern, loam_char_is_numeric);
    return loam_steps_add(target, &step, error);
}

static enum loam_status parse_punctuation(const json_t *part, const char *name, void *target,
                                          struct loam_error *error)
{
    struct loam_step step = {.behavior = LOAM_SPLIT_ISOLATED};
    LOAM_TRY(parse_behavior(part, name, &step.behavior, error));
    loam_pattern_init_class(&step.pattern, loam_char_is_punctuation);
    return loam_steps_add(target, &step, error);
}

static enum loam_status parse_whitespace(const json_t *part, const char *name, void *target,
                                         struct loam_error *error)
{
    (void)part;
    (void)name;
    struct loam_step step = {.behavior = LOAM_SPLIT_REMOVED, .invert = true};
    loam_pattern_init_words(&step.pattern);
    return loam_steps_add(target, &step, error);
}

static enum loam_status parse_whitespace_split(const json_t *part, const char *name, void *target,
                                               struct loam_error *error)
{
    (void)part;
    (void)name;
    struct loam_step step = {.behavior = LOAM_SPLIT_REMOVED};
    loam_pattern_init_class(&step.pattern, loam_char_is_whitespace);
    return loam_steps_add(target, &step, error);
}

static const struct loam_part_kind kinds[] = {
    {"Split", parse_split},
    {"ByteLevel", parse_byte_level},
    {"Metaspace", parse_metaspace},
    {"Digits", parse_digits},
    {"Punctuation", parse_punctuation},
    {"Whitespace", parse_whitespace},
    {"WhitespaceSplit", parse_whitespace_split},
};
static const struct loam_part_table table = {"pre-tokenizer", "pretokenizers", kinds,
                                             sizeof kinds / sizeof *kinds};

enum loam_status loam_pretokenizer_parse(const json_t *part, const char *name, struct loam_steps *steps,
                                         struct loam_error *error)
{
    return loam_part_parse(&table, part, name, steps, error);
}
