// The largest logits of a row. First the k largest of each part of the row, then those of all parts. Entries are
// compared by keys: whole numbers in the order of the logits, 0 for what is no candidate. The key of the k-th largest is
// found bit by bit, by counting.
#include "device/gpu/kernels/dialect.h"
#include "device/gpu/kernels/params.h"
#include "device/gpu/kernels/sums.h"

enum { NO_FAULT = 0x7fffffff };

// Entries of which the largest are searched, in the order of their ids.
struct entries {
    GLOBAL const f32 *values;
    GLOBAL const i32 *ids; // -1: no candidate; 0: they are `first` and on
    GLOBAL const i32 *allowed;
    i64 limit;
    i64 first;
    i32 count;
};

DEVICE i32 id_of(const struct entries e, i32 i)
{
    return e.ids != 0 ? e.ids[i] : (i32)(e.first + i);
}

DEVICE i32 is_finite(f32 value)
{
    return (float_bits(value) & 0x7f800000u) != 0x7f800000u;
}

// Larger for a larger value; the zeros are equal.
DEVICE u32 key_of_value(f32 value)
{
    const u32 bits = value == 0.0f ? 0 : float_bits(value);
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

DEVICE u32 key_of(const struct entries e, i32 i)
{
    const i32 id = id_of(e, i);
    if (id < 0 || id >= e.limit || !is_finite(e.values[i])) return 0;
    if (e.allowed != 0 && ((u32)e.allowed[id / 32] >> (id % 32) & 1u) == 0) return 0;
    return key_of_value(e.values[i]);
}

// The sum over the threads before this one.
DEVICE i32 block_before(i32 value, LOCAL i32 *shared)
{
    shared[THREAD] = value;
    BARRIER();
    i32 before = 0;
    for (i32 i = THREAD / SQUARE * SQUARE; i < THREAD; i++)
        before += shared[i];
    BARRIER();
    if (THREAD % SQUARE == SQUARE - 1) shared[THREAD / SQUARE] = before + value;
    BARRIER();
    for (i32 i = 0; i < THREAD / SQUARE; i++)
        before += shared[i];
    BARRIER();
    return before;
}

DEVICE f32 largest_value(const struct entries e, LOCAL char *shared)
{
    f32 largest = -INFINITE;
    for (i32 i = THREAD; i < e.count; i += BLOCK_THREADS)
        if (key_of(e, i) != 0) largest = fmaxf(largest, e.values[i]);
    return block_max(largest, shared);
}

// The largest key that k entries or more reach; 0 where there are fewer candidates.
DEVICE u32 find_threshold(const struct entries e, i32 k, f32 largest, LOCAL char *shared)
{
    if (k == 1) return is_finite(largest) ? key_of_value(largest) : 0;
    u32 threshold = 0;
    for (i32 bit = 31; bit >= 0; bit--) {
        const u32 tried = threshold | 1u << bit;
        i32 count = 0;
        for (i32 i = THREAD; i < e.count; i += BLOCK_THREADS)
            count += key_of(e, i) >= tried;
        if (block_count(count, shared) >= k) threshold = tried;
    }
    return threshold;
}

// What a thread takes of its entries [first, end): those above the threshold, and `equal` of those that have it.
struct taken {
    u32 threshold;
    i32 first, end;
    i32 equal;
    i32 place; // of the first that it takes, among those of the block
    i32 total; // of the block
};

// The k largest entries, or all candidates where there are fewer; of equal entries the first ones.
DEVICE struct taken find_largest(const struct entries e, i32 k, f32 largest, LOCAL char *shared)
{
    LOCAL i32 *const counts = (LOCAL i32 *)shared;
    struct taken t;
    t.threshold = find_threshold(e, k, largest, shared);
    const i32 each = (e.count + BLOCK_THREADS - 1) / BLOCK_THREADS;
    t.first = THREAD * each;
    t.end = t.first + each < e.count ? t.first + each : e.count;
    i32 above = 0, equal = 0;
    for (i32 i = t.first; i < t.end; i++) {
        const u32 key = key_of(e, i);
        above += key > t.threshold;
        equal += key == t.threshold && key != 0;
    }
    const i32 wanted = k - block_count(above, counts) - block_before(equal, counts);
    t.equal = wanted < 0 ? 0 : (wanted < equal ? wanted : equal);
    t.place = block_before(above + t.equal, counts);
    t.total = block_count(above + t.equal, counts);
    return t;
}

// Whether the thread takes entry i; asked once for each, in order.
DEVICE i32 takes(const struct entries e, struct taken *t, i32 i)
{
    const u32 key = key_of(e, i);
    return key > t->threshold || (key == t->threshold && key != 0 && t->equal-- > 0);
}

KERNEL(top_logits_parts)
(BUFFER(x), BUFFER(allowed), BUFFER(factors), BUFFER(values), BUFFER(ids), BUFFER(states),
 PARAMS(top_logits_parts))
{
    READ(f32, x);
    READ(i32, allowed);
    READ(f32, factors);
    WRITE(f32, values);
    WRITE(i32, ids);
    WRITE(u32, states);
    SHARED(char, shared, 0);
    const i64 row = BLOCK_X / p.parts, first = (i64)(BLOCK_X % p.parts) * p.columns,
              left = p.vocabulary - first;
    const i64 at = (i64)BLOCK_X * p.k;
    struct entries e;
    e.values = x + row * p.vocabulary + first;
    e.ids = 0;
    e.allowed = allowed != 0 ? allowed + row * ((p.vocabulary + 31) / 32) : 0;
    e.limit = p.limit;
    e.first = first;
    e.count = (i32)(left < p.columns ? left : p.columns);
    i32 fault = NO_FAULT;
    for (i32 i = e.count - 1 - THREAD; i >= 0; i -= BLOCK_THREADS)
        if (!is_finite(e.values[i])) fault = (i32)first + i;
    fault = block_least(fault, shared);
    const f32 largest = largest_value(e, shared);
    f32 sum = 0.0f;
    for (i32 i = THREAD; i < e.count && factors != 0; i += BLOCK_THREADS)
        if (key_of(e, i) != 0) sum += expf(factors[row] * (e.values[i] - largest));
    sum = block_sum(sum, shared);
    struct taken t = find_largest(e, p.k, largest, shared);
    for (i32 i = t.first; i < t.end; i++)
        if (takes(e, &t, i)) {
            values[at + t.place] = e.values[i];
            ids[at + t.place++] = (i32)first + i;
        }
    for (i32 j = t.total + THREAD; j < p.k; j += BLOCK_THREADS)
        ids[at + j] = -1;
    if (THREAD != 0) return;
    states[(i64)BLOCK_X * TOP_LOGITS_STATE] = float_bits(largest);
    states[(i64)BLOCK_X * TOP_LOGITS_STATE + 1] = float_bits(sum);
    states[(i64)BLOCK_X * TOP_LOGITS_STATE + 2] = (u32)fault;
}

// The sum of exp(factor (x - largest)) from the states of a row's parts.
DEVICE f32 join_sums(GLOBAL const u32 *states, i32 parts, f32 factor, f32 largest)
{
    f32 total = 0.0f;
    for (i32 i = 0; i < parts; i++) {
        const f32 own = bits_float(states[i * TOP_LOGITS_STATE + 1]);
        if (own > 0.0f) total += own * expf(factor * (bits_float(states[i * TOP_LOGITS_STATE]) - largest));
    }
    return total;
}

DEVICE i32 join_faults(GLOBAL const u32 *states, i32 parts)
{
    i32 least = NO_FAULT;
    for (i32 i = 0; i < parts; i++)
        if ((i32)states[i * TOP_LOGITS_STATE + 2] < least) least = (i32)states[i * TOP_LOGITS_STATE + 2];
    return least == NO_FAULT ? -1 : least;
}

// The candidates that were taken, in falling order: each thread finds the places of its own by counting.
DEVICE void write_in_order(LOCAL const f32 *kept, LOCAL const i32 *kept_ids, i32 total, i32 k,
                           GLOBAL f32 *values, GLOBAL i32 *ids)
{
    for (i32 i = THREAD; i < k; i += BLOCK_THREADS) {
        i32 place = 0;
        for (i32 j = 0; j < total && i < total; j++)
            place += kept[j] > kept[i] || (j < i && kept[j] == kept[i]);
        if (i >= total) place = i;
        values[place] = i < total ? kept[i] : -INFINITE;
        ids[place] = i < total ? kept_ids[i] : -1;
    }
}

KERNEL(top_logits_rows)
(BUFFER(x), BUFFER(factors), BUFFER(asked), BUFFER(part_values), BUFFER(part_ids), BUFFER(states),
 BUFFER(values), BUFFER(ids), BUFFER(sums), BUFFER(faults), BUFFER(answers), PARAMS(top_logits_rows))
{
    READ(f32, x);
    READ(f32, factors);
    READ(i32, asked);
    READ(f32, part_values);
    READ(i32, part_ids);
    READ(u32, states);
    WRITE(f32, values);
    WRITE(i32, ids);
    WRITE(f32, sums);
    WRITE(i32, faults);
    WRITE(f32, answers);
    SHARED(char, shared, 0);
    SHARED(f32, kept, BLOCK_THREADS * 4);
    SHARED(i32, kept_ids, BLOCK_THREADS * 4 + p.k * 4);
    const i64 row = BLOCK_X, at = row * p.parts * p.k;
    struct entries e;
    e.values = part_values + at;
    e.ids = part_ids + at;
    e.allowed = 0;
    e.limit = p.limit;
    e.first = 0;
    e.count = p.parts * p.k;
    const f32 largest = largest_value(e, shared);
    struct taken t = find_largest(e, p.k, largest, shared);
    for (i32 i = t.first; i < t.end; i++)
        if (takes(e, &t, i)) {
            kept[t.place] = e.values[i];
            kept_ids[t.place++] = e.ids[i];
        }
    BARRIER();
    write_in_order(kept, kept_ids, t.total, p.k, values + row * p.k, ids + row * p.k);
    for (i32 i = THREAD; i < p.asked; i += BLOCK_THREADS) {
        const i32 id = asked[row * p.asked + i];
        answers[row * p.asked + i] = id >= 0 ? x[row * p.vocabulary + id] : 0.0f;
    }
    GLOBAL const u32 *const own = states + row * p.parts * TOP_LOGITS_STATE;
    if (THREAD == 0) faults[row] = join_faults(own, p.parts);
    if (THREAD == 0 && sums != 0) sums[row] = join_sums(own, p.parts, factors[row], largest);
}
