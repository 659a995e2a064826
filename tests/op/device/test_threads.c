// Every op uses the threads of its own device, oneDNN's products included, and leaves the caller's setting of
// OpenMP as it is.
#include <dlfcn.h>
#include <omp.h>

#include "isa.h"
#include "op/device/common_op.h"

enum { CALLERS = 3 };

static int largest_team;

// gcc's entry to a parallel region, in the place of libgomp's own: also for the libraries that are linked.
typedef void start_region(void (*body)(void *), void *data, unsigned threads, unsigned flags);
start_region GOMP_parallel;
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags)
{
    void *const address = dlsym(RTLD_NEXT, "GOMP_parallel");
    start_region *real;
    assert_non_null(address);
    memcpy(&real, &address, sizeof real);
    const int team = threads > 0 ? (int)threads : omp_get_max_threads();
    if (team > largest_team) largest_team = team;
    real(body, data, threads, flags);
}

static void run_cases(const struct loam_device *device, enum loam_dtype dtype)
{
    char text[96];
    int most = 0;
    for (size_t i = 0; i < op_case_count; i++) {
        struct op_run run;
        op_build(&run, &op_cases[i], dtype);
        largest_team = 0;
        op_run_case(device, &run);
        if (largest_team > device->threads)
            fail_msg("%s: %d threads on a device of %d", op_describe(&run, text), largest_team,
                     device->threads);
        if (omp_get_max_threads() != CALLERS)
            fail_msg("%s: the caller had %d threads, and has %d", op_describe(&run, text), (int)CALLERS,
                     omp_get_max_threads());
        if (largest_team > most) most = largest_team;
        op_run_free(&run);
    }
    assert_int_equal(most, device->threads);
}

static void test_devices_in_turns(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *one = NULL, *two = NULL;
#if defined(__clang__)
    skip(); // another OpenMP, with other entries
#endif
    omp_set_num_threads(CALLERS);
    assert_ok(loam_device_create(&one, "cpu", 1, &error));
    assert_ok(loam_device_create(&two, "cpu", 2, &error));
    assert_int_equal(omp_get_max_threads(), CALLERS);
    for (int turn = 0; turn < 2; turn++) {
        run_cases(one, turn == 0 ? LOAM_F32 : LOAM_BF16);
        run_cases(two, turn == 0 ? LOAM_F32 : LOAM_BF16);
    }
    loam_device_destroy(two);
    loam_device_destroy(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_devices_in_turns)};
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
