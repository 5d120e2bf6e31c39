"""Many clients at once, power cuts in mid-job, an orderly end.

check.py BINARY. LOAD_SECONDS is how long the clients go on (10 unless set), LOAD_CLIENTS how many they are (200).
Counts and memory are checked; timings are printed.
"""

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from service import EXAMPLES, PATIENCE, Service, same, true

SECONDS = float(os.environ.get("LOAD_SECONDS", "10"))
CLIENTS = int(os.environ.get("LOAD_CLIENTS", "200"))
# Memory may grow by this much between the first third of the load and its end: what the allocator keeps, pages of
# SQLite, and the jobs' own rows.
SLACK_MIB = 48
QUEUE = 64
SMALL = {"width": 64, "height": 64, "steps": 1}
CHEAP = ("/healthz", "/api/v1/jobs", "/api/v1/models")


class Load:
    """What the clients did and saw."""

    def __init__(self, url, source):
        self.url, self.source = url, source
        self.end = time.monotonic() + SECONDS
        self.ordered = {}  # idempotency key: name of the job
        self.times = {path: [] for path in CHEAP}
        self.refused = self.repeated = self.dropped = self.streams = 0
        self.memory = []

    def is_on(self):
        return time.monotonic() < self.end

    async def client(self, number, session):
        """One person: orders, looks around, orders again, repeats an order now and then."""
        chance = random.Random(number)
        await asyncio.sleep(chance.uniform(0, min(2, SECONDS / 4)))
        count = 0
        while self.is_on():
            count += 1
            job = await self.order(session, f"{number}-{count}", chance)
            if job and chance.random() < 0.1:
                await self.follow(session, job, chance)
            for _ in range(chance.randrange(2, 6)):
                path = chance.choice(CHEAP)
                start = time.monotonic()
                async with session.get(self.url + path) as answer:
                    await answer.read()
                    same(f"status of {path}", answer.status, 200)
                self.times[path].append(time.monotonic() - start)
                await asyncio.sleep(chance.uniform(0, 0.2))

    async def order(self, session, key, chance):
        """Orders under a key until it is taken. The name of the job; None where the time is up."""
        if chance.random() < 0.7:
            path, body = "/api/v1/generations", SMALL | {"prompt": f"order {key}"}
        else:
            body = {"source": self.source, "prompt": f"order {key}", "size": "64", "steps": 2, "strength": 0.5}
            path = "/api/v1/transforms"
        unsure = chance.random() < 0.1
        if unsure:
            await self.send_and_go(path, body, key)
        while self.is_on() or unsure:
            headers = {"Idempotency-Key": key}
            async with session.post(self.url + path, json=body, headers=headers) as answer:
                got = await answer.json()
                if answer.status == 429:
                    self.refused += 1
                    true("a refusal says when to come again", int(answer.headers["Retry-After"]) >= 1)
                    # Sooner than told, for more of them.
                    await asyncio.sleep(chance.uniform(0.2, 0.8))
                    continue
                same("status of an order", answer.status, 202)
            before = self.ordered.setdefault(key, got["id"])
            same(f"the job of order {key}, sent again", got["id"], before)
            if chance.random() < 0.2:
                self.repeated += 1
                async with session.post(self.url + path, json=body, headers=headers) as answer:
                    same("status of a repeated order", answer.status, 202)
                    same("the job of a repeated order", (await answer.json())["id"], before)
            return got["id"]
        return None

    async def send_and_go(self, path, body, key):
        """Sends an order and leaves without waiting for the answer."""
        body = json.dumps(body)
        address, port = self.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(address, int(port))
        head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()
        self.dropped += 1

    async def follow(self, session, job, chance):
        """Reads events, to the end or until it has enough."""
        most = chance.uniform(0.1, 3)
        timeout = aiohttp.ClientTimeout(total=most)
        try:
            async with session.get(f"{self.url}/api/v1/jobs/{job}/events", timeout=timeout) as answer:
                true("the stream of events opens", answer.status in (200, 429), answer.status)
                if answer.status == 200:
                    first = await answer.content.readline()
                    same("first event", first, b"event: job\n")
                    self.streams += 1
                    await answer.read()
        except asyncio.TimeoutError:
            pass

    async def watch(self, service):
        while self.is_on():
            self.memory.append(service.memory())
            await asyncio.sleep(0.1)


