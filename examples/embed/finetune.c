// Trains a LoRA adapter on a few texts in a loop of its own, saves it, and generates with it.
//   cc finetune.c $(pkg-config --cflags --libs loam) -o finetune && ./finetune MODEL NEW_ADAPTER
#include <loam.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { TOKENS = 512, TEXTS = 3, STEPS = 30, NEW = 24 };
static const char *const texts[TEXTS] = {"The cat sat on the mat.", "A dog sat on the rug.", "A bird sang."};
static struct loam_error error;
static struct loam_model_handle *model;
static struct loam_tokenizer_handle *tokenizer;
static struct loam_adapter_handle *adapter;
static struct loam_trainer_handle *trainer;
static void check(enum loam_status status)
{
    if (status != LOAM_OK) fprintf(stderr, "finetune: %s\n", error.message), exit(1);
}
static void train(void)
{
    int32_t ids[TOKENS], offsets[TEXTS + 1] = {0};
    float losses[TOKENS], weights[TOKENS];
    for (int i = 0; i < TEXTS; i++) {
        size_t count, room = TOKENS - (size_t)offsets[i];
        check(loam_text_encode(tokenizer, texts[i], strlen(texts[i]), LOAM_TEXT_EXAMPLE, ids + offsets[i],
                               room, &count, &error));
        offsets[i + 1] = offsets[i] + (int32_t)(count < room ? count : room);
    }
    const int tokens = offsets[TEXTS], learnt = tokens - TEXTS; // the first of a text is not predicted
    for (int t = 0; t < tokens; t++) weights[t] = 1.0f / (float)learnt;
    struct loam_packed_batch batch = {sizeof batch, TEXTS, offsets, ids, weights, NULL};
    struct loam_trainer_config config = LOAM_TRAINER_CONFIG_INIT;
    config.tokens = TOKENS, config.sequences = TEXTS, config.adapters = &adapter, config.adapter_count = 1;
    check(loam_trainer_open(&trainer, model, &config, &error));
    for (int step = 1; step <= STEPS; step++) {
        double norm, loss = 0;
        check(loam_trainer_accumulate(trainer, &batch, losses, &error));
        check(loam_trainer_update(trainer, 1e-2, &norm, &error));
        for (int t = 0; t < tokens; t++) loss += losses[t] / (float)learnt;
        printf("step %d loss %.4f norm %.4f\n", step, loss, norm);
    }
    loam_trainer_close(trainer);
}

static void generate(void)
{
    char text[1024] = "The cat"; // and what follows
    struct loam_generator_settings settings = {sizeof settings, 1, TOKENS, &adapter, 1, tokenizer};
    struct loam_prompt_settings prompt = LOAM_PROMPT_SETTINGS_INIT;
    prompt.text = text, prompt.text_size = strlen(text), prompt.max_new_tokens = NEW, prompt.adapter = adapter;
    struct loam_generator_handle *generator;
    struct loam_generated next = {.finish = LOAM_FINISH_NONE};
    int32_t sequence, ids[NEW];
    size_t stepped, count = 0, size = strlen(text);
    check(loam_generator_open(&generator, model, &settings, &error));
    check(loam_generator_add(generator, &prompt, &sequence, &error));
    while (next.finish == LOAM_FINISH_NONE) {
        check(loam_generator_step(generator, &next, &stepped, &error));
        if (next.id >= 0 && next.finish != LOAM_FINISH_STOP) ids[count++] = next.id;
    }
    check(loam_text_decode(tokenizer, ids, count, true, text + size, sizeof text - size, &size, &error));
    printf("generated: %s\n", text);
    loam_generator_close(generator);
}

int main(int argc, char **argv)
{
    if (argc != 3 || loam_abi_version() != LOAM_ABI_VERSION) return 2;
    struct loam_device_handle *device;
    struct loam_model_settings settings = {sizeof settings, argv[1], NULL, NULL}; // the device's own dtype
    check(loam_device_open(&device, "cpu", 0, &error));
    check(loam_model_open(&model, device, &settings, &error));
    check(loam_tokenizer_open(&tokenizer, argv[1], &error));
    check(loam_adapter_make(&adapter, model, &(struct loam_lora_config)LOAM_LORA_CONFIG_INIT, &error));
    train();
    check(loam_adapter_store(adapter, argv[2], NULL, &error));
    generate();
    loam_adapter_close(adapter), loam_tokenizer_close(tokenizer), loam_model_close(model), loam_device_close(device);
    return 0;
}
