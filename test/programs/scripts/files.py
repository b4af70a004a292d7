# What a file system must do: names, bytes, mappings, and what outlives its
# name. Each line of output is one fact.
import errno
import fcntl
import mmap
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import time


def check(name, f):
    try:
        result = f()
    except OSError as e:
        result = errno.errorcode.get(e.errno, e.errno)
    print(name, result, flush=True)


def refusal(f):
    try:
        f()
    except OSError as e:
        return errno.errorcode.get(e.errno, e.errno)
    return "allowed"


def write(name, content, mode="w"):
    with open(name, mode) as f:
        f.write(content)


def read(name):
    with open(name) as f:
        return f.read()


def shared_mapping():
    with open("map", "w+b") as f:
        f.truncate(8192)
        m = mmap.mmap(f.fileno(), 8192)
        m[0:5] = b"hello"
        m[4096:4099] = b"abc"
        m.flush()
        f.seek(0)
        through_file = f.read(5)
        os.pwrite(f.fileno(), b"J", 0)
        through_map = m[0:5]
        m.close()
    return through_file, through_map, os.stat("map").st_size


def private_mapping():
    with open("map", "rb") as f:
        m = mmap.mmap(f.fileno(), 8192, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        m[0:1] = b"Z"
        return m[0:5], read("map")[:5]


def appends():
    code = """import os
f = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
for i in range(200):
    os.write(f, b"0123456789\\n")
"""
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    for w in writers:
        w.wait()
    lines = read("log").split("\n")
    return len(lines), sorted(set(lines))


def database():
    c = sqlite3.connect("db")
    c.execute("pragma journal_mode=wal")
    c.execute("create table t(a)")
    for i in range(50):
        c.execute("insert into t values(?)", (i,))
        c.commit()
    total = c.execute("select sum(a) from t").fetchone()
    logs = os.path.exists("db-wal")
    c.close()
    return total, logs, os.path.exists("db-wal")


def without_name():
    f = open("gone", "w+")
    f.write("x" * 100)
    f.flush()
    os.unlink("gone")
    f.seek(0)
    os.fchmod(f.fileno(), 0o600)
    before = os.fstat(f.fileno())
    os.ftruncate(f.fileno(), 10)
    return len(f.read()), before.st_nlink, oct(before.st_mode), os.fstat(f.fileno()).st_size


def replaced():
    write("one", "1")
    write("two", "2")
    with open("two") as f:
        os.rename("one", "two")
        return f.read(), read("two"), os.path.exists("one")


def directories():
    os.makedirs("p/q/r")
    write("p/q/r/f", "")
    os.rename("p/q", "p/z")
    names = sorted(n for _, dirs, files in os.walk("p") for n in dirs + files)
    full = refusal(lambda: os.rmdir("p/z"))
    into_itself = refusal(lambda: os.rename("p", "p/z/p"))
    fd = os.open("p/z/r", os.O_RDONLY)
    shutil.rmtree("p")
    return names, full, into_itself, refusal(lambda: print(os.listdir(fd))), os.fstat(fd).st_nlink


def holes():
    f = os.open("sparse", os.O_RDWR | os.O_CREAT)
    os.pwrite(f, b"x", 1 << 20)
    data, hole = os.lseek(f, 0, os.SEEK_DATA) > 0, os.lseek(f, 0, os.SEEK_HOLE)
    os.posix_fallocate(f, 0, 4096)
    os.truncate("sparse", 3 << 20)
    return data, hole, os.fstat(f).st_size, os.pread(f, 4, 2 << 20)


def times_and_modes():
    write("file", "")
    os.utime("file", ns=(1, 2))
    s = os.stat("file")
    os.chmod("file", 0o4755)
    return s.st_atime_ns, s.st_mtime_ns, oct(os.stat("file").st_mode)


def links():
    os.symlink("nowhere", "dangling")
    os.link("file", "hard")
    facts = [os.readlink("dangling"), os.stat("hard").st_nlink, os.path.samefile("hard", "file"),
             os.path.lexists("dangling"), os.path.exists("dangling")]
    os.unlink("file")
    return facts + [os.stat("hard").st_nlink]


def fifo():
    os.mkfifo("fifo")
    p = subprocess.Popen(["sh", "-c", "echo through > fifo"])
    text = read("fifo")
    p.wait()
    return text, stat.S_ISFIFO(os.stat("fifo").st_mode)


def unix_socket():
    with socket.socket(socket.AF_UNIX) as s, socket.socket(socket.AF_UNIX) as c:
        s.bind("socket")
        s.listen(1)
        c.connect("socket")
        a, _ = s.accept()
        with a:
            c.send(b"hi")
            return a.recv(2), stat.S_ISSOCK(os.stat("socket").st_mode)


def locks():
    with open("lock", "w") as f, open("lock", "w") as g:
        fcntl.flock(f, fcntl.LOCK_EX)
        return refusal(lambda: fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB))


def nameless():
    fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(fd, b"was nameless")
    # With a directory Python calls linkat, which can follow the link in /proc.
    os.link("/proc/self/fd/%d" % fd, "named", src_dir_fd=os.open(".", os.O_PATH), follow_symlinks=True)
    return read("named"), os.fstat(fd).st_nlink


def script():
    write("script", "#!/bin/sh\necho ran\n")
    before = refusal(lambda: subprocess.run(["./script"]))
    os.chmod("script", 0o755)
    return before, subprocess.run(["./script"], capture_output=True).stdout


def running():
    shutil.copy("/bin/sleep", "program")
    p = subprocess.Popen(["./program", "30"])
    while os.readlink("/proc/%d/exe" % p.pid) != os.path.abspath("program"):
        time.sleep(0.01)
    busy = refusal(lambda: open("program", "r+b").close())
    p.kill()
    p.wait()
    return busy, refusal(lambda: open("program", "r+b").close())


def many():
    os.mkdir("many")
    for i in range(500):
        write("many/%03d" % i, str(i))
    with os.scandir("many") as entries:
        for n, e in enumerate(entries):
            if n % 2:
                os.unlink(e.path)
    left = sorted(os.listdir("many"))
    same = all(read("many/" + n) == str(int(n)) for n in left)
    return len(left), same, refusal(lambda: os.stat("many/none"))


for name, f in [
    ("shared mapping", shared_mapping), ("private mapping", private_mapping), ("appends", appends),
    ("database", database), ("without a name", without_name), ("replaced", replaced),
    ("directories", directories), ("holes", holes), ("times and modes", times_and_modes), ("links", links),
    ("fifo", fifo), ("socket", unix_socket), ("locks", locks), ("nameless", nameless), ("script", script),
    ("running", running), ("many", many),
    ("open a directory for writing", lambda: os.open(".", os.O_WRONLY)),
    ("a long name", lambda: open("n" * 256, "w")),
    ("a file as directory", lambda: open("hard/x")),
    ("make what is there", lambda: os.mkdir("hard")),
    ("remove a directory as file", lambda: os.unlink("many")),
    ("longest name", lambda: os.statvfs(".").f_namemax),
]:
    check(name, f)
