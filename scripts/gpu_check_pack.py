"""The archive of scripts/gpu-check for a machine without loam's libraries."""

import subprocess
import sys
import tarfile
from pathlib import Path

from gpu_check_shared import BUILD, PROGRAMS

PACK_LIMIT = 64 << 20  # bytes


def libraries_of(program):
    """Libraries of a program outside glibc, which the other machine has."""
    own = ("libc.so", "libm.so", "ld-linux", "libpthread", "libdl.so", "librt.so", "linux-vdso")
    for line in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines():
        name, _, path = line.strip().partition(" => ")
        path = path.split(" (")[0]
        if path.startswith("/") and not name.startswith(own):
            yield name, Path(path)


def pack(archive, directory):
    (directory / "lib").mkdir()
    libraries = {}
    for path in PROGRAMS.values():
        program = BUILD / path
        if not program.exists():
            sys.exit(f"gpu-check: {program} is not there: build it with cmake --build --preset release")
        subprocess.run(["strip", "-o", directory / program.name, program], check=True)
        libraries.update(libraries_of(program))
    for name, path in libraries.items():
        subprocess.run(["strip", "--strip-unneeded", "-o", directory / "lib" / name, path.resolve()], check=True)
    with tarfile.open(archive, "w:xz") as packed:
        packed.add(directory, ".")
    total = archive.stat().st_size
    print(f"{archive}: {len(PROGRAMS)} programs, {len(libraries)} libraries, {total / 2**20:.1f} MiB")
    if total > PACK_LIMIT:
        sys.exit(f"gpu-check: more than {PACK_LIMIT >> 20} MiB")


def unpack(archive, directory):
    with tarfile.open(archive) as packed:
        packed.extractall(directory)
    return directory
