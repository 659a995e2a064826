#include "options/option_needs.h"

#include "options/option_commands.h"

// clang-format off
#define GIVEN(name) {LOAM_TERM_GIVEN, name, NULL}
#define ABSENT(name) {LOAM_TERM_ABSENT, name, NULL}
#define IS(name, value) {LOAM_TERM_IS, name, value}
#define IS_NOT(name, value) {LOAM_TERM_IS_NOT, name, value}
#define FRESH_LORA "lora-r", "lora-alpha", "lora-dropout", "target-modules", "exclude-modules", \
    "layers-to-transform", "layers-pattern", "rank-pattern", "alpha-pattern", "use-rslora", "use-dora", \
    "init-lora-weights", "modules-to-save", "bias", "ensure-weight-tying", "lora-bias", \
    "trainable-token-indices"
// clang-format on

// A need is `refused` where ignoring the option would give another result than the user expects. Otherwise
// the option gets a warning, as transformers warns about top_p without do_sample.
const struct loam_option_need loam_option_needs[] = {
    // ---- LoRA ----
    {TRAIN | BENCH,
     {"adapter"},
     {IS("method", "lora")},
     .refused = true,
     .why = "has no effect with --method full: an adapter is trained with --method lora only"},
    {TRAIN | BENCH,
     {FRESH_LORA},
     {IS("method", "lora")},
     .why = "has no effect with --method full, which trains every parameter without LoRA"},
    {TRAIN,
     {"loraplus-lr-embedding"},
     {IS_NOT("loraplus-lr-ratio", "1")},
     .why = "has no effect without --loraplus-lr-ratio"},
    {TRAIN,
     {"loraplus-lr-ratio"},
     {IS("method", "lora")},
     .why = "has no effect with --method full, which trains every parameter without LoRA"},
    {TRAIN | BENCH,
     {FRESH_LORA},
     {ABSENT("adapter")},
     .refused = true,
     .why = "has no effect with --adapter, which has its own: leave it out, or start a new adapter without "
            "--adapter"},
    {INSPECT,
     {"lora-alpha", "lora-dropout", "alpha-pattern", "use-rslora", "init-lora-weights"},
     {{0}},
     .why = "has no effect: the modules and parameters that inspect shows do not depend on it"},

    {INSPECT,
     {"path"},
     {ABSENT("families")},
     .refused = true,
     .why = "has no effect with --families, which shows no model or adapter: leave one of them out"},
    {INSPECT,
     {"lora-r", "target-modules", "exclude-modules", "layers-to-transform", "rank-pattern", "use-dora",
      "lora-bias", "trainable-token-indices", "modules-to-save", "bias", "ensure-weight-tying"},
     {ABSENT("families")},
     .refused = true,
     .why = "has no effect with --families, which shows no model"},
    {TRAIN | INSPECT | BENCH,
     {"layers-pattern"},
     {GIVEN("layers-to-transform")},
     .refused = true,
     .why = "has no effect without --layers-to-transform, the layers to adapt"},

    {TRAIN | EVAL | DATA,
     {"cut"},
     {GIVEN("template")},
     .refused = true,
     .why = "has no effect without --template, which has the fields"},
    {TRAIN | EVAL | DATA,
     {"cut"},
     {IS_NOT("too-long", "drop")},
     .refused = true,
     .why = "has no effect with --too-long drop: no example is cut"},

    // ---- Text ----
    {TOKENIZE,
     {"add-generation-prompt"},
     {GIVEN("messages")},
     .refused = true,
     .why = "has no effect without --messages, the conversation to encode"},
    {GENERATE | TOKENIZE,
     {"chat-template", "special-in-content"},
     {GIVEN("messages")},
     .refused = true,
     .why = "has no effect without --messages, the conversation"},
    {TOKENIZE,
     {"decode", "special-tokens"},
     {ABSENT("messages")},
     .refused = true,
     .why = "has no effect with --messages: the chat template writes the special tokens"},

    // ---- Training ----
    {TRAIN,
     {"warmup-steps", "warmup-ratio"},
     {IS_NOT("lr-scheduler-type", "constant")},
     .idle = "0",
     .why = "has no effect with --lr-scheduler-type constant; constant_with_warmup has a warm-up"},
    {TRAIN,
     {"warmup-ratio"},
     {IS("warmup-steps", "0")},
     .idle = "0",
     .why = "has no effect with --warmup-steps, which overrides it"},
    {TRAIN,
     {"num-train-epochs"},
     {ABSENT("max-steps"), IS("max-steps", "0"), IS("max-steps", "-1")},
     .why = "has no effect with --max-steps, which overrides it"},

    // ---- Evaluations ----
    {TRAIN,
     {"eval-steps"},
     {GIVEN("eval-data")},
     .refused = true,
     .why = "has no effect without --eval-data, the examples to measure on"},
    {TRAIN,
     {"early-stopping-patience", "load-best-at-end", "metric-for-best-model"},
     {GIVEN("eval-data")},
     .idle = "eval_loss",
     .refused = true,
     .why = "depends on evaluations: it needs --eval-data"},
    {TRAIN,
     {"early-stopping-patience"},
     {GIVEN("eval-steps")},
     .refused = true,
     .why = "has no effect without --eval-steps: the only evaluation is at the end"},
    {TRAIN,
     {"load-best-at-end"},
     {GIVEN("eval-steps")},
     .why = "has no effect without --eval-steps: the only evaluation is at the end"},
    {TRAIN,
     {"max-new-tokens"},
     {IS("metric-for-best-model", "exact_match"), IS("metric-for-best-model", "f1"),
      IS("metric-for-best-model", "rouge_l")},
     .why =
         "has no effect without --metric-for-best-model exact_match, f1 or rouge_l: no answer is generated"},
    {EVAL,
     {"max-new-tokens"},
     {GIVEN("generate")},
     .why = "has no effect without --generate: no answer is generated"},

    // ---- Checkpoints ----
    {TRAIN,
     {"save-total-limit"},
     {GIVEN("save-steps"), GIVEN("load-best-at-end"), GIVEN("resume")},
     .why = "has no effect without --save-steps: no checkpoint is saved, unless the run is stopped"},
    {TRAIN,
     {"allow-change"},
     {GIVEN("resume")},
     .why = "has no effect without --resume: the run starts from the beginning"},

    // ---- Reports ----
    {TRAIN,
     {"report-to"},
     {ABSENT("logging-dir")},
     .idle = "tensorboard",
     .why = "none has no effect with --logging-dir, which turns the event files on"},
    {TRAIN,
     {"hub-private-repo"},
     {GIVEN("push-to-hub")},
     .why = "has no effect without --push-to-hub: nothing is pushed"},

    // ---- Prompts ----
    {GENERATE,
     {"field"},
     {GIVEN("template")},
     .refused = true,
     .why = "has no effect without --template, which has the fields"},
    {GENERATE,
     {"tools"},
     {GIVEN("messages")},
     .refused = true,
     .why = "has no effect without --messages, the conversation that may call them"},
    {GENERATE | CHAT,
     {"top-k", "top-p", "min-p", "seed"},
     {IS_NOT("temperature", "0")},
     .why = "has no effect without --temperature: the most likely token is taken"},

    // ---- Merge ----
    {MERGE,
     {"prompt", "device", "threads"},
     {GIVEN("check")},
     .why = "has no effect with --no-check: nothing is computed"},

    {COMBINE,
     {"svd-rank"},
     {IS("combination-type", "svd")},
     .refused = true,
     .why = "has an effect only with --combination-type svd: the rank of linear is that of the adapters, and "
            "the rank "
            "of cat their sum"},

    {DATA, {"overwrite"}, {GIVEN("html")}, .why = "has no effect without --html: no file is written"},

    // ---- Device ----
    {TRAIN | GENERATE | CHAT | EVAL | BENCH | MERGE,
     {"threads"},
     {IS_NOT("device", "ref")},
     .idle = "1",
     .why = "has no effect with --device ref, which computes with one thread"},
    {TRAIN | GENERATE | CHAT | EVAL | BENCH,
     {"offload", "device-memory-limit"},
     {IS_NOT("device", "cpu")},
     .idle = "auto",
     .why = "has no effect with --device cpu, which computes in the host's memory"},

    // ---- Bench ----
    {BENCH,
     {"map", "template", "too-long", "skip-bad", "shuffle"},
     {GIVEN("data")},
     .why = "has no effect without --data: examples are made up in the order of --lengths"},
    {BENCH,
     {"data", "lengths", "loss-on", "max-length", "token-budget", "gradient-checkpointing",
      "gradient-accumulation-steps", "per-device-train-batch-size"},
     {IS_NOT("what", "generate")},
     .why = "has no effect in bench generate, whose prompt is --prompt-tokens long"},
    {BENCH,
     {"adapter", "method", FRESH_LORA},
     {IS_NOT("what", "generate")},
     .why = "has no effect in bench generate, which measures the model alone"},
    {BENCH,
     {"learning-rate", "weight-decay", "adam-beta1", "adam-beta2", "adam-epsilon", "max-grad-norm"},
     {IS("what", "step")},
     .why = "has an effect only in bench step"},
    {BENCH,
     {"prompt-tokens", "new-tokens"},
     {IS("what", "generate")},
     .why = "has an effect only in bench generate"},
    {BENCH,
     {"warm-up", "ceiling"},
     {IS_NOT("what", "matmul")},
     .why = "has no effect in bench matmul, which measures the matrix library alone"},
};
const size_t loam_option_need_count = sizeof loam_option_needs / sizeof *loam_option_needs;

const struct loam_option_rivals loam_option_rivals[] = {
    {GENERATE, {"prompt", "prompt-file", "template", "messages"}, .required = true},
    {PLAN, {"data", "lengths"}, .required = false},
};
const size_t loam_option_rivals_count = sizeof loam_option_rivals / sizeof *loam_option_rivals;

// Of every other option the last value counts, as with argparse: scripts append options to a command.
const char *const loam_options_refused_twice[] = {
    "adapter",     "chat-template", "config", "lengths",        "messages", "prompt", "prompt-file",
    "push-to-hub", "system",        "tools",  "target-modules", "template", NULL};
