#!/usr/bin/env python3
"""Compares loam's pull and push with huggingface_hub, on the same server (tests/hub/server.py).

    parity_hub.py --loam build/release/loam --work DIR

huggingface_hub must find loam's downloads without network, and loam those of huggingface_hub. Both must upload a directory
with the same calls and contents. Exit code 1 if anything differs."""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

TOKEN = "hf_parity"
HERE = pathlib.Path(__file__).resolve().parent
FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]


class Hub:
    """The server, over fresh directories."""

    def __init__(self, root):
        self.root = root
        (root / "repos").mkdir(parents=True)
        (root / "settings").write_text(json.dumps({"token": TOKEN, "chunk": 100_000}))
        server = HERE.parent / "tests" / "hub" / "server.py"
        self.process = subprocess.Popen([sys.executable, server, root], stdin=subprocess.PIPE)
        while not (root / "address").exists():
            self.process.poll()
            assert self.process.returncode is None, "the server has ended"
        self.address = (root / "address").read_text().strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def log(self):
        path = self.root / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return [line for line in lines if line]

    def bodies(self):
        """The requests: {(method, path, content)}, without the lines of the commit and their order."""
        found = []
        for path in sorted((self.root / "bodies").iterdir(), key=lambda path: int(path.name)):
            head, _, content = path.read_bytes().partition(b"\n")
            found.append((head.decode(), content))
            path.unlink()
        return found


def run_loam(loam, home, address, *arguments):
    environment = {"PATH": os.environ["PATH"], "HF_HOME": str(home), "HF_ENDPOINT": address, "HF_TOKEN": TOKEN}
    return subprocess.run([loam, *arguments], env=environment, check=True, capture_output=True, text=True).stdout


class Report:
    def __init__(self):
        self.failures = 0

    def check(self, ok, what):
        print(f"{'same' if ok else 'DIFFERS'}  {what}")
        self.failures += not ok


def compare_downloads(report, options, hub, library, source):
    cache = options.work / "loam" / "hub"
    snapshot = run_loam(options.loam, options.work / "loam", hub.address, "pull", "org/tiny").strip()
    hub.log()
    for name in FILES:
        path = library.hf_hub_download("org/tiny", name, cache_dir=cache, local_files_only=True)
        same = pathlib.Path(path).read_bytes() == (source / name).read_bytes() and os.path.dirname(path) == snapshot
        report.check(same, f"huggingface_hub finds loam's {name} without network")
    report.check(library.snapshot_download("org/tiny", cache_dir=cache, local_files_only=True) == snapshot,
                 "and the snapshot")
    missing = library.try_to_load_from_cache("org/tiny", "special_tokens_map.json", cache_dir=cache)
    report.check(missing is library._CACHED_NO_EXIST, "huggingface_hub finds loam's records of absent files")
    report.check(not hub.log(), "no request was sent")
    library.snapshot_download("org/tiny", cache_dir=cache, allow_patterns=FILES)
    asked = [line for line in hub.log() if "/resolve/" in line and " GET " in line]
    report.check(not asked, f"with network, nothing is downloaded again {asked}")
    scan = library.scan_cache_dir(cache)
    report.check(not scan.warnings and len(scan.repos) == 1, f"a scan of the cache finds nothing wrong {scan.warnings}")

    for how in ("snapshot_download", "hf_hub_download"):
        home = options.work / how
        if how == "snapshot_download":
            library.snapshot_download("org/tiny", cache_dir=home / "hub", allow_patterns=FILES)
        else:
            for name in FILES:
                library.hf_hub_download("org/tiny", name, cache_dir=home / "hub")
        hub.log()
        snapshot = run_loam(options.loam, home, hub.address, "pull", "org/tiny").strip()
        same = all((pathlib.Path(snapshot) / name).read_bytes() == (source / name).read_bytes() for name in FILES)
        report.check(same, f"loam finds what {how} has downloaded")
        run_loam(options.loam, home, hub.address, "inspect", "org/tiny")
        report.check(not hub.log(), "no request was sent")
    trees = [tree(options.work / name) for name in ("loam", "hf_hub_download")]
    report.check(trees[0] == trees[1], f"both leave the same files, links and contents {trees[0] ^ trees[1]}")


