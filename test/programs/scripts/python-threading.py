import concurrent.futures, queue, threading, time
n, lock = 0, threading.Lock()
def up():
    global n
    for _ in range(2000):
        with lock:
            n += 1
ts = [threading.Thread(target=up) for _ in range(8)]; [t.start() for t in ts]; [t.join() for t in ts]; print(n)
q = queue.Queue(); r = []
def worker():
    while (x := q.get()) is not None:
        r.append(x * x)
w = [threading.Thread(target=worker) for _ in range(3)]; [t.start() for t in w]
for i in range(100): q.put(i)
for _ in w: q.put(None)
[t.join() for t in w]; print(sum(r))
c = threading.Condition(); ready = []
def waits():
    with c:
        c.wait_for(lambda: ready); print("woken")
t = threading.Thread(target=waits); t.start(); time.sleep(0.05)
with c:
    ready.append(1); c.notify()
t.join()
e = threading.Event(); print(e.wait(0.05)); threading.Timer(0.05, e.set).start(); print(e.wait(5))
b = threading.Barrier(4); out = []
ts = [threading.Thread(target=lambda: (b.wait(), out.append(1))) for _ in range(4)]; [t.start() for t in ts]; [t.join() for t in ts]; print(len(out))
with concurrent.futures.ThreadPoolExecutor(4) as ex: print(sum(ex.map(lambda x: x + 1, range(50))))
l = threading.local(); l.x = 1; s = threading.Semaphore(2); print(s.acquire(timeout=1), s.acquire(), s.acquire(blocking=False)); print(threading.get_native_id() > 0)
