#include "evaluate/words.h"

#include <string.h>

#include "base/heap.h"

int loam_word_compare(const struct loam_word *a, const struct loam_word *b)
{
    if (a->size != b->size) return a->size < b->size ? -1 : 1;
    return memcmp(a->text, b->text, a->size);
}

struct loam_word *loam_words_split(const struct loam_bytes *text, size_t *count, struct loam_error *error)
{
    size_t spaces = 0;
    for (size_t i = 0; i < text->size; i++)
        spaces += text->data[i] == ' ';
    *count = text->size > 0 ? spaces + 1 : 0;
    struct loam_word *words = loam_calloc(*count, sizeof *words, error);
    if (words == NULL) return NULL;
    const char *at = text->data;
    for (size_t i = 0; i < *count; i++) {
        const char *end =
            i < spaces ? memchr(at, ' ', (size_t)(text->data + text->size - at)) : text->data + text->size;
        words[i] = (struct loam_word){at, (size_t)(end - at)};
        at = end + 1;
    }
    return words;
}
