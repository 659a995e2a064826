// Sets of commands, for the tables of options.
#ifndef LOAM_OPTIONS_OPTION_COMMANDS_H
#define LOAM_OPTIONS_OPTION_COMMANDS_H

#include <loam.h>

#define TRAIN_ALONE (1u << LOAM_COMMAND_TRAIN)
#define PLAN (1u << LOAM_COMMAND_PLAN)
#define TRAIN (TRAIN_ALONE | PLAN) // plan accepts the options of train
#define GENERATE (1u << LOAM_COMMAND_GENERATE)
#define EVAL (1u << LOAM_COMMAND_EVAL)
#define MERGE (1u << LOAM_COMMAND_MERGE)
#define EXPORT (1u << LOAM_COMMAND_EXPORT)
#define INSPECT (1u << LOAM_COMMAND_INSPECT)
#define INIT (1u << LOAM_COMMAND_INIT)
#define TOKENIZE (1u << LOAM_COMMAND_TOKENIZE)
#define PULL (1u << LOAM_COMMAND_PULL)
#define PUSH (1u << LOAM_COMMAND_PUSH)
#define BENCH (1u << LOAM_COMMAND_BENCH)
#define COMBINE (1u << LOAM_COMMAND_COMBINE)
#define CONVERT (1u << LOAM_COMMAND_CONVERT)
#define CHAT (1u << LOAM_COMMAND_CHAT)
#define DATA (1u << LOAM_COMMAND_DATA)
#define ALL ((1u << LOAM_COMMAND_COUNT) - 1)
#define WITH_FILE (TRAIN | GENERATE | CHAT | EVAL | MERGE | EXPORT | BENCH) // --config

#endif
