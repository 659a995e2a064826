#include "run/checkpoint_state.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "run/checkpoint_files.h"

#define PLACE(name, field)                                                                                   \
    .key = name, .offset = offsetof(struct loam_loop, field),                                                \
    .real = _Generic(((struct loam_loop *)0)->field, int64_t                                                 \
                     : false, double                                                                         \
                     : true)
#define FIELD(field)                                                                                         \
    {                                                                                                        \
        PLACE(#field, field)                                                                                 \
    }
#define LATER(field)                                                                                         \
    {                                                                                                        \
        PLACE(#field, field), .later = true                                                                  \
    }

static const struct {
    const char *key;
    size_t offset; // in struct loam_loop
    bool real;     // a double, null in JSON if it is not finite; else an int64_t
    bool later;    // may be absent in states of older versions; read as NAN or 0 then
    int64_t least; // the least count that can be
} fields[] = {
    {PLACE("step", step), .least = 1},
    FIELD(total_steps),
    FIELD(updates),
    FIELD(skipped),
    FIELD(examples),
    FIELD(tokens),
    FIELD(loss_sum),
    {PLACE("eval_loss", eval.loss)},
    {PLACE("eval_step", eval_step), .least = -1},
    {PLACE("best_loss", best.loss)},
    {PLACE("best_step", best_step), .least = -1},
    FIELD(worse_evaluations),
    FIELD(last.loss),
    FIELD(last.grad_norm),
    FIELD(learning_rate),
    FIELD(logged_step),
    FIELD(logged_loss_sum),
    FIELD(logged_updates),
    FIELD(logged_tokens),
    {PLACE("eval_exact_match", eval.exact_match), .later = true},
    {PLACE("best_exact_match", best.exact_match), .later = true},
    {PLACE("eval_f1", eval.f1), .later = true},
    {PLACE("best_f1", best.f1), .later = true},
    LATER(unlabelled),
    LATER(logged_skipped),
    {PLACE("eval_rouge_l", eval.rouge_l), .later = true},
    {PLACE("best_rouge_l", best.rouge_l), .later = true},
    {PLACE("eval_accuracy", eval.accuracy), .later = true},
    {PLACE("best_accuracy", best.accuracy), .later = true},
    LATER(overflows),
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

// Times of the loop are on a clock of this process, so a state holds how many seconds ago they were.
static const struct {
    const char *key;
    size_t offset;
} times[] = {
    {"seconds", offsetof(struct loam_loop, start)},
    {"logged_seconds", offsetof(struct loam_loop, logged_seconds)},
};
enum { TIMES = sizeof times / sizeof times[0] };

enum loam_status loam_checkpoint_state_peek(json_t **root, const char *directory, struct loam_error *error)
{
    char *path = loam_path_join(directory, LOAM_CHECKPOINT_STATE, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    *root = NULL;
    enum loam_status status = loam_json_load(root, path, error);
    if (status == LOAM_OK && !(json_is_integer(json_object_get(*root, "version")) &&
                               json_is_string(json_object_get(*root, "loam"))))
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s is not a state that loam has written", path);
    free(path);
    if (status != LOAM_OK) {
        json_decref(*root);
        *root = NULL;
    }
    return status;
}

enum loam_status loam_checkpoint_state_load(json_t **root, const char *directory, struct loam_error *error)
{
    LOAM_TRY(loam_checkpoint_state_peek(root, directory, error));
    long long version = json_integer_value(json_object_get(*root, "version"));
    if (version == LOAM_CHECKPOINT_VERSION) return LOAM_OK;
    const char *maker = json_string_value(json_object_get(*root, "loam"));
    enum loam_status status = loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "%s/%s is of version %lld, which loam %s has written, and this loam (%s) reads version %d: go on "
        "with that one",
        directory, LOAM_CHECKPOINT_STATE, version, maker, LOAM_VERSION, LOAM_CHECKPOINT_VERSION);
    json_decref(*root);
    *root = NULL;
    return status;
}

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *loam_checkpoint_state_format(const struct loam_loop *loop)
{
    const char *base = (const char *)loop;
    double now = loam_clock_seconds();
    json_t *state = json_object();
    bool whole = state != NULL;
    for (size_t i = 0; i < FIELDS && whole; i++) {
        const void *field = base + fields[i].offset;
        json_t *value = fields[i].real ? real(*(const double *)field) : json_integer(*(const int64_t *)field);
        whole = json_object_set_new(state, fields[i].key, value) == 0;
    }
    for (size_t i = 0; i < TIMES && whole; i++)
        whole = json_object_set_new(state, times[i].key,
                                    real(now - *(const double *)(const void *)(base + times[i].offset))) == 0;
    if (whole) return state;
    json_decref(state);
    return NULL;
}

static enum loam_status fail_key(const char *name, const char *key, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s has no \"%s\"; resume from another checkpoint", name, key);
}

static enum loam_status read_count(const json_t *state, const char *name, const char *key, int64_t *count,
                                   struct loam_error *error)
{
    if (json_is_integer(json_object_get(state, key)))
        return loam_json_get_int(state, name, key, count, error);
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: \"%s\" is not a whole number; resume from another checkpoint", name, key);
}

// The upper bound is so that no sum of counts overflows.
static enum loam_status check_count(const char *name, const char *key, int64_t count, int64_t least,
                                    struct loam_error *error)
{
    enum { BITS = 53 };
    if (count >= least && count <= INT64_C(1) << BITS) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "%s: \"%s\" is %lld, which cannot be: expected %lld to 2^53; resume from another checkpoint", name,
        key, (long long)count, (long long)least);
}

