// The generator's handle; shared with the plan, which measures it.
#ifndef LOAM_API_GENERATOR_H
#define LOAM_API_GENERATOR_H

#include "api/handles.h"
#include "generate/generator.h"
#include "session/prompt.h"

struct loam_generator_handle {
    struct loam_model_handle *model;         // held
    struct loam_held_adapters adapters;      // those that prompts may name
    struct loam_tokenizer_handle *tokenizer; // held; NULL: none
    struct loam_generator *generator;
    struct loam_session_prompt **prompts; // [sequences] encoded texts; NULL where the prompt is ids
    int32_t sequences;
};

#endif
