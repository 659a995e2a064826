#include "base/machine.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"

// ---- /proc and /sys in a directory ----

static char root[64];

static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(path, 0777);
        *slash = '/';
    }
    test_write_file(path, text, strlen(text));
}

static int setup(void **state)
{
    (void)state;
    strcpy(root, "/tmp/loam-machine-XXXXXX");
    assert_non_null(mkdtemp(root));
    put("proc/self/status", "Name:\tloam\nVmHWM:\t    900 kB\nVmRSS:\t    500 kB\n");
    put("proc/meminfo", "MemTotal:       9000 kB\nMemFree: 1 kB\nMemAvailable:   8000 kB\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

enum { KIB = 1024 };

static void assert_room(size_t available, const char *by)
{
    struct loam_machine_memory memory = loam_machine_measure_memory(root);
    assert_int_equal(memory.resident, 500 * KIB);
    assert_int_equal(memory.available, available);
    assert_string_equal(memory.by, by);
}

static void test_no_groups(void **state)
{
    (void)state;
    assert_room(8000 * KIB, "this machine");
    put("proc/self/cgroup", "0::/\n");
    assert_room(8000 * KIB, "this machine");
}

static void test_version_2(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/user.slice/loam\n");
    put("sys/fs/cgroup/user.slice/loam/memory.max", "max\n");
    put("sys/fs/cgroup/user.slice/loam/memory.current", "4000\n");
    put("sys/fs/memory.max", "10\n"); // above the mount: no group
    put("sys/fs/memory.current", "1\n");
    assert_room(8000 * KIB, "this machine");
    // The parent group counts too. Cached files count as free.
    put("sys/fs/cgroup/user.slice/memory.max", "1000000\n");
    put("sys/fs/cgroup/user.slice/memory.current", "600000\n");
    assert_room(400000, "its control group");
    put("sys/fs/cgroup/user.slice/memory.stat", "anon 1\ninactive_file 100000\nactive_file 50000\n");
    assert_room(550000, "its control group");
    put("sys/fs/cgroup/user.slice/loam/memory.max", "4096\n");
    assert_room(96, "its control group");
    put("sys/fs/cgroup/user.slice/loam/memory.current", "5000\n");
    assert_room(0, "its control group");
    put("sys/fs/cgroup/user.slice/loam/memory.current", "unknown\n"); // counts as none
    assert_room(4096, "its control group");
}

static void test_version_1(void **state)
{
    (void)state;
    put("proc/self/cgroup", "12:cpu,cpuacct:/docker/abc\n7:hugetlb,memory:/docker/abc\n1:name=systemd:/x\n");
    // The path is that of the host: inside the container the mount point is the group.
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "700000\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "300000\n");
    put("sys/fs/cgroup/memory/memory.stat",
        "inactive_file 9\ntotal_inactive_file 1000\ntotal_active_file 24\n");
    assert_room(401024, "its control group");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); // none
    assert_room(8000 * KIB, "this machine");
}

static void test_malformed_limits_are_ignored(void **state)
{
    (void)state;
    put("proc/meminfo", "MemAvailable: lots\n");
    put("proc/self/cgroup", "nothing\n:\n::\n0:memory\n0::/../../..\n5:memory:\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "");
    assert_room(SIZE_MAX, "this machine");
}

static void test_this_machine(void **state)
{
    (void)state;
    struct loam_machine_memory memory = loam_machine_measure_memory("");
    assert_true(memory.resident > 100 * KIB);
    assert_true(memory.available > 0);
    memory = loam_machine_measure_memory("/nowhere");
    assert_int_equal(memory.resident, 0);
    assert_true(memory.available == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_1, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_limits_are_ignored, setup, teardown),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
