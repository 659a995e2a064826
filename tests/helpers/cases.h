// The tokenizers of tests/data/tokenizers. cases.json has them without models; models.json has the models.
#ifndef TEST_CASES_H
#define TEST_CASES_H

#include <jansson.h>

// Parses the file of that name. Release it with json_decref.
json_t *test_tokenizer_data(const char *name);

// Writes the tokenizer.json of an entry of cases.json: its parts around its model.
void test_write_tokenizer(const char *path, const json_t *entry, const json_t *models);

#endif
