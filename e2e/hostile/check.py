"""What the ill-meaning send: to our binary, over the wire.

check.py BINARY. Nothing gets through, each refusal is the one it should be, the service stays up and small.
"""

import http.client
import json
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

from service import EXAMPLES, Service, same, true

API = "/api/v1"
# A photograph, its decoded pixels and the model fit in this many times over; a bomb does not.
MOST_MIB = 1200
# Words that must not turn up in a log, which names no prompts and no keys.
SECRET_PROMPT = "a prompt that is nobody's business"


class Raw:
    """A connection on which anything can be said."""

    def __init__(self, service, timeout_s=40):
        self.socket = socket.create_connection(("127.0.0.1", service.port), timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, *parts):
        for part in parts:
            self.socket.sendall(part if isinstance(part, bytes) else part.encode("latin-1"))
        return self

    def status(self):
        """Status of the next answer, 0 where the connection was closed without one."""
        answer = http.client.HTTPResponse(self.socket)
        try:
            answer.begin()
            answer.read()
            return answer.status
        except (http.client.HTTPException, ConnectionError, ValueError):
            return 0


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, pixels, extra=b""):
    """A PNG of 8-bit RGB; `pixels` are the bytes of IDAT."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def zeros(count):
    """Compressed zeros, made piece by piece."""
    packer = zlib.compressobj(9)
    piece = bytes(1 << 20)
    packed = b"".join(packer.compress(piece) for _ in range(count >> 20))
    return packed + packer.compress(bytes(count % (1 << 20))) + packer.flush()


def put(service, body, name="x", **headers):
    status, _, got = service.call("POST", f"{API}/sources?name={name}", body, headers)
    return status, got


def refused(what, answer, statuses, word=None):
    """The answer is one of the refusals, in our own form."""
    status, got = answer
    true(f"{what} is refused with one of {statuses}", status in statuses, f"{status} {got}")
    true(f"{what} is refused in words", isinstance(got, dict) and got["error"]["message"], got)
    if word:
        true(f"the refusal of {what} says {word}", word in got["error"]["message"], got)


def bombs(service):
    flat = zlib.compress(bytes(100))
    photo = (EXAMPLES / "cat.jpg").read_bytes()
    frame = photo.index(b"\xff\xc0")
    huge_jpeg = photo[: frame + 5] + struct.pack(">HH", 65500, 65500) + photo[frame + 9 :]
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\xf0\0\0" + bytes(6) + b"," + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\x02\x02\x4c\x01\0;"
    bmp = b"BM" + struct.pack("<IIIIiiHHIIiiII", 1 << 20, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0)
    tags = [(256, 4, 60000), (257, 4, 60000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, 60000), (279, 4, 100)]
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags) + bytes(4)
    webp = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xff\xff\xff" * 2 + bytes(8)
    for what, body in [
        ("a PNG that claims 900 megapixels", png(30000, 30000, flat)),
        ("a PNG that claims 2^31 pixels a side", png(2**31 - 1, 2**31 - 1, flat)),
        ("a PNG of 0 pixels", png(0, 0, flat)),
        ("a JPEG that claims 65500 pixels a side", huge_jpeg),
        ("a GIF that claims 65535 pixels a side", gif),
        ("a BMP that claims 60000 pixels a side", bmp),
        ("a TIFF that claims 60000 pixels a side", tiff),
        ("a WebP that claims 2^24 pixels a side", webp),
        ("a PNG without its pixels", png(4000, 4000, flat)),
        ("an SVG", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
        ("a text", b"GIF87a is how a GIF starts"),
        ("nothing", b""),
    ]:
        refused(what, put(service, body), (415, 422))
    # Small files that unpack to gigabytes beside their pixels, or to more pixels than they claim.
    row = zlib.compress(bytes(49 * 16))
    packed = zeros(2 << 30)
    for what, kind, start in [
        ("profile", b"iCCP", b"x\0\0"),
        ("text", b"zTXt", b"Comment\0\0"),
        ("international text", b"iTXt", b"imagegen\0\1\0\0\0"),
    ]:
        status, got = put(service, png(16, 16, row, chunk(kind, start + packed)))
        true(f"a {what} of 2 GiB does not count as our fault", status in (200, 201, 415, 422), f"{status} {got}")
        refused_recipe = service.call("POST", f"{API}/recipes", png(16, 16, row, chunk(kind, start + packed)))
        same(f"status of the recipe in a {what} of 2 GiB", refused_recipe[0], 422)
    status, got = put(service, png(16, 16, packed))
    true("pixels of 2 GiB for 16 lines are no fault of ours", status in (200, 201, 415, 422), f"{status} {got}")
    for depth in (200, 100_000):
        body = b'{"prompt":' + b"[" * depth + b"]" * depth + b"}"
        refused(f"JSON {depth} deep", post(service, "generations", body), (400, 422))
    refused("JSON of 1 MB", post(service, "generations", json.dumps({"prompt": "x" * 1_000_000}).encode()), (413,), "256 KiB")
    packed_json = zlib.compress(b'{"prompt": "x"}')
    refused("packed JSON", post(service, "generations", packed_json, **{"Content-Encoding": "deflate"}), (400, 415))
    parts = b"".join(b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % at for at in range(20_000))
    refused("a form of 20000 fields", put(service, parts + b"--b--\r\n", **{"Content-Type": "multipart/form-data; boundary=b"}), (400, 422))
    memory = service.memory("VmHWM")
    true(f"memory stays under {MOST_MIB} MiB", memory < MOST_MIB, f"{memory:.0f} MiB")
    print(f"bombs: refused, {memory:.0f} MiB at most")


def post(service, path, body, **headers):
    headers = {"Content-Type": "application/json"} | headers
    status, _, got = service.call("POST", f"{API}/{path}", body, headers)
    return status, got


def broken_off(service):
    photo = (EXAMPLES / "landscape.jpg").read_bytes()
    for share in (0.001, 0.1, 0.5, 0.99):
        refused(f"{share:.1%} of a JPEG", put(service, photo[: int(len(photo) * share)]), (415, 422))
    chance = random.Random(1)
    for _ in range(40):
        body = bytearray(photo[:60_000])
        for _ in range(20):
            body[chance.randrange(len(body))] = chance.randrange(256)
        status, got = put(service, bytes(body))
        true("a damaged JPEG is no fault of ours", status in (200, 201, 415, 422), f"{status} {got}")
    head = f"POST {API}/sources HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    for said in [
        head + "Content-Length: 1000000\r\n\r\nsome",
        head + "Transfer-Encoding: chunked\r\n\r\nffff\r\nsome",
        head + "Content-Le",
    ]:
        with Raw(service) as raw:
            raw.say(said)
    print("broken off: refused")


def large(service):
    """Too large a file is read to its end, so that its sender hears why, on a connection that goes on."""
    body = bytes(11 << 20)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=40)
    connection.request("POST", f"{API}/sources", body)
    answer = connection.getresponse()
    refused("11 MB", (answer.status, json.loads(answer.read())), (413,), "10 MiB (10485760 bytes)")
    connection.request("GET", "/healthz")
    same("status on the same connection", connection.getresponse().status, 200)
    connection.close()
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + body + b"\r\n--b--\r\n"
    refused("11 MB in a form", put(service, form, **{"Content-Type": "multipart/form-data; boundary=b"}), (413,), "10 MiB")
    with Raw(service) as raw:
        raw.say(f"POST {API}/sources HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            raw.say("100000\r\n", bytes(1 << 20), "\r\n")
        raw.say("0\r\n\r\n")
        same("status of 11 MB in pieces of unknown number", raw.status(), 413)
    with Raw(service) as raw:
        raw.say(f"POST {API}/sources HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999\r\n\r\n")
        same("status of 100 TB that were announced", raw.status(), 413)
    print("11 MB: refused in words, drained")


def malformed(service):
    get = "GET /healthz HTTP/1.1\r\n"
    order = f"POST {API}/generations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    for what, said, statuses in [
        ("no HTTP", "\x16\x03\x01\x02\x00\x01\r\n\r\n", (0, 400)),
        ("no host", get + "\r\n", (400,)),
        ("two hosts", get + "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n", (400,)),
        ("an empty host", get + "Host:\r\n\r\n", (400,)),
        ("a head of 200 KB", get + f"Host: 127.0.0.1\r\nX: {'x' * 200_000}\r\n\r\n", (0, 431)),
        ("10000 headers", get + "Host: 127.0.0.1\r\n" + "X: y\r\n" * 10_000 + "\r\n", (0, 400, 431)),
        ("two lengths", order + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", (0, 400)),
        ("a negative length", order + "Content-Length: -1\r\n\r\n{}", (0, 400)),
        ("an odd chunk", order + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", (0, 400)),
        ("a folded header", get + "Host: 127.0.0.1\r\nX: a\r\n b\r\n\r\n", (0, 200, 400)),
        ("a zero byte", get + "Host: 127.0.0.1\r\nX: a\0b\r\n\r\n", (0, 400)),
    ]:
        with Raw(service) as raw:
            try:
                raw.say(said)
            except ConnectionError:
                pass  # told so before all was said
            got = raw.status()
            true(f"the answer to {what} is one of {statuses}", got in statuses, got)
    # Two lengths at odds must not let a second request in behind the first one's back.
    hidden = f"DELETE {API}/session HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with Raw(service, 5) as raw:
        raw.say(order + f"Content-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}")
        first = raw.status()
        true("a request with two kinds of length is refused or ends its connection", first in (0, 400) or is_closed(raw), first)
    print("malformed: refused")


def is_closed(raw):
    try:
        return raw.socket.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def slow(service):
    """Half a head, half a body, an answer that nobody reads: each ends by itself, and nobody else waits."""
    ends = {}

    def half(what, said, statuses):
        start = time.monotonic()
        with Raw(service, 45) as raw:
            raw.say(said)
            ends[what] = (raw.status(), statuses, time.monotonic() - start)

    def drip():
        start = time.monotonic()
        with Raw(service, 45) as raw:
            raw.say("GET /healthz HTTP/1.1\r\n")
            try:
                for _ in range(80):
                    raw.say("X: y\r\n")
                    time.sleep(0.5)
                status = 200
            except OSError:
                status = 0
            ends["a head in drops"] = (status, (0,), time.monotonic() - start)

    head = f"POST {API}/sources HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nsome"
    threads = [
        threading.Thread(target=half, args=("half a head", "GET /healthz HTTP/1.1\r\nHost: 127", (0, 408))),
        threading.Thread(target=half, args=("half a body", head, (408,))),
        threading.Thread(target=drip),
    ]
    idle = [Raw(service) for _ in range(300)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    start = time.monotonic()
    same("health among 300 idle connections and slow ones", service.call("GET", "/healthz")[0], 200)
    waited = time.monotonic() - start
    for thread in threads:
        thread.join(60)
        true("slow requests end", not thread.is_alive())
    for raw in idle:
        raw.socket.close()
    for what, (status, statuses, took) in ends.items():
        true(f"{what} ends with one of {statuses}", status in statuses, status)
        true(f"{what} ends in less than 35 s", took < 35, f"{took:.1f} s")
    same("slow requests", len(ends), 3)
    times = ", ".join(f"{what} {took:.0f} s" for what, (_, _, took) in ends.items())
    print(f"slow: cut off ({times}); others waited {waited * 1000:.0f} ms")


def paths(service):
    for path in [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/../../../../etc/passwd",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/%2e%2e%5c%2e%2e%5cjobs.sqlite",
        "/assets//etc/passwd",
        "/assets/%00",
        "/..;/jobs.sqlite",
        f"{API}/sources/..%2f..%2fjobs.sqlite",
        f"{API}/sources/%2e%2e%2fkeys.json",
        f"{API}/sources/{'a' * 63}%2f",
        f"{API}/sources/{'A' * 64}",
        f"{API}/examples/..%2f..%2fetc%2fpasswd",
        f"{API}/jobs/..%2f..%2fjobs.sqlite",
        f"{API}/jobs/%00/results/0",
        f"{API}/jobs/{'9' * 5000}",
    ]:
        with Raw(service) as raw:
            raw.say(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            got = b""
            while piece := raw.socket.recv(65536):
                got += piece
            status = int(got.split(b" ", 2)[1])
            true(f"{path} is not there", status in (400, 404), status)
            for secret in (b"root:", b"SQLite format"):
                true(f"{path} gives nothing away", secret not in got)
    before = files(service)
    photo = (EXAMPLES / "product.jpg").read_bytes()
    for name in ["../../escaped.jpg", "..%5c..%5cescaped.jpg", "%2fetc%2fescaped.jpg", "a%00b.jpg", "..", "x" * 3000]:
        status, got = put(service, photo, name)
        true(f"a picture named {name[:40]} is taken", status in (200, 201), f"{status} {got}")
        true("its name has no folder in it", not set(got["name"]) & set("/\\\0") and len(got["name"].encode()) < 256, got)
    new = files(service) - before
    same("files of one picture under six names", len(new), 1)
    where = next(iter(new))
    true("it is where sources are", where.parent == service.data / "pictures" / "sources", where)
    true("nothing was written beside the data", set(service.folder.iterdir()) == {service.data, service.log})
    print("paths: nothing given away, nothing written elsewhere")


def files(service):
    return {path for path in service.data.rglob("*") if path.is_file() and "sqlite" not in path.name}


def fetches_nothing(service):
    """No address that a client names is asked for anything."""
    trap = socket.create_server(("127.0.0.1", 0))
    trap.settimeout(2)
    url = f"http://127.0.0.1:{trap.getsockname()[1]}/x.png"
    for order in [
        {"source": url, "prompt": "x"},
        {"prompt": "x", "source": "file:///etc/passwd"},
        {"prompt": "x", "image_url": url, "source": "0" * 64},
    ]:
        refused(f"an order with {order['source'][:20]}", post(service, "transforms", json.dumps(order).encode()), (422,))
    refused("a model from elsewhere", post(service, "generations", json.dumps({"prompt": "x", "model": url}).encode()), (422,))
    refused("a model that is a path", post(service, "generations", b'{"prompt": "x", "model": "../../etc"}'), (422,))
    refused("an address as a picture", put(service, url.encode()), (415, 422))
    try:
        trap.accept()
        sys.exit("error: the service asked an address that a client named")
    except TimeoutError:
        trap.close()
    print("addresses of clients: none asked")


def orders(service):
    """Values out of range are refused at once; what would take all memory or all time is not begun."""
    source = service.put(EXAMPLES / "cat.jpg")
    for what, path, order in [
        ("10^10 pixels", "generations", {"prompt": "x", "width": 100_000, "height": 100_000}),
        ("268 megapixels", "generations", {"prompt": "x", "width": 16384, "height": 16384}),
        ("10^9 steps", "generations", {"prompt": "x", "steps": 10**9}),
        ("200 pictures", "generations", {"prompt": "x", "count": 200}),
        ("-1 pictures", "generations", {"prompt": "x", "count": -1}),
        ("a prompt of 100 KB", "generations", {"prompt": "x" * 100_000}),
        ("strength 1e308", "transforms", {"prompt": "x", "source": source, "strength": 1e308}),
        ("strength -0.1", "transforms", {"prompt": "x", "source": source, "strength": -0.1}),
        ("a size of 10^9", "transforms", {"prompt": "x", "source": source, "size": "1000000000x1"}),
        ("1000 rungs", "ladders", {"prompt": "x", "source": source, "strengths": [at / 1000 for at in range(1000)]}),
        ("a seed of 2^64", "generations", {"prompt": "x", "seed": 2**64}),
    ]:
        refused(what, post(service, path, json.dumps(order).encode()), (422,))
    refused("NaN", post(service, "transforms", b'{"prompt": "x", "source": "0", "strength": NaN}'), (400, 422))
    refused("an unknown field", post(service, "generations", b'{"prompt": "x", "stesp": 3}'), (422,), "stesp")
    print("orders out of range: refused")


def other_sites(service):
    """Neither another site's page nor a foreign name that was made to point here gets anything done."""
    order = json.dumps({"prompt": SECRET_PROMPT, "width": 64, "height": 64}).encode()
    site = "https://evil.example"
    for headers in [
        {"Origin": site},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{service.port + 1}"},
        {"Origin": f"http://127.0.0.1:{service.port}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]:
        for path, body in [("generations", order), ("sources", b"x"), ("session", b'{"key": "x"}')]:
            refused(f"{path} with {headers}", post(service, path, body, **headers), (403,))
        status, _, got = service.call("DELETE", f"{API}/jobs/00000000-0000-7000-8000-000000000000", headers=headers)
        refused(f"a removal with {headers}", (status, got), (403,))
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
        refused(f"an order as {media}", post(service, "generations", order, **{"Content-Type": media}), (415,))
    preflight = {"Origin": site, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for method, headers in [("OPTIONS", preflight), ("GET", {"Origin": site})]:
        _, got, _ = service.call(method, f"{API}/jobs", headers=headers)
        same(f"what {method} allows another site", got.get("Access-Control-Allow-Origin"), None)
    same("jobs that other sites ordered", service.call("GET", f"{API}/jobs?search=business")[2]["jobs"], [])
    for host in ["evil.example", f"evil.example:{service.port}", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example"]:
        for line in (f"GET {API}/jobs", "GET /", f"POST {API}/generations"):
            with Raw(service) as raw:
                raw.say(f"{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n")
                got = raw.status()
                true(f"{line} at {host} is refused", got in (400, 421), got)
    with Raw(service) as raw:
        raw.say(f"GET http://evil.example{API}/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        same("status of a foreign name in the request's line", raw.status(), 421)
    status, headers, _ = service.call("GET", "/")
    same("status of the page", status, 200)
    true("the page may not be framed", "frame-ancestors 'none'" in headers["Content-Security-Policy"])
    true("no script of others runs in it", "script-src 'self'" in headers["Content-Security-Policy"])
    print("other sites, foreign names: refused")


def scripts_in_pictures(service):
    """What somebody put is given back as a picture, never as a page."""
    photo = (EXAMPLES / "cat.jpg").read_bytes() + b"<html><script>alert(1)</script>"
    status, got = put(service, photo, "%3Cscript%3E.html")
    true("a picture with a script behind it is taken", status in (200, 201), got)
    _, headers, _ = service.call("GET", f"{API}/sources/{got['sha256']}")
    same("its type", headers["Content-Type"], "image/jpeg")
    same("whether browsers may guess", headers["X-Content-Type-Options"], "nosniff")
    true("nothing in it may be loaded", "default-src 'none'" in headers["Content-Security-Policy"])
    print("scripts in pictures: given back as pictures")


def keys(binary, folder):
    """Strangers are let into nothing, a revoked key into nothing any more, nobody to another's jobs."""
    with Service(binary, folder) as service:
        made = {name: key_command(service, "add", name).strip() for name in ("one", "two")}
        # The keys came while it ran.
        same("status without a key", service.call("GET", f"{API}/jobs")[0], 401)
        one, two = ({"Authorization": f"Bearer {made[name]}"} for name in ("one", "two"))
        for what, headers in [
            ("none", {}),
            ("empty", {"Authorization": "Bearer "}),
            ("wrong", {"Authorization": "Bearer imagegen_" + "0" * 43}),
            ("short", {"Authorization": one["Authorization"][:-1]}),
            ("long", {"Authorization": one["Authorization"] + "0"}),
            ("in capitals", {"Authorization": "Bearer " + made["one"].upper()}),
            ("of another scheme", {"Authorization": "Basic " + made["one"]}),
            ("in a cookie", {"Cookie": f"imagegen={made['one']}; session={made['one']}"}),
            ("in odd bytes", {"Authorization": "Bearer \xff\xfe"}),
        ]:
            for method, path in [("GET", "/jobs"), ("POST", "/generations"), ("POST", "/sources"), ("GET", "/models"), ("GET", f"/sources/{'0' * 64}")]:
                body = b"{}" if method == "POST" else None
                same(f"status of {method} {path} with a key that is {what}", service.call(method, API + path, body, headers)[0], 401)
            same("status of the metrics", service.call("GET", "/metrics", headers=headers)[0], 401)
        same("status of the key in the address", service.call("GET", f"{API}/jobs?key={made['one']}")[0], 401)
        same("status with a key", service.call("GET", f"{API}/jobs", headers=one)[0], 200)
        order = {"prompt": SECRET_PROMPT, "width": 64, "height": 64, "steps": 1}
        job = service.call("POST", f"{API}/generations", order, one)[2]["id"]
        service.done(job, headers=one)
        for method, path in [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("PUT", "/favourite"), ("GET", "/results/0"), ("GET", "/events"), ("GET", "/sheet")]:
            same(f"status of {method} {path} of another's job", service.call(method, f"{API}/jobs/{job}{path}", headers=two)[0], 404)
        same("another's history", service.call("GET", f"{API}/jobs", headers=two)[2]["jobs"], [])
        same("status of signing in with a wrong key", post(service, "session", b'{"key": "imagegen_wrong"}')[0], 401)
        status, headers, _ = service.call("POST", f"{API}/session", {"key": made["one"]})
        same("status of signing in", status, 204)
        cookie = headers["Set-Cookie"]
        for part in ("HttpOnly", "SameSite=Strict"):
            true(f"the cookie is {part}", part in cookie, cookie)
        true("the cookie does not hold the key", made["one"] not in cookie)
        session = {"Cookie": cookie.split(";")[0]}
        same("status in the session", service.call("GET", f"{API}/jobs", headers=session)[0], 200)
        foreign = session | {"Origin": "https://evil.example"}
        same("status of another site with the session", service.call("POST", f"{API}/generations", order, foreign)[0], 403)
        key_command(service, "revoke", "one")
        same("status with the revoked key", service.call("GET", f"{API}/jobs", headers=one)[0], 401)
        same("status in its session", service.call("GET", f"{API}/jobs", headers=session)[0], 401)
        key_command(service, "revoke", "two")
        same("status without a key after the last was revoked", service.call("GET", f"{API}/jobs")[0] in (200, 401), True)
        stored = b"".join(path.read_bytes() for path in service.data.rglob("*") if path.is_file())
        for name, key in made.items():
            true(f"key {name} is not stored as it is", key.encode() not in stored)
            true(f"key {name} is not logged", key not in service.log.read_text())
        quiet(service)
    exposed(binary, folder)
    print("keys: strangers, revoked keys and other owners kept out")


def exposed(binary, folder):
    """Without a key nobody listens where others can reach it."""
    for arguments in (["--address", "0.0.0.0:0"], ["--address", "[::]:0"], ["--address", "127.0.0.1:0", "--host", "pictures.example"]):
        command = [binary, "serve", *arguments, "--data", folder / "empty"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        true(f"serve {arguments} without a key is refused", ended.returncode not in (0, 101), ended.returncode)
        true("the refusal names keys", "key" in ended.stderr, ended.stderr)


def key_command(service, *arguments):
    command = [service.binary, "keys", *arguments, "--data", service.data]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def quiet(service):
    log = service.log.read_text()
    true("the log names no prompts", SECRET_PROMPT not in log)
    true("nothing panicked", "panic" not in log)
    true("the log has no control characters", log.replace("\n", "").replace("\t", "").isprintable())


def still_works(service):
    true("the service is up", service.is_up())
    same("health", service.call("GET", "/healthz")[0], 200)
    order = {"prompt": SECRET_PROMPT, "width": 64, "height": 64, "steps": 1}
    job = service.call("POST", f"{API}/generations", order)[2]
    same("state of a job after all this", service.done(job["id"])["state"], "done")
    quiet(service)


def main():
    checks = [bombs, broken_off, large, malformed, slow, paths, fetches_nothing, orders, other_sites, scripts_in_pictures]
    with tempfile.TemporaryDirectory() as folder:
        with Service(sys.argv[1], Path(folder) / "open") as service:
            for check in checks:
                check(service)
                true(f"the service is up after {check.__name__}", service.is_up())
            still_works(service)
        keys(sys.argv[1], Path(folder) / "keyed")


main()