def tree(home):
    """Every file and link below the cache, without locks, which may be removed, and files that only one library keeps."""
    found = set()
    root = home / "hub" / "models--org--tiny"
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name.startswith((".no_exist", "trees")):
            continue
        if path.is_symlink():
            found.add((name, os.readlink(path)))
        elif path.is_file():
            found.add((name, path.read_bytes()))
    return found


def normalise(bodies, repo_id, summary):
    """The calls as a set, with one name for the repository: huggingface_hub checks the card twice."""
    calls = set()
    namespace, name = repo_id.split("/")
    for head, content in bodies:
        head = head.replace(repo_id, "REPO")
        if head.startswith("PUT"):
            calls.add((head, content))
            continue
        for line in content.decode().splitlines():
            value = json.loads(line)
            if "/create" in head:
                assert (value["name"], value["organization"]) == (name, namespace)
                value["name"] = value["organization"] = ""
            if value.get("key") == "header":
                assert value["value"].pop("summary") == summary
            for key in ("objects", "files"):
                if key in value:
                    # huggingface_hub queries two files with the same bytes twice, loam once.
                    value[key] = sorted({json.dumps(item, sort_keys=True) for item in value[key]})
            calls.add((head, json.dumps(value, sort_keys=True)))
    return calls


def compare_uploads(report, options, hubs, library, folder):
    for state in ("new", "unchanged", "one file changed"):
        if state == "unchanged":
            # If the hub ignores all files, huggingface_hub makes an empty commit and loam none.
            (folder / "x.ignored").unlink()
        if state == "one file changed":
            (folder / "notes.txt").write_text("other\n")
        hubs[0].log()
        run_loam(options.loam, options.work / "home", hubs[0].address, "push", str(folder), "org/pushed", "--message", "M",
                 "--private")
        api = library.HfApi(endpoint=hubs[1].address, token=TOKEN)
        api.create_repo("org/pushed", private=True, exist_ok=True)
        api.upload_folder(repo_id="org/pushed", folder_path=folder, commit_message="M")
        calls = [normalise(hub.bodies(), "org/pushed", "M") for hub in hubs]
        report.check(calls[0] == calls[1], f"{state}: {len(calls[0])} different calls")
        for call in sorted(calls[0] ^ calls[1], key=str)[:6]:
            print("    only", "loam" if call in calls[0] else "huggingface_hub", str(call)[:300])
        results = [{str(path.relative_to(hub.root)): path.read_bytes() for path in (hub.root / "repos" / "org" / "pushed").rglob("*")
                    if path.is_file()} for hub in hubs]
        report.check(results[0] == results[1], f"{state}: {len(results[0])} files in the repository")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loam", required=True, type=os.path.abspath)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    options = parser.parse_args()
    options.work = options.work.resolve()
    shutil.rmtree(options.work, ignore_errors=True)
    hubs = [Hub(options.work / name) for name in ("hub-downloads", "hub-of-loam", "hub-of-library")]
    # The library reads its settings when it is imported.
    os.environ.update(HF_ENDPOINT=hubs[0].address, HF_HOME=str(options.work / "home"), HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET="1",
                      HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1")
    import huggingface_hub as library
    print(f"huggingface_hub {library.__version__}")
    report = Report()
    try:
        tiny = HERE.parent / "tests" / "data" / "tiny"
        source = hubs[0].root / "repos" / "org" / "tiny"
        run_loam(options.loam, options.work / "home", hubs[0].address, "init", "--config", str(tiny / "config.json"),
                 "--tokenizer", str(tiny / "tokenizer.json"), "--out", str(source))
        folder = options.work / "folder"
        shutil.copytree(source, folder)
        (source / "pytorch_model.bin").write_bytes(b"pickle")
        compare_downloads(report, options, hubs[0], library, source)
        (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
        (folder / "notes.txt").write_text("n\n")
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "small.bin").write_bytes(b"small")
        (folder / "copy.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
        (folder / "empty").write_bytes(b"")
        (folder / "x.ignored").write_bytes(b"x")
        compare_uploads(report, options, hubs[1:], library, folder)
    finally:
        for hub in hubs:
            hub.close()
    print(f"{report.failures} differences")
    return report.failures > 0


if __name__ == "__main__":
    sys.exit(main())
