// Prints the mean loss of each text, in nats for each token, with an adapter or without.
//   cc score.c $(pkg-config --cflags --libs loam) -o score
//   ./score MODEL_DIRECTORY ADAPTER_DIRECTORY|- TEXT...
#include <loam.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 2048 };
static struct loam_error error;

static void check(enum loam_status status)
{
    if (status == LOAM_OK) return;
    fprintf(stderr, "score: %s\n", error.message);
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc < 4 || loam_abi_version() != LOAM_ABI_VERSION) return 2;
    struct loam_device_handle *device;
    struct loam_model_handle *model;
    struct loam_tokenizer_handle *tokenizer;
    struct loam_adapter_handle *adapter = NULL;
    struct loam_evaluator_handle *evaluator;
    struct loam_model_settings settings = LOAM_MODEL_SETTINGS_INIT;
    struct loam_evaluator_settings limits = LOAM_EVALUATOR_SETTINGS_INIT;
    settings.directory = argv[1];
    settings.dtype = "f32";
    check(loam_device_open(&device, "cpu", 0, &error));
    check(loam_model_open(&model, device, &settings, &error));
    check(loam_tokenizer_open(&tokenizer, argv[1], &error));
    if (strcmp(argv[2], "-") != 0) check(loam_adapter_load(&adapter, model, argv[2], NULL, &error));
    limits.tokens = TOKENS;
    limits.sequences = 1;
    limits.adapters = &adapter;
    limits.adapter_count = adapter != NULL;
    check(loam_evaluator_open(&evaluator, model, &limits, &error));
    for (int i = 3; i < argc; i++) {
        static int32_t ids[TOKENS];
        static float losses[TOKENS];
        size_t count;
        double sum = 0;
        check(loam_text_encode(tokenizer, argv[i], strlen(argv[i]), LOAM_TEXT_WHOLE, ids, TOKENS, &count,
                               &error));
        if (count < 2 || count > TOKENS) {
            fprintf(stderr, "score: a text of %zu tokens: expected 2 to %d\n", count, TOKENS);
            return 1;
        }
        const int32_t offsets[] = {0, (int32_t)count};
        struct loam_packed_batch batch = LOAM_PACKED_BATCH_INIT;
        batch.sequences = 1;
        batch.offsets = offsets;
        batch.ids = ids;
        check(loam_evaluator_run(evaluator, &batch, losses, &error));
        for (size_t t = 0; t < count; t++)
            sum += losses[t];
        printf("%.4f  %s\n", sum / (double)(count - 1), argv[i]);
    }
    loam_evaluator_close(evaluator);
    loam_adapter_close(adapter);
    loam_tokenizer_close(tokenizer);
    loam_model_close(model);
    loam_device_close(device);
    return 0;
}
