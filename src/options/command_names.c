// The names of the commands and the sentence that --help prints for each.
#include <string.h>

#include "base/status.h"
#include "options/nearest.h"

static const struct {
    const char *name;
    const char *help;
} commands[LOAM_COMMAND_COUNT] = {
    [LOAM_COMMAND_TRAIN] = {"train", "train a LoRA adapter that PEFT loads, or the whole model"},
    [LOAM_COMMAND_PLAN] = {"plan", "tell the memory that training takes, and what makes it fit"},
    [LOAM_COMMAND_GENERATE] = {"generate", "continue a prompt with a model, with or without an adapter"},
    [LOAM_COMMAND_CHAT] = {"chat", "hold a conversation with a model, with or without an adapter"},
    [LOAM_COMMAND_EVAL] = {"eval", "measure loss and perplexity on examples, and SQuAD scores"},
    [LOAM_COMMAND_MERGE] = {"merge", "add an adapter into its model and write the model"},
    [LOAM_COMMAND_EXPORT] = {"export", "write an adapter as a GGUF LoRA for llama.cpp"},
    [LOAM_COMMAND_INSPECT] = {"inspect", "show modules, dtypes and parameters of a model or an adapter"},
    [LOAM_COMMAND_INIT] = {"init", "write a randomly initialised model from a config.json"},
    [LOAM_COMMAND_PUSH] = {"push", "put an adapter or a model into a repository of the hub"},
    [LOAM_COMMAND_PULL] = {"pull", "bring a model or an adapter from the hub into the cache"},
    [LOAM_COMMAND_TOKENIZE] = {"tokenize", "turn text from standard input into token ids, or back"},
    [LOAM_COMMAND_CONVERT] = {"convert", "turn an adapter into PEFT's form or mlx-lm's, from these or GGUF"},
    [LOAM_COMMAND_COMBINE] = {"combine", "make one adapter of several, as a weighted sum"},
    [LOAM_COMMAND_DATA] = {"data", "show examples as they will be learnt, and what is wrong with them"},
    [LOAM_COMMAND_DEVICES] = {"devices", "list what can compute, and why a device cannot be used"},
    [LOAM_COMMAND_BENCH] = {"bench", "measure training steps beside what the machine can do"},
};

static bool is_command(enum loam_command command)
{
    return (unsigned)command < LOAM_COMMAND_COUNT;
}

const char *loam_command_name(enum loam_command command)
{
    return is_command(command) ? commands[command].name : NULL;
}

const char *loam_command_help(enum loam_command command)
{
    return is_command(command) ? commands[command].help : NULL;
}

enum loam_status loam_command_find(enum loam_command *command, const char *name, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(command, "the place for a command", error));
    LOAM_TRY(loam_require(name, "the command's name", error));
    struct loam_nearest nearest;
    loam_nearest_init(&nearest, name);
    for (int i = 0; i < LOAM_COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            *command = (enum loam_command)i;
            return LOAM_OK;
        }
        loam_nearest_offer(&nearest, commands[i].name);
    }
    if (nearest.best != NULL)
        return loam_fail(error, LOAM_ERROR_USAGE, "there is no command \"%s\"; did you mean \"%s\"?", name,
                         nearest.best);
    return loam_fail(error, LOAM_ERROR_USAGE, "there is no command \"%s\"; loam --help lists them", name);
}