async def load(service, source):
    work = Load(service.url, source)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        clients = [work.client(number, session) for number in range(CLIENTS)]
        await asyncio.gather(work.watch(service), *clients)
    return work


def quick(metrics, route):
    """Share of a route's requests that the service answered in less than 50 ms: clients wait for each other, too."""

    def bucket(end):
        name = f'imagegen_http_request_seconds_bucket{{le="{end}",route="{route}"}}'
        return next(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name))

    return bucket("0.05") / bucket("+Inf")


def everything(service):
    """All jobs of the history, page by page."""
    jobs, before = [], ""
    while True:
        status, _, page = service.call("GET", f"/api/v1/jobs?limit=100{before}")
        same("status of the history", status, 200)
        jobs += page["jobs"]
        if page["next"] is None:
            return jobs
        before = f"&before={page['next']}"


def wait_for_all(service, timeout_s):
    end = time.monotonic() + timeout_s * PATIENCE
    while True:
        jobs = everything(service)
        left = [job for job in jobs if job["state"] in ("queued", "running")]
        if not left:
            return jobs
        if time.monotonic() > end:
            sys.exit(f"error: {len(left)} of {len(jobs)} jobs are not over after {timeout_s} s")
        time.sleep(0.5)


def is_whole(png):
    return png.startswith(b"\x89PNG\r\n\x1a\n") and png.endswith(b"IEND\xaeB`\x82")


def check_jobs(jobs, ordered):
    """Each order is one job, done, with one picture."""
    names = [job["id"] for job in jobs]
    same("jobs that the history names twice", len(names) - len(set(names)), 0)
    same("jobs that were lost", sorted(set(ordered.values()) - set(names)), [])
    same("jobs that nobody ordered, or twice", sorted(set(names) - set(ordered.values())), [])
    prompts = [job["order"]["prompt"] for job in jobs]
    same("orders that became several jobs", len(prompts) - len(set(prompts)), 0)
    for job in jobs:
        same(f"state of {job['id']}", (job["state"], len(job["results"])), ("done", 1))


