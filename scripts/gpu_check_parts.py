"""The parts of scripts/gpu-check that check and measure loam alone. A part returns its figures and a line about them."""

import os
import shutil

from gpu_check_shared import OWN_BUILD, ROOT, TARGETS, WARM_UP, Failed, MemoryWatch, Skip, run, run_json, tail

SANITIZED = "linear_forward,linear_backward_weight,lora_backward,rmsnorm_backward,attention_forward,attention_backward," \
            "cross_entropy,top_logits,adamw"


# ---- What is there ----


def part_machine(check):
    facts = dict(machine=os.uname().machine, cores=os.cpu_count())
    for tool in ("gcc", "cmake", "nvcc", "compute-sanitizer"):
        facts[tool] = shutil.which(tool)
    if not shutil.which("nvidia-smi"):
        raise Skip("nvidia-smi is not there")
    query = "name,memory.total,driver_version,clocks.sm,clocks.max.sm"
    facts["gpus"] = run(check, ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"], 20).strip().splitlines()
    return facts, "; ".join(facts["gpus"])


def architectures_of_cards(check):
    """The option of CMake that compiles kernels for the cards of this machine alone; none where they are not known."""
    try:
        lines = run(check, ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], 20).split()
    except (Failed, OSError):
        return []
    known = sorted({line.replace(".", "") for line in lines if line.replace(".", "").isdigit()}, key=int)
    return [f"-DLOAM_CUDA_ARCHITECTURES={';'.join(known)}"] if known else []


def part_build(check):
    if check.args.use is None and check.args.build is None and not check.args.rehearse:
        if not shutil.which("cmake"):
            raise Failed("cmake is not there: build elsewhere, write an archive with --pack, and take it with --use")
        run(check, ["cmake", "--preset", "release", "-B", OWN_BUILD, *architectures_of_cards(check)], 60, cwd=ROOT)
        run(check, ["cmake", "--build", OWN_BUILD, "--target", *TARGETS], 300, cwd=ROOT)
    for program in check.programs.values():
        if not program.exists():
            raise Failed(f"{program} is not there")
    return {}, run(check, [check.programs["loam"], "--version"], 20).strip()


def part_devices(check):
    listed = run_json(check, [check.programs["loam"], "devices", "--json"], 120)
    for device in listed["devices"]:
        if check.device in (device["device"], device["device"].split(":")[0]):
            if not device["usable"]:
                raise Failed(f"{check.device} cannot be used: {device['reason']}")
            about = [device["model"]]
            if device["compute_capability"] is not None:
                about.append(f"capability {device['compute_capability']}")
            return listed, f"{device['device']}: {', '.join(about)}"
    reasons = "; ".join(f"{kind['kind']}: {kind['reason']}" for kind in listed["absent"])
    raise Failed(f"there is no {check.device}; {reasons}")


# ---- Whether it is right ----


def part_ops(check):
    environment = dict(LOAM_TEST_DEVICE=check.device)
    if check.args.rehearse:
        environment["LOAM_TEST_OPS"] = os.environ.get("LOAM_TEST_OPS", SANITIZED)
    output = run(check, [check.programs["ops"]], 150, environment)
    counted = next(line for line in output.splitlines() if " cases on " in line)
    return dict(output=output), counted


def part_goldens(check):
    names = ["bloom-6-heads", "modules-dora-embedding"] if check.args.rehearse else []
    environment = dict(LOAM_TEST_DEVICE=check.device, LOAM_GOLDENS=str(ROOT / "tests/parity/goldens"))
    output = run(check, [check.programs["goldens"], *names], 150, environment)
    passed = output.count("[       OK ]")
    if passed == 0:
        raise Failed("no golden ran")
    return dict(output=output), f"{passed} goldens agree"


def part_sanitizer(check):
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        raise Skip("compute-sanitizer is not there")
    environment = dict(LOAM_TEST_DEVICE=check.device, LOAM_TEST_OPS=SANITIZED)
    results = {}
    for kind in ("memcheck", "racecheck"):
        command = [tool, "--tool", kind, "--error-exitcode", "9", check.programs["ops"]]
        results[kind] = tail(run(check, command, 120, environment), 2)
    return results, "; ".join(f"{kind}: {text}" for kind, text in results.items())