// A step is an update or skipped. States of older versions lack some of the reasons.
static enum loam_status check_steps(const struct loam_loop *loop, const char *name, struct loam_error *error)
{
    const int64_t told = loop->updates + loop->skipped + loop->overflows + loop->unlabelled;
    if (told <= loop->step) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: \"step\" %lld with \"updates\" %lld, \"skipped\" %lld, \"overflows\" %lld and "
                     "\"unlabelled\" %lld cannot be; resume from another checkpoint",
                     name, (long long)loop->step, (long long)loop->updates, (long long)loop->skipped,
                     (long long)loop->overflows, (long long)loop->unlabelled);
}

enum loam_status loam_checkpoint_state_parse(struct loam_loop *loop, const json_t *state, const char *name,
                                             struct loam_error *error)
{
    char *base = (char *)loop;
    double now = loam_clock_seconds();
    for (size_t i = 0; i < FIELDS; i++) {
        const char *key = fields[i].key;
        void *field = base + fields[i].offset;
        if (json_object_get(state, key) == NULL && !fields[i].later) return fail_key(name, key, error);
        if (fields[i].real) {
            *(double *)field = NAN;
            LOAM_TRY(loam_json_get_double(state, name, key, field, error));
        } else if (fields[i].later && json_object_get(state, key) == NULL) {
            *(int64_t *)field = 0;
        } else {
            LOAM_TRY(read_count(state, name, key, field, error));
            LOAM_TRY(check_count(name, key, *(const int64_t *)field, fields[i].least, error));
        }
    }
    for (size_t i = 0; i < TIMES; i++) {
        double ago = NAN;
        LOAM_TRY(loam_json_get_double(state, name, times[i].key, &ago, error));
        if (!isfinite(ago)) return fail_key(name, times[i].key, error);
        *(double *)(void *)(base + times[i].offset) = now - ago;
    }
    return check_steps(loop, name, error);
}

enum loam_status loam_checkpoint_loss_scale_parse(struct loam_loss_scale *scale, int64_t step,
                                                  const json_t *root, const char *name,
                                                  struct loam_error *error)
{
    static const char *const keys[] = {"factor", "good_steps"};
    const json_t *saved = json_object_get(root, "loss_scale");
    struct loam_loss_scale read = *scale;
    if (saved == NULL || json_is_null(saved)) return LOAM_OK;
    if (!json_is_object(saved))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"loss_scale\" must be an object or null; resume from another checkpoint",
                         name);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!json_is_number(json_object_get(saved, keys[i])))
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s: \"loss_scale\" has no number \"%s\"; resume from another checkpoint", name,
                             keys[i]);
    LOAM_TRY(loam_json_get_double(saved, name, "factor", &read.factor, error));
    LOAM_TRY(loam_json_get_int(saved, name, "good_steps", &read.good_steps, error));
    if (!loam_loss_scale_is_valid(&read) || read.good_steps > step)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: \"loss_scale\" with a factor of %g after %lld good steps of %lld cannot be; resume from "
            "another checkpoint",
            name, read.factor, (long long)read.good_steps, (long long)step);
    if (scale->dynamic) *scale = read;
    return LOAM_OK;
}
