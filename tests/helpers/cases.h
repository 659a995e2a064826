// The tokenizers of tests/data/tokenizers: cases.json has them without their models, which models.json has.
#ifndef TEST_CASES_H
#define TEST_CASES_H

#include <jansson.h>

// The file of that name, parsed. Released with json_decref.
json_t *test_tokenizer_data(const char *name);

// Writes the tokenizer.json of an entry of cases.json: its parts around its model.
void test_write_tokenizer(const char *path, const json_t *entry, const json_t *models);

#endif