# ---- How fast it is ----


def bench(check, what, shape, *options, environment=None, limit=90):
    """The result of loam bench, and the most memory of the GPU that it took."""
    command = [check.programs["loam"], "bench", what, "--model", check.model(shape), "--device", check.device, "--json",
               *options]
    with MemoryWatch(check.device) as memory:
        result = run_json(check, command, limit, environment)
    return result, memory.most


def made_up(shape, check):
    return ["--lengths", ",".join(str(length) for length in shape["lengths"]), "--steps", check.steps, "--warm-up", WARM_UP]


def part_floors(check):
    """What the card gives at most: the bandwidth of a copy, and the best rate of a product."""
    shape = check.shapes[-1]
    copied, _ = bench(check, "generate", shape, "--prompt-tokens", "32", "--new-tokens", "8", "--steps", "2", "--warm-up",
                      "1", "--no-ceiling")
    products, _ = bench(check, "matmul", shape, *made_up(shape, check))
    rates = [product["plain_gflops"] for product in products["shapes"]]
    check.floors = dict(bytes_per_second=copied["read_bytes_per_second"], flops_per_second=1e9 * max(rates))
    note = f"copy {check.floors['bytes_per_second'] / 1e9:.1f} GB/s, products {max(rates) / 1e3:.3f} TFLOP/s"
    return dict(check.floors, generate=copied, matmul=products), note


def part_times(check):
    """The ops of a step beside the least time that their bytes and operations take at these rates."""
    if check.floors is None:
        raise Skip("the floors were not measured")
    results, notes = {}, []
    for shape in check.shapes:
        result = check.step(shape)
        total = least = 0.0
        for op in result["ops"]:
            op["floor_seconds"] = max(op["bytes"] / check.floors["bytes_per_second"],
                                      op["flops"] / check.floors["flops_per_second"])
            op["of_floor"] = op["floor_seconds"] / op["seconds"] if op["seconds"] > 0 else None
            total += op["seconds"]
            least += op["floor_seconds"]
        results[shape["name"]] = result["ops"]
        notes.append(f"{shape['name']}: {1e3 * total:.2f} ms, floor {1e3 * least:.2f} ms")
        check.table(f"{shape['name']}: ops of a step, each waited for", ["op", "calls", "ms", "floor ms", "of floor"],
                    [[op["op"], f"{op['calls']:.0f}", f"{1e3 * op['seconds']:.3f}", f"{1e3 * op['floor_seconds']:.3f}",
                      "-" if op["of_floor"] is None else f"{op['of_floor']:.2f}"] for op in result["ops"]])
    return results, "; ".join(notes)


def part_step(check):
    results, notes = {}, []
    for shape in check.shapes:
        result = check.step(shape)
        results[shape["name"]] = result
        of = result["of_ceiling"]
        notes.append(f"{shape['name']}: {result['tokens_per_second']:.0f} tokens/s"
                     + (f", {of:.2f} of its products" if of is not None else ""))
    return results, "; ".join(notes)


def part_generate(check):
    results, notes = {}, []
    for shape in check.shapes:
        sizes = ["16", "8"] if check.args.rehearse else ["512", "64"]
        result, _ = bench(check, "generate", shape, "--prompt-tokens", sizes[0], "--new-tokens", sizes[1], "--steps", "3",
                          "--warm-up", "1", "--no-ceiling")
        results[shape["name"]] = result
        notes.append(f"{shape['name']}: {result['tokens_per_second']:.1f} new tokens/s, "
                     f"{result['of_bandwidth']:.2f} of the bandwidth")
    return results, "; ".join(notes)


def part_products(check):
    """The kernels' products and the vendor's library, in turns."""
    if not check.device.startswith("cuda"):
        raise Skip(f"{check.device} has no library of products")
    shape, rates = check.shapes[0], dict(own=[], library=[])
    for _ in range(2):
        for name, value in (("own", "off"), ("library", "on")):
            result, _ = bench(check, "step", shape, *made_up(shape, check), "--no-ceiling",
                              environment=dict(LOAM_CUBLASLT=value))
            rates[name].append(result["tokens_per_second"])
    return rates, f"{shape['name']}: own {max(rates['own']):.0f}, library {max(rates['library']):.0f} tokens/s"