def check_load(binary, folder):
    arguments = ["--queue", str(QUEUE), "--jobs-per-key", str(QUEUE)]
    with Service(binary, folder, *arguments) as service:
        source = service.put(EXAMPLES / "cat.jpg")
        _, _, warm = service.call("POST", "/api/v1/generations", SMALL | {"prompt": "warm"})
        service.done(warm["id"])
        service.call("DELETE", f"/api/v1/jobs/{warm['id']}")
        work = asyncio.run(load(service, source))
        jobs = wait_for_all(service, 180)
        check_jobs(jobs, work.ordered)
        for job in random.sample(jobs, min(20, len(jobs))):
            status, _, png = service.call("GET", f"/api/v1/jobs/{job['id']}/results/0")
            true(f"the picture of {job['id']} is whole", status == 200 and is_whole(png), status)
        third = max(1, len(work.memory) // 3)
        early, late = statistics.median(work.memory[:third]), statistics.median(work.memory[-third:])
        most = service.memory("VmHWM")
        print(f"{CLIENTS} clients, {SECONDS:g} s: {len(jobs)} jobs, none lost, none doubled;", end=" ")
        print(f"{work.refused} times told to come later, {work.repeated} sent again, {work.dropped} connections")
        print(f"broken, {work.streams} streams; memory {early:.0f} MiB early, {late:.0f} late, {most:.0f} at most")
        metrics = service.call("GET", "/metrics")[2].decode()
        for path, times in work.times.items():
            times.sort()
            p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
            share = quick(metrics, path)
            print(f"  GET {path}: {len(times)} times, p50 {p50:.1f} ms, p99 {p99:.1f} ms here;", end=" ")
            print(f"{share:.2%} under 50 ms as the service measures them")
        true("there was load", len(jobs) > 5 and work.refused > 0 and work.dropped > 0 and work.streams > 0)
        true(f"memory grows by less than {SLACK_MIB} MiB", late - early < SLACK_MIB, f"{early:.0f} to {late:.0f} MiB")
        true("nothing panicked", "panic" not in service.log.read_text())


def order_some(service, source, count):
    """Orders one long job and some short ones. Their names in order."""
    long = {"source": source, "prompt": "long", "size": "160", "steps": 6, "strength": 1, "count": 8}
    names = [service.call("POST", "/api/v1/transforms", long)[2]["id"]]
    for number in range(count):
        order = SMALL | {"prompt": f"short {number}", "seed": 2**64 - 1 - number}
        names.append(service.call("POST", "/api/v1/generations", order)[2]["id"])
    return names


def wait_for_results(service, job, count):
    while True:
        got = service.call("GET", f"/api/v1/jobs/{job}")[2]
        if len(got["results"]) >= count and got["state"] == "running":
            return got
        true("the long job is not over yet", got["state"] in ("queued", "running"), got["state"])
        time.sleep(0.02)


def check_power_cut(binary, folder):
    """SIGKILL in mid-job: the queue is intact, the job goes on where it was, its pictures stay."""
    with Service(binary, folder) as service:
        names = order_some(service, service.put(EXAMPLES / "cat.jpg"), 4)
        long = names[0]
        made = wait_for_results(service, long, 2)["results"]
        first = service.call("GET", f"/api/v1/jobs/{long}/results/0")[2]
        service.kill()
        service.start()
        got = {job["id"]: job for job in everything(service)}
        same("jobs after the power cut", sorted(got), sorted(names))
        jobs = {job["id"]: job for job in wait_for_all(service, 180)}
        for name in names:
            job = jobs[name]
            want = 8 if name == long else 1
            same(f"state of {job['order']['prompt']}", (job["state"], len(job["results"])), ("done", want))
            same("places of its pictures", [it["index"] for it in job["results"]], list(range(want)))
            for at in range(want):
                png = service.call("GET", f"/api/v1/jobs/{name}/results/{at}")[2]
                true(f"picture {at} of {job['order']['prompt']} is whole", is_whole(png))
        same("attempts at the long job", jobs[long]["attempts"], 2)
        same("seeds of the first pictures", [it["seed"] for it in jobs[long]["results"][:2]], [it["seed"] for it in made[:2]])
        same("the first picture", service.call("GET", f"/api/v1/jobs/{long}/results/0")[2] == first, True)
        order = sorted(names[1:], key=lambda name: jobs[name]["finished_ms"])
        same("order of the short jobs", order, names[1:])
        same("seed of 64 bits", jobs[names[1]]["order"]["seed"], str(2**64 - 1))
        odd = [path for path in service.data.rglob("*") if "tmp" in path.name or "#" in path.name]
        same("unfinished files that were left", odd, [])
        print(f"kill -9 in mid-job: {len(names)} jobs intact, the running one done at its second attempt")


def check_second_power_cut(binary, folder):
    """A job that was cut off twice is not tried a third time, and says why; the others go on."""
    with Service(binary, folder) as service:
        names = order_some(service, service.put(EXAMPLES / "cat.jpg"), 1)
        for attempt in (1, 2):
            wait_for_results(service, names[0], attempt)
            service.kill()
            service.start()
        jobs = {job["id"]: job for job in wait_for_all(service, 180)}
        long, short = (jobs[name] for name in names)
        same("state after two power cuts", long["state"], "failed")
        true("the failure says why", len(long["failure"]["message"]) > 20, long["failure"])
        true("its pictures stay", len(long["results"]) >= 2, len(long["results"]))
        same("state of the job behind it", short["state"], "done")
        print(f"kill -9 twice: failed, \"{long['failure']['message']}\"; the next one done")


def check_end(binary, folder):
    """SIGTERM: streams end with a word, the job goes back to the queue and is done after a start."""

    async def stream_until_end(service, job):
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{service.url}/api/v1/jobs/{job}/events") as answer:
                await answer.content.readline()
                took = await asyncio.to_thread(service.stop, 25)
                rest = (await answer.read()).decode()
                return took, rest

    with Service(binary, folder) as service:
        names = order_some(service, service.put(EXAMPLES / "cat.jpg"), 1)
        wait_for_results(service, names[0], 1)
        took, rest = asyncio.run(stream_until_end(service, names[0]))
        true("the stream says that the service ends", "event: shutdown\n" in rest, rest[-300:])
        service.start()
        jobs = {job["id"]: job for job in wait_for_all(service, 180)}
        for name in names:
            same("state after the start", jobs[name]["state"], "done")
        same("attempts, of which an orderly end takes none", jobs[names[0]]["attempts"], 1)
        print(f"SIGTERM in mid-job: ended in {took:.1f} s, the job done after the start")


def main():
    with tempfile.TemporaryDirectory() as folder:
        for number, check in enumerate((check_load, check_power_cut, check_second_power_cut, check_end)):
            check(sys.argv[1], Path(folder) / str(number))


main()
