import sqlite3, threading
c = sqlite3.connect("a.db", timeout=30); c.execute("create table t(a, b)"); c.executemany("insert into t values(?, ?)", [(i, str(i)) for i in range(1000)]); c.commit()
print(c.execute("select count(*), sum(a) from t").fetchone()); print(c.execute("pragma journal_mode=wal").fetchone())
def add(n):
    d = sqlite3.connect("a.db", timeout=30)
    for i in range(10): d.execute("insert into t values(?, 'thread')", (n,)); d.commit()
    d.close()
ts = [threading.Thread(target=add, args=(i,)) for i in range(4)]; [t.start() for t in ts]; [t.join() for t in ts]
print(c.execute("select count(*) from t where b = 'thread'").fetchone()); c.execute("begin immediate"); e = sqlite3.connect("a.db", timeout=0.1)
try: e.execute("begin immediate")
except sqlite3.OperationalError as x: print(x)
c.rollback(); print(c.execute("pragma integrity_check").fetchone()); m = sqlite3.connect(":memory:"); c.backup(m); print(m.execute("select count(*) from t").fetchone())
