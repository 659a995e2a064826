// Writes the logits of token sequences, which scripts/parity compares with those of PyTorch.
//   loam_logits MODEL ADAPTER|- SEQUENCES.json LOGITS.safetensors [DEVICE [DTYPE]]
// SEQUENCES.json is {"sequences": [[id, ...], ...]}; they form one packed batch.
// LOGITS.safetensors receives "logits" [all tokens, V] f32.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json.h"
#include "io/safetensors.h"
#include "lora/lora.h"
#include "model/decoder.h"

struct job {
    struct loam_device *device;
    struct loam_model *model;
    struct loam_adapter *adapter;
    struct loam_decoder *decoder;
    struct loam_batch batch;
    json_t *input;
    float *logits; // [tokens, V]
};

static enum loam_status load_model(struct job *job, char **arguments, struct loam_error *error)
{
    const char *device = arguments[4] != NULL ? arguments[4] : "cpu";
    bool bf16 = arguments[4] != NULL && arguments[5] != NULL && strcmp(arguments[5], "bf16") == 0;
    struct loam_load_options options = {.dtype = bf16 ? LOAM_BF16 : LOAM_F32};
    struct loam_config config;
    LOAM_TRY(loam_device_create(&job->device, device, 0, error));
    LOAM_TRY(loam_config_load(&config, arguments[0], error));
    LOAM_TRY(loam_model_create(&job->model, &config, error));
    LOAM_TRY(loam_model_load(job->model, arguments[0], job->device, &options, error));
    if (strcmp(arguments[1], "-") == 0) return LOAM_OK;
    return loam_adapter_open(&job->adapter, job->model, arguments[1], NULL, error);
}

static enum loam_status append(struct loam_batch *batch, const json_t *sequence, struct loam_error *error)
{
    size_t count = json_array_size(sequence);
    int32_t *ids = loam_calloc(count, sizeof *ids, error);
    if (ids == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(sequence, i));
    enum loam_status status = loam_batch_append(batch, "batch", ids, NULL, (int32_t)count, error);
    free(ids);
    return status;
}

static enum loam_status read_batch(struct job *job, const char *path, struct loam_error *error)
{
    LOAM_TRY(loam_json_load(&job->input, path, error));
    const json_t *sequences = json_object_get(job->input, "sequences");
    size_t count = json_array_size(sequences);
    size_t tokens = 0;
    for (size_t i = 0; i < count; i++)
        tokens += json_array_size(json_array_get(sequences, i));
    if (tokens > INT32_MAX)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s: %zu tokens are too many", path, tokens);
    LOAM_TRY(loam_batch_init(&job->batch, (int32_t)tokens, (int32_t)count, error));
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(append(&job->batch, json_array_get(sequences, i), error));
    return LOAM_OK;
}

static enum loam_status compute(struct job *job, struct loam_error *error)
{
    struct loam_decoder_limits limits = {.tokens = job->batch.tokens,
                                         .sequences = job->batch.sequences,
                                         .logit_rows = job->batch.tokens,
                                         .adapters = loam_adapter_segments(job->adapter)};
    LOAM_TRY(loam_decoder_create(&job->decoder, job->model, job->device, &limits, error));
    job->logits =
        loam_calloc((size_t)(job->batch.tokens * job->model->config.vocabulary), sizeof(float), error);
    if (job->logits == NULL) return LOAM_ERROR_MEMORY;
    return loam_decoder_logits(job->decoder, &job->batch, job->logits, error);
}

static enum loam_status run(struct job *job, char **arguments, struct loam_error *error)
{
    LOAM_TRY(load_model(job, arguments, error));
    LOAM_TRY(read_batch(job, arguments[2], error));
    LOAM_TRY(compute(job, error));
    struct loam_write_tensor tensor = {.name = "logits",
                                       .dtype = LOAM_F32,
                                       .rank = 2,
                                       .shape = {job->batch.tokens, job->model->config.vocabulary},
                                       .data = job->logits};
    return loam_safetensors_write(arguments[3], &tensor, 1, error);
}

int main(int count, char **arguments)
{
    struct job job = {0};
    struct loam_error error = {0};
    if (count < 5 || count > 7) {
        fprintf(stderr,
                "usage: loam_logits MODEL ADAPTER|- SEQUENCES.json LOGITS.safetensors [DEVICE [DTYPE]]\n");
        return 2;
    }
    enum loam_status status = run(&job, arguments + 1, &error);
    if (status != LOAM_OK) fprintf(stderr, "loam_logits: %s\n", error.message);
    free(job.logits);
    json_decref(job.input);
    loam_batch_deinit(&job.batch);
    loam_decoder_destroy(job.decoder);
    loam_adapter_destroy(job.adapter);
    loam_model_destroy(job.model);
    loam_device_destroy(job.device);
    return status == LOAM_OK ? 0 : 1;
}
