// Code of the kernels that the build embeds, in place of that of this build: it is taken first, and where it does not fit
// the GPU, NVRTC compiles.
#include "test.h"

#include "device/gpu/cuda/code.h"
#include "device/registry.h"
#include "tools/fake_cuda/fake_cuda.h"
#include "tools/fake_cuda/open_fake.h"

static const char code[] = "fake code sm_86";
const struct loam_cuda_image loam_cuda_embedded = {code, code + sizeof code};

static const char *make_code(struct fake_cuda *cuda, int capability, char text[64])
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    cuda->capability = capability;
    assert_ok(loam_cuda_backend.create(&device, 0, 1, &error));
    snprintf(text, 64, "%s", device->code_from);
    loam_device_destroy(device);
    return text;
}

static void test_embedded_code(void **state)
{
    (void)state;
    char directory[256], text[64];
    struct fake_cuda *const cuda = open_fake("libcuda.so.1", "fake_cuda");
    assert_non_null(cuda);
    assert_non_null(test_make_directory(directory));
    assert_int_equal(setenv("XDG_CACHE_HOME", directory, 1), 0);
    assert_string_equal(make_code(cuda, 86, text), "embedded");
    assert_string_equal(make_code(cuda, 90, text), "NVRTC 12.4");
    assert_string_equal(make_code(cuda, 90, text), "NVRTC 12.4, cached");
    assert_int_equal(cuda->live, 0);
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_embedded_code)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
