// Templates for models without one. Each refuses what its form has no place for.
#include <string.h>

#include "chat/source.h"

// Refuses tools, and turns other than of user and assistant behind an optional system message.
#define PLAIN_TURNS                                                                                          \
    "{%- if tools %}{{ raise_exception('This template has no place for tools.') }}{% endif %}"               \
    "{%- set system = messages[0].content if messages and messages[0].role == 'system' else none %}"         \
    "{%- set turns = messages if system is none else messages[1:] %}"                                        \
    "{%- for message in turns %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) or message.role "   \
    "not in "                                                                                                \
    "['user', 'assistant'] %}{{ raise_exception('Conversation roles must alternate "                         \
    "user/assistant/user/assistant') }}"                                                                     \
    "{% endif %}{% if message.tool_calls %}{{ raise_exception('This template has no place for tool "         \
    "calls.') }}"                                                                                            \
    "{% endif %}{% endfor %}"

// For forms that name any role.
#define ANY_ROLE                                                                                             \
    "{%- if tools %}{{ raise_exception('This template has no place for tools.') }}{% endif %}"               \
    "{%- for message in messages %}{% if message.tool_calls %}"                                              \
    "{{ raise_exception('This template has no place for tool calls.') }}{% endif %}{% endfor %}"

static const struct loam_chat_builtin builtins[] = {
    {"chatml",
     ANY_ROLE "{%- for message in messages %}{{ '<|im_start|>' ~ message.role ~ '\\n' }}"
              "{%- if message.role == 'assistant' %}{% generation %}{{ message.content ~ '<|im_end|>' }}{% "
              "endgeneration %}"
              "{%- else %}{{ message.content ~ '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
              "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
     "<|im_end|>"},
    {"llama3",
     ANY_ROLE
     "{{ bos_token }}{%- for message in messages %}"
     "{{ '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' }}"
     "{%- if message.role == 'assistant' %}{% generation %}{{ message.content | trim ~ '<|eot_id|>' }}"
     "{% endgeneration %}{% else %}{{ message.content | trim ~ '<|eot_id|>' }}{% endif %}{% endfor %}"
     "{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
     "<|eot_id|>"},
    {"gemma",
     PLAIN_TURNS
     "{{ bos_token }}{%- for message in turns %}{% if message.role == 'user' %}"
     "{{ '<start_of_turn>user\\n' ~ (system ~ '\\n\\n' if loop.first and system is not none else '') ~ "
     "message.content | trim ~ '<end_of_turn>\\n' }}{% else %}{{ '<start_of_turn>model\\n' }}{% generation %}"
     "{{ message.content | trim ~ '<end_of_turn>' }}{% endgeneration %}{{ '\\n' }}{% endif %}{% endfor %}"
     "{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
     "<end_of_turn>"},
    {"mistral",
     PLAIN_TURNS
     "{{ bos_token }}{%- for message in turns %}{% if message.role == 'user' %}"
     "{{ ' [INST] ' ~ (system ~ '\\n\\n' if loop.first and system is not none else '') ~ message.content ~ "
     "' [/INST]' }}{% else %}{% generation %}{{ ' ' ~ message.content ~ eos_token }}{% endgeneration %}"
     "{% endif %}{% endfor %}",
     NULL},
    {"phi",
     ANY_ROLE
     "{%- for message in messages %}{{ '<|' ~ message.role ~ '|>\\n' }}{% if message.role == 'assistant' %}"
     "{% generation %}{{ message.content ~ '<|end|>' }}{% endgeneration %}{% else %}"
     "{{ message.content ~ '<|end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
     "{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
     "<|end|>"},
    {"zephyr",
     ANY_ROLE
     "{%- for message in messages %}{{ '<|' ~ message.role ~ '|>\\n' }}{% if message.role == 'assistant' %}"
     "{% generation %}{{ message.content ~ eos_token }}{% endgeneration %}{% else %}"
     "{{ message.content ~ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
     "{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
     NULL},
    {"alpaca",
     PLAIN_TURNS
     "{{ bos_token }}{{ system if system is not none else 'Below is an instruction that describes a task. "
     "Write a response that appropriately completes the request.' }}{%- for message in turns %}"
     "{% if message.role == 'user' %}{{ '\\n\\n### Instruction:\\n' ~ message.content }}{% else %}"
     "{{ '\\n\\n### Response:\\n' }}{% generation %}{{ message.content ~ eos_token }}{% endgeneration %}"
     "{% endif %}{% endfor %}{%- if add_generation_prompt %}{{ '\\n\\n### Response:\\n' }}{% endif %}",
     NULL},
    {"vicuna",
     PLAIN_TURNS
     "{{ bos_token }}{{ system if system is not none else 'A chat between a curious user and an artificial "
     "intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user\\'s "
     "questions.' }}{%- for message in turns %}{% if message.role == 'user' %}"
     "{{ ' USER: ' ~ message.content }}{% else %}{{ ' ASSISTANT:' }}{% generation %}"
     "{{ ' ' ~ message.content ~ eos_token }}{% endgeneration %}{% endif %}{% endfor %}"
     "{%- if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}",
     NULL},
};

const struct loam_chat_builtin *loam_chat_builtin_at(size_t index)
{
    return index < sizeof builtins / sizeof builtins[0] ? &builtins[index] : NULL;
}

const struct loam_chat_builtin *loam_chat_builtin_find(const char *name)
{
    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++)
        if (strcmp(builtins[i].name, name) == 0) return &builtins[i];
    return NULL;
}
