#include "options/nearest.h"

#include <string.h>

enum { LONGEST = 64 }; // bytes; longer names are not compared

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Number of edits that turn `a` into `b`: insert, delete, replace, or swap two neighbours (restricted
// Damerau-Levenshtein distance).
static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][LONGEST + 1]; // three rows of the table over prefixes: the current one and the two before
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_size; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = smaller(last[j - 1] + (a[i - 1] != b[j - 1]), smaller(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_size];
}

void loam_nearest_init(struct loam_nearest *nearest, const char *name)
{
    size_t size = strlen(name);
    // A name with more than a third of its letters changed is another name.
    *nearest = (struct loam_nearest){.name = name, .distance = size <= 3 ? 2 : size / 3 + 2};
}

void loam_nearest_offer(struct loam_nearest *nearest, const char *candidate)
{
    if (candidate == NULL) return;
    size_t size = strlen(nearest->name), candidate_size = strlen(candidate);
    if (size > LONGEST || candidate_size > LONGEST) return;
    size_t distance = edit_distance(nearest->name, size, candidate, candidate_size);
    if (distance >= nearest->distance) return;
    nearest->distance = distance;
    nearest->best = candidate;
}
