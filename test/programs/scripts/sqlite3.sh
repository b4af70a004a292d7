# The sqlite3 command line: journal modes, locks between processes, WAL.
# needs: sqlite3
sqlite3 a.db 'create table t(a integer primary key, b text); insert into t(b) values("one"),("two"); select * from t; pragma integrity_check;'
sqlite3 a.db 'pragma journal_mode=wal; insert into t(b) select "r" || value from generate_series(1, 1000); select count(*), max(a) from t;' 2>/dev/null || sqlite3 a.db 'pragma journal_mode=wal; with recursive c(x) as (values(1) union all select x + 1 from c where x < 1000) insert into t(b) select "r" || x from c; select count(*) from t;'
sqlite3 a.db '.dump' | md5sum
for i in 1 2 3 4; do sqlite3 -cmd '.timeout 20000' a.db "insert into t(b) values('p$i');" & done; wait; sqlite3 a.db "select count(*) from t where b like 'p%'; pragma wal_checkpoint(truncate);"
sqlite3 a.db '.backup b.db'; sqlite3 b.db 'select count(*) from t'; sqlite3 a.db 'vacuum; pragma integrity_check'
sqlite3 a.db 'begin exclusive; insert into t(b) values("x"); rollback; select count(*) from t where b = "x"'; sqlite3 a.db 'select nosuch' 2>/dev/null; echo "status $?"
printf '1,a\n2,b\n' >c.csv; sqlite3 c.db 'create table c(n, s)' '.mode csv' '.import c.csv c' 'select sum(n) from c'; ls
