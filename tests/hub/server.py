#!/usr/bin/env python3
"""A hub for tests. It serves the endpoints of huggingface.co that loam uses from the directories below ROOT/repos, and
it produces faults on demand.

    server.py ROOT

ROOT/repos/ORG/NAME/...   the repositories; .safetensors and .bin files are served as LFS files, from another host
ROOT/address              written when the server listens: http://127.0.0.1:PORT
ROOT/tls.pem              a certificate with its key; if it exists at the start, the hub serves https
ROOT/log                  one line per request: SERVER METHOD PATH STATUS auth=TOKEN|none range=...
ROOT/bodies/N             the body of the Nth request with a body, counted from 0
ROOT/faults               lines "REGEX FAULT [ARGUMENT...]": the first line that matches "METHOD PATH" of a request takes
                          effect and is removed; a line that starts with "always " stays
Faults: status CODE [HEADER:VALUE...] | drop BYTES | wrong | norange | size BYTES | length BYTES | drip | etag TEXT |
        elsewhere URL | nocommit | text TEXT | page | object | evil
Settings in ROOT/settings (JSON): gated, private (a token is needed), token, chunk (bytes of a part of an upload), xet.
"""
import base64
import hashlib
import json
import os
import re
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = os.path.abspath(sys.argv[1])
REPOS = os.path.join(ROOT, "repos")
LFS = os.path.join(ROOT, "lfs")
LOCK = threading.Lock()
ADDRESS = {}  # server's name -> http://host:port
COUNT = [0]


