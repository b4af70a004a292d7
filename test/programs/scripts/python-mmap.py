import mmap, os
with open("f", "w+b") as f:
    f.write(b"0123456789" * 1000); f.flush()
    m = mmap.mmap(f.fileno(), 0); print(m[5:8], m.find(b"9"), len(m)); m[0:3] = b"abc"; m.flush(); print(os.pread(f.fileno(), 5, 0)); m.resize(20000); print(len(m), os.fstat(f.fileno()).st_size); m.close()
    p = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY); p[0] = 0; print(os.pread(f.fileno(), 1, 0)); r = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    try: r[0] = 1
    except TypeError: print("read only")
a = mmap.mmap(-1, 8192); pid = os.fork()
if pid == 0: a[0] = 77; os._exit(0)
os.waitpid(pid, 0); print(a[0]); b = mmap.mmap(-1, 1 << 24, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); b[1 << 23] = 5; print(sum(b[1 << 23:(1 << 23) + 4])); b.madvise(mmap.MADV_DONTNEED); print(b[1 << 23])
