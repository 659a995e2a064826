#include "text/normalizer.h"

#include "text/part.h"

// Adds a step if `status`, the result of reading its fields, is LOAM_OK. Else releases the step.
static enum loam_status add_step(enum loam_status status, struct loam_steps *steps, struct loam_step *step,
                                 struct loam_error *error)
{
    if (status == LOAM_OK) return loam_steps_add(steps, step, error);
    loam_pattern_deinit(&step->pattern);
    loam_bytes_deinit(&step->content);
    return status;
}

static enum loam_status parse_prepend(const json_t *part, const char *name, void *target,
                                      struct loam_error *error)
{
    struct loam_step step = {.rewrite = loam_rewrite_prepend};
    return add_step(loam_part_text(part, name, "prepend", &step.content, error), target, &step, error);
}

static enum loam_status parse_replace(const json_t *part, const char *name, void *target,
                                      struct loam_error *error)
{
    struct loam_step step = {.rewrite = loam_rewrite_replace};
    enum loam_status status = loam_part_pattern(part, name, &step.pattern, error);
    if (status == LOAM_OK) status = loam_part_text(part, name, "content", &step.content, error);
    return add_step(status, target, &step, error);
}

static enum loam_status parse_lowercase(const json_t *part, const char *name, void *target,
                                        struct loam_error *error)
{
    (void)part;
    (void)name;
    struct loam_step step = {.rewrite = loam_rewrite_lowercase};
    return loam_steps_add(target, &step, error);
}

static enum loam_status parse_strip(const json_t *part, const char *name, void *target,
                                    struct loam_error *error)
{
    struct loam_step step = {.rewrite = loam_rewrite_strip};
    LOAM_TRY(loam_part_bool(part, name, "strip_left", &step.strip_left, error));
    LOAM_TRY(loam_part_bool(part, name, "strip_right", &step.strip_right, error));
    return loam_steps_add(target, &step, error);
}

static enum loam_status parse_byte_level(const json_t *part, const char *name, void *target,
                                         struct loam_error *error)
{
    (void)part;
    (void)name;
    struct loam_step step = {.rewrite = loam_rewrite_byte_level};
    return loam_steps_add(target, &step, error);
}

static enum loam_status add_normal_form(void *target, bool compose, bool compatibility,
                                        struct loam_error *error)
{
    struct loam_step step = {
        .rewrite = loam_rewrite_normal_form, .compose = compose, .compatibility = compatibility};
    return loam_steps_add(target, &step, error);
}

static enum loam_status parse_nfc(const json_t *part, const char *name, void *target,
                                  struct loam_error *error)
{
    (void)part;
    (void)name;
    return add_normal_form(target, true, false, error);
}

static enum loam_status parse_nfd(const json_t *part, const char *name, void *target,
                                  struct loam_error *error)
{
    (void)part;
    (void)name;
    return add_normal_form(target, false, false, error);
}

static enum loam_status parse_nfkc(const json_t *part, const char *name, void *target,
                                   struct loam_error *error)
{
    (void)part;
    (void)name;
    return add_normal_form(target, true, true, error);
}

static enum loam_status parse_nfkd(const json_t *part, const char *name, void *target,
                                   struct loam_error *error)
{
    (void)part;
    (void)name;
    return add_normal_form(target, false, true, error);
}

static const struct loam_part_kind kinds[] = {
    {"Prepend", parse_prepend}, {"Replace", parse_replace},     {"NFC", parse_nfc},
    {"NFD", parse_nfd},         {"NFKC", parse_nfkc},           {"NFKD", parse_nfkd},
    {"Strip", parse_strip},     {"Lowercase", parse_lowercase}, {"ByteLevel", parse_byte_level},
};
static const struct loam_part_table table = {"normalizer", "normalizers", kinds,
                                             sizeof kinds / sizeof *kinds};

enum loam_status loam_normalizer_parse(const json_t *part, const char *name, struct loam_steps *steps,
                                       struct loam_error *error)
{
    return loam_part_parse(&table, part, name, steps, error);
}
