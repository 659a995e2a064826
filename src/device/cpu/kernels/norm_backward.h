// One row of a norm's backward, in two versions, so that a norm without an offset does not pay for it. The file
// that includes this defines before:
//   ROW_VERSION(name)            the name of a function of this version
//   ROW_WEIGHT(norm, i, n, bf16) elements [i, i + LANES) of w + offset

// sum_h(g) and sum_h(g xh) of one row, with g = dy (w + offset)
static struct row_sums ROW_VERSION(gradient_sums)(const struct norm_backward *norm, int64_t t, float mean)
{
    const int64_t n = norm->x->shape[1];
    const bool bf16 = norm->x->dtype == LOAM_BF16;
    const void *dy = cpu_row(norm->dy, t), *x = cpu_row(norm->x, t);
    vec sum = splat(0), product = splat(0);
    for (int64_t i = 0; i < n; i += LANES) {
        const vec g = load(dy, i, n, bf16) * ROW_WEIGHT(norm, i, n, bf16); // 0 past the end, as dy
        sum += g;
        product += g * (load(x, i, n, bf16) - mean);
    }
    return (struct row_sums){sum_lanes(sum), sum_lanes(product) * norm->rstd[t]};
}

// dx = rstd (g - mean_h(g) - xh mean_h(g xh))
static void ROW_VERSION(backward)(const struct norm_backward *norm, int64_t t)
{
    const int64_t n = norm->x->shape[1];
    const bool bf16 = norm->x->dtype == LOAM_BF16;
    const void *dy = cpu_row(norm->dy, t), *x = cpu_row(norm->x, t);
    void *dx = cpu_row(norm->dx, t);
    const float mean = norm->mean != NULL ? norm->mean[t] : 0, rstd = norm->rstd[t];
    const struct row_sums sums = ROW_VERSION(gradient_sums)(norm, t, mean);
    const float g_mean = norm->mean != NULL ? sums.first / (float)n : 0,
                product_mean = sums.second / (float)n;
    for (int64_t i = 0; i < n; i += LANES) {
        const vec g = load(dy, i, n, bf16) * ROW_WEIGHT(norm, i, n, bf16);
        const vec xh = (load(x, i, n, bf16) - mean) * rstd;
        vec value = (g - g_mean - xh * product_mean) * rstd;
        if (norm->accumulate) value += load(dx, i, n, bf16);
        store(dx, i, n, value, bf16);
    }
}
