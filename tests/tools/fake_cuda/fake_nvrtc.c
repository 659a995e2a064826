#include "fake_nvrtc.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nvrtc_program {
    int capability;
    char log[160];
};

#define EXPORT __attribute__((visibility("default")))
#define NVRTC_CALL(member, symbol, parameters) EXPORT unsigned symbol parameters;
#include "device/gpu/cuda/nvrtc_list.def"
#undef NVRTC_CALL
EXPORT struct fake_nvrtc *fake_nvrtc(void);

enum { ERROR_INVALID_INPUT = 3, ERROR_INVALID_OPTION = 5, ERROR_COMPILATION = 6 };

static struct fake_nvrtc fake = {.newest = 90, .minor = 4};

struct fake_nvrtc *fake_nvrtc(void)
{
    return &fake;
}

static unsigned begin(const char *symbol)
{
    return fake.no != NULL && strcmp(fake.no, symbol) == 0 ? ERROR_COMPILATION : 0;
}

unsigned nvrtcVersion(int *major, int *minor)
{
    *major = 12;
    *minor = fake.minor;
    return begin(__func__);
}

// Whether each file that `text` includes, outside of fibers and OpenCL, is among the headers.
static int includes_are_there(const char *text, int count, const char *const *names)
{
    for (const char *at = text; (at = strstr(at, "#include \"")) != NULL; at++) {
        const char *name = at + 10;
        const size_t bytes = strcspn(name, "\"");
        int found = strstr(name, "dialect_fiber.h\"") == name + bytes - 15 ||
                    strstr(name, "dialect_opencl.h\"") == name + bytes - 16;
        for (int i = 0; i < count; i++)
            found = found || (strlen(names[i]) == bytes && memcmp(names[i], name, bytes) == 0);
        if (!found) return 0;
    }
    return 1;
}

unsigned nvrtcCreateProgram(struct nvrtc_program **program, const char *source, const char *name,
                            int header_count, const char *const *headers, const char *const *header_names)
{
    if (begin(__func__) != 0) return ERROR_COMPILATION;
    if (source == NULL || name == NULL || !includes_are_there(source, header_count, header_names))
        return ERROR_INVALID_INPUT;
    for (int i = 0; i < header_count; i++)
        if (!includes_are_there(headers[i], header_count, header_names)) return ERROR_INVALID_INPUT;
    *program = calloc(1, sizeof **program);
    fake.live += *program != NULL;
    return *program != NULL ? 0 : 1;
}

unsigned nvrtcDestroyProgram(struct nvrtc_program **program)
{
    free(*program);
    *program = NULL;
    fake.live--;
    return 0;
}

unsigned nvrtcCompileProgram(struct nvrtc_program *program, int option_count, const char *const *options)
{
    static const char architecture[] = "--gpu-architecture=sm_";
    if (begin(__func__) != 0) return ERROR_COMPILATION;
    if (option_count != 1 || strncmp(options[0], architecture, sizeof architecture - 1) != 0)
        return ERROR_INVALID_OPTION;
    program->capability = atoi(options[0] + sizeof architecture - 1);
    if (program->capability > fake.newest) {
        (void)snprintf(program->log, sizeof program->log,
                       "nvrtc: error: invalid value for --gpu-architecture (-arch)\n");
        return ERROR_INVALID_OPTION;
    }
    fake.compiled++;
    return 0;
}

static int write_code(const struct nvrtc_program *program, char *code, size_t bytes)
{
    return snprintf(code, bytes, "fake code sm_%d", program->capability);
}

unsigned nvrtcGetCUBINSize(struct nvrtc_program *program, size_t *bytes)
{
    char code[64];
    *bytes = (size_t)write_code(program, code, sizeof code) + 1;
    return begin(__func__);
}

unsigned nvrtcGetCUBIN(struct nvrtc_program *program, char *code)
{
    (void)write_code(program, code, 64);
    return begin(__func__);
}

unsigned nvrtcGetProgramLogSize(struct nvrtc_program *program, size_t *bytes)
{
    *bytes = strlen(program->log) + 1;
    return begin(__func__);
}

unsigned nvrtcGetProgramLog(struct nvrtc_program *program, char *log)
{
    memcpy(log, program->log, strlen(program->log) + 1);
    return begin(__func__);
}
