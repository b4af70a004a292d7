import multiprocessing as mp, os, time
def square(x): return x * x
def put(q, n): q.put((n, os.getpid() != os.getppid()))
def add(v, l):
    for _ in range(500):
        with l: v.value += 1
def child(c): c.send([1, 2]); print(c.recv(), flush=True); c.close()
def spawned(q): q.put("spawned")
def ends(): os._exit(6)
if __name__ == "__main__":
    with mp.Pool(3) as p:
        print(p.map(square, range(10)), p.apply(square, (12,)), sorted(p.imap_unordered(square, range(5))))
    q = mp.Queue(); ps = [mp.Process(target=put, args=(q, i)) for i in range(4)]; [p.start() for p in ps]
    print(sorted(q.get() for _ in ps)); [p.join() for p in ps]; print([p.exitcode for p in ps])
    v, l = mp.Value("i", 0), mp.Lock(); ps = [mp.Process(target=add, args=(v, l)) for _ in range(4)]; [p.start() for p in ps]; [p.join() for p in ps]; print(v.value)
    a, b = mp.Pipe(); p = mp.Process(target=child, args=(b,)); p.start(); print(a.recv(), flush=True); a.send("back"); p.join()
    p = mp.Process(target=ends); p.start(); p.join(); print(p.exitcode); p = mp.Process(target=time.sleep, args=(60,)); p.start(); p.terminate(); p.join(); print(p.exitcode)
    c = mp.get_context("spawn"); q = c.Queue(); p = c.Process(target=spawned, args=(q,)); p.start(); print(q.get()); p.join(); print(p.exitcode)
    from multiprocessing import shared_memory
    s = shared_memory.SharedMemory(create=True, size=100); s.buf[0] = 9; t = shared_memory.SharedMemory(s.name); print(t.buf[0]); t.close(); s.close(); s.unlink()
    with mp.Manager() as m:
        d = m.dict(); d["a"] = 1; print(dict(d))