def settings():
    try:
        with open(os.path.join(ROOT, "settings"), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def take_fault(request):
    path = os.path.join(ROOT, "faults")
    with LOCK:
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        for index, line in enumerate(lines):
            words = line.split()
            always = bool(words) and words[0] == "always"
            words = words[always:]
            if not words or not re.search(words[0], request):
                continue
            if not always:
                del lines[index]
                with open(path + ".new", "w", encoding="utf-8") as file:
                    file.writelines(line + "\n" for line in lines)
                os.replace(path + ".new", path)
            return words[1:]
    return []


def store_object(oid, content):
    """Stores an LFS object whole, because another request may be reading it."""
    path = os.path.join(LFS, oid)
    with LOCK:
        with open(path + ".new", "wb") as file:
            file.write(content)
        os.replace(path + ".new", path)


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_lfs(name):
    return name.endswith((".safetensors", ".bin"))


class Repository:
    """The files of a directory, and a commit hash that is computed from them."""

    def __init__(self, repo_id):
        self.id = repo_id
        self.path = os.path.join(REPOS, repo_id)
        self.exists = bool(re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo_id)) and os.path.isdir(self.path)

    def files(self):
        found = {}
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, self.path)] = file.read()
        return dict(sorted(found.items()))

    def commit(self):
        text = self.id + "".join(name + git_hash(data) for name, data in self.files().items())
        return hashlib.sha1(text.encode()).hexdigest()

    def knows(self, revision):
        return revision in ("main", "v1.0", "refs/pr/1", self.commit())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # send the body right after the headers

    def log_message(self, *_):
        pass

    def note(self, status):
        token = (self.headers.get("Authorization") or "").replace("Bearer ", "") or "none"
        with LOCK, open(os.path.join(ROOT, "log"), "a", encoding="utf-8") as file:
            file.write(f"{self.server.name} {self.command} {self.path} {status} auth={token} "
                       f"range={self.headers.get('Range', 'none')}\n")

    def reply(self, status, body=b"", headers=None, fault=()):
        """Sends a response, with the faults that affect its body."""
        headers = {"Content-Length": str(len(body)), **(headers or {})}
        if fault[:1] == ["length"]:
            headers["Content-Length"] = fault[1]
        self.note(status)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault[:1] == ["drop"]:
            self.wfile.write(body[: int(fault[1])])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
        elif fault[:1] == ["drip"]:
            for byte in body[:40]:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.1)
            self.close_connection = True
        elif fault[:1] == ["length"]:
            self.wfile.write(body)
            self.close_connection = True
        else:
            self.wfile.write(body)

    def reply_json(self, value, status=200, headers=None):
        self.reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def refuse(self, status, code=None, message=None):
        headers = {"X-Error-Code": code} if code else {}
        if message:
            headers["X-Error-Message"] = message
        self.reply_json({"error": message or code or "refused"}, status, headers)

    def token(self):
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def may_read(self):
        """Whether the client may read the repository; sends the refusal if it may not."""
        wanted = settings()
        if wanted.get("gated") and self.token() != wanted.get("token"):
            self.refuse(403 if self.token() else 401, "GatedRepo", "Access to this model is restricted.")
            return False
        if wanted.get("private") and self.token() != wanted.get("token"):
            if self.token():
                self.refuse(401, None, "Invalid credentials in Authorization header")
            else:
                self.refuse(401, "RepoNotFound", "Repository not found")
            return False
        return True

    def body(self):
        size = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(size)
        with LOCK:
            number = COUNT[0]
            COUNT[0] += 1
            with open(os.path.join(ROOT, "bodies", str(number)), "wb") as file:
                file.write(f"{self.command} {self.path}\n".encode() + data)
        return data

    def handle_request(self):
        fault = take_fault(f"{self.command} {self.path}")
        has_body = self.command in ("POST", "PUT")
        data = self.body() if has_body else b""
        if fault[:1] == ["status"]:
            headers = dict(item.split(":", 1) for item in fault[2:])
            self.refuse(int(fault[1])) if not headers else self.reply_json({"error": "asked for"}, int(fault[1]), headers)
        elif fault[:1] == ["elsewhere"]:
            self.reply(307, b"", {"Location": fault[1].replace("CDN", ADDRESS["cdn"])})
        elif fault[:1] == ["text"]:
            self.reply(200, " ".join(fault[1:]).encode())
        elif fault[:1] == ["page"]:
            self.reply(200, b"<html>Please log in</html>", {"Content-Type": "text/html; charset=utf-8"})
        elif fault[:1] == ["drop"] and has_body:
            self.note("dropped")
            self.close_connection = True
            self.connection.shutdown(2)
        else:
            self.route(data, fault)

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def route(self, data, fault):
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        table = HUB if self.server.name == "hub" else CDN
        for method, pattern, function in table:
            match = re.fullmatch(pattern, path)
            if match and self.command in method.split():
                return function(self, *[unquote(part) for part in match.groups()], data=data, fault=fault, query=query)
        return self.refuse(404, None, "no such address")

    # ---- Reading ----

    def open_repository(self, repo_id, revision):
        repo = Repository(repo_id)
        if not self.may_read():
            return None
        if not repo.exists:
            self.refuse(404 if self.token() else 401, "RepoNotFound", "Repository not found")
            return None
        if not repo.knows(revision):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repo

    def get_info(self, repo_id, revision="main", *, query, **_):
        repo = self.open_repository(repo_id, revision)
        if repo is None:
            return
        siblings = []
        for name, content in repo.files().items():
            item = {"rfilename": name}
            if "blobs" in query:
                item.update(size=len(content), blobId=git_hash(content))
                if is_lfs(name):
                    item["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            siblings.append(item)
        self.reply_json({"id": repo_id, "modelId": repo_id, "sha": repo.commit(), "private": False, "tags": [],
                         "downloads": 0, "likes": 0, "siblings": siblings})

    def get_tree(self, repo_id, revision, **_):
        repo = self.open_repository(repo_id, revision)
        if repo is None:
            return
        items = []
        for name, content in repo.files().items():
            item = {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
            if is_lfs(name):
                item["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            items.append(item)
        self.reply_json(items)

    def get_file(self, repo_id, revision, name, *, fault, **_):
        repo = self.open_repository(repo_id, revision)
        if repo is None:
            return
        content = repo.files().get(name)
        headers = {} if fault[:1] == ["nocommit"] else {"X-Repo-Commit": repo.commit()}
        if content is None:
            headers.update({"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
            self.reply_json({"error": "Entry not found"}, 404, headers)
            return
        size = fault[1] if fault[:1] == ["size"] else str(len(content))
        if is_lfs(name):
            oid = hashlib.sha256(content).hexdigest()
            etag = fault[1] if fault[:1] == ["etag"] else oid
            store_object(oid, content)
            headers.update({"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": size,
                            "Location": f"{ADDRESS['cdn']}/lfs/{oid}?Signature=secret"})
            self.reply(302, b"moved", headers)
            return
        etag = fault[1] if fault[:1] == ["etag"] else git_hash(content)
        headers["ETag"] = f'"{etag}"'
        self.send_content(content, headers, fault)

    def get_lfs(self, oid, *, fault, **_):
        with open(os.path.join(LFS, oid), "rb") as file:
            self.send_content(file.read(), {"ETag": '"cdn"'}, fault)

    def send_content(self, content, headers, fault):
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if fault[:1] == ["wrong"]:
            content = bytes(byte ^ 0x55 for byte in content[:10]) + content[10:]
        if wanted and "norange" not in fault:
            start = int(wanted[1])
            if start >= len(content):
                self.reply(416, b"", {"Content-Range": f"bytes */{len(content)}", **headers})
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.reply(206, content[start:], headers, fault)
            return
        if self.command == "HEAD" and fault[:1] == ["size"]:
            fault = ["length", fault[1]]
        self.reply(200, content, headers, fault)

    # ---- Writing ----

    def may_write(self):
        token = settings().get("token", "")
        if token and self.token() == token:
            return True
        self.refuse(401 if not self.token() else 403, None, "You need write access to do this")
        return False

    def create(self, *, data, **_):
        if not self.may_write():
            return
        wanted = json.loads(data)
        repo_id = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
        if Repository(repo_id).exists:
            self.reply_json({"error": "You already created this model repo", "url": f"{ADDRESS['hub']}/{repo_id}"}, 409)
            return
        os.makedirs(os.path.join(REPOS, repo_id))
        self.reply_json({"url": f"{ADDRESS['hub']}/{repo_id}", "name": repo_id, "id": "1"})

    def validate_yaml(self, *, data, **_):
        content = json.loads(data)["content"]
        if "base_model: /" in content or 'base_model: "/' in content:
            self.reply_json({"errors": [{"message": '"base_model" is no model id'}], "warnings": []}, 400)
        else:
            self.reply_json({"errors": [], "warnings": []})

    def preupload(self, repo_id, revision, *, data, **_):
        if not self.may_write():
            return
        repo = self.open_repository(repo_id, revision)
        if repo is None:
            return
        there = repo.files()
        files = []
        for item in json.loads(data)["files"]:
            name = item["path"]
            base64.b64decode(item["sample"], validate=True)
            lfs = is_lfs(name)
            answer = {"path": name, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": name.endswith(".ignored")}
            if name in there:
                answer["oid"] = hashlib.sha256(there[name]).hexdigest() if lfs and there[name] else git_hash(there[name])
            files.append(answer)
        self.reply_json({"files": files})

    def lfs_batch(self, repo_id, *, data, fault, **_):
        if not self.may_write():
            return
        objects = []
        for item in json.loads(data)["objects"]:
            oid, size = item["oid"], item["size"]
            answer = {"oid": oid, "size": size}
            chunk = settings().get("chunk")
            if fault[:1] == ["object"]:
                answer["error"] = {"code": 422, "message": "refused"}
            elif not os.path.exists(os.path.join(LFS, oid)):
                own = "https://huggingface.co" if settings().get("mirror") else ADDRESS["hub"]
                verify = {"href": f"{ADDRESS['cdn'] if fault[:1] == ['evil'] else own}/{repo_id}.git/info/lfs/objects/verify", "header": {}}
                upload = {"href": f"{ADDRESS['cdn']}/put/{oid}?Signature=secret"}
                if chunk and size > chunk:
                    parts = -(-size // chunk)
                    upload = {"href": f"{ADDRESS['hub']}/complete/{oid}?parts={parts}", "header": {"chunk_size": str(chunk)}}
                    for part in range(1, parts + 1):
                        upload["header"][f"{part:05d}"] = f"{ADDRESS['cdn']}/put/{oid}.{part}?Signature=secret"
                answer["actions"] = {"upload": upload, "verify": verify}
            objects.append(answer)
        self.reply_json({"transfer": "basic", "objects": objects})

    def put(self, name, *, data, **_):
        with open(os.path.join(LFS, "put-" + name), "wb") as file:
            file.write(data)
        if "." not in name:
            if hashlib.sha256(data).hexdigest() != name:
                self.refuse(400, None, "the hash differs")
                return
            os.replace(os.path.join(LFS, "put-" + name), os.path.join(LFS, name))
        self.reply(200, b"", {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})

    def complete(self, oid, *, data, query, **_):
        wanted = json.loads(data)
        content = b""
        for number, part in enumerate(wanted["parts"], 1):
            with open(os.path.join(LFS, f"put-{oid}.{number}"), "rb") as file:
                piece = file.read()
            if part["partNumber"] != number or part["etag"] != f'"{hashlib.md5(piece).hexdigest()}"':
                self.refuse(400, None, "a part is wrong")
                return
            content += piece
        if int(query["parts"][0]) != len(wanted["parts"]) or hashlib.sha256(content).hexdigest() != oid:
            self.refuse(400, None, "the hash differs")
            return
        store_object(oid, content)
        self.reply_json({})

    def verify(self, _repo_id, *, data, **_):
        wanted = json.loads(data)
        path = os.path.join(LFS, wanted["oid"])
        if self.may_write():
            ok = os.path.exists(path) and os.path.getsize(path) == wanted["size"]
            self.reply_json({}) if ok else self.refuse(404, None, "no such object")

    def commit(self, repo_id, revision, *, data, **_):
        if not self.may_write():
            return
        repo = self.open_repository(repo_id, revision)
        if repo is None:
            return
        for line in data.decode().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                continue
            path = os.path.join(repo.path, value["path"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if item["key"] == "file":
                content = base64.b64decode(value["content"], validate=True)
            else:
                with open(os.path.join(LFS, value["oid"]), "rb") as file:
                    content = file.read()
            with open(path, "wb") as file:
                file.write(content)
        self.reply_json({"success": True, "commitOid": repo.commit(), "hookOutput": "",
                         "commitUrl": f"{ADDRESS['hub']}/{repo_id}/commit/{repo.commit()}"})


ID = r"((?:[^/]+/)?[^/]+)"
HUB = [
    ("GET", rf"/api/models/{ID}/revision/([^/]+)", Handler.get_info),
    ("GET", rf"/api/models/{ID}/tree/([^/]+)", Handler.get_tree),
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.validate_yaml),
    ("POST", rf"/api/models/{ID}/preupload/([^/]+)", Handler.preupload),
    ("POST", rf"/api/models/{ID}/commit/([^/]+)", Handler.commit),
    ("GET", rf"/api/models/{ID}", Handler.get_info),
    ("POST", rf"/{ID}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("POST", rf"/{ID}\.git/info/lfs/objects/verify", Handler.verify),
    ("POST", r"/complete/(\w+)", Handler.complete),
    ("GET HEAD", rf"/{ID}/resolve/([^/]+)/(.+)", Handler.get_file),
]
CDN = [
    ("GET HEAD", r"/lfs/(\w+)", Handler.get_lfs),
    ("PUT", r"/put/([\w.]+)", Handler.put),
]


def listen(name, host):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.name = name
    certificate = os.path.join(ROOT, "tls.pem")
    secure = name == "hub" and os.path.exists(certificate)
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The connection's own thread performs the handshake, so that a failing one does not block the next.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    ADDRESS[name] = f"http{'s' if secure else ''}://{host}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    for name in ("repos", "lfs", "bodies"):
        os.makedirs(os.path.join(ROOT, name), exist_ok=True)
    listen("cdn", "localhost")
    listen("hub", "127.0.0.1")
    with open(os.path.join(ROOT, "address.new"), "w", encoding="utf-8") as file:
        file.write(ADDRESS["hub"] + "\n")
    os.rename(os.path.join(ROOT, "address.new"), os.path.join(ROOT, "address"))
    # The test holds the other end of standard input. The server ends when it is closed.
    sys.stdin.read()


main()
