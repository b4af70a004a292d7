# Many short processes, deep trees, large arguments.
for i in $(seq 100); do /bin/true; done; echo loops
f() { [ "$1" = 0 ] && { echo bottom; return; }; (f $(($1 - 1))); }; f 25
bash -c 'bash -c "bash -c \"echo deep; exit 6\"; exit \$?"; exit $?'; echo "status $?"
set -- $(seq 20000); /bin/echo "$@" | md5sum; env X="$(head -c 100000 /dev/zero | tr '\0' y)" sh -c 'echo ${#X}'
/bin/echo $(seq 700000) >/dev/null 2>&1; echo "too long $?"; seq 3 | xargs -n1 bash -c 'echo $0 $((0 + $0))'; ( : ) ; sh -c 'exec sh -c "exec echo chain"'
printf '#!/bin/sh\necho script $0 $*\n' >s; chmod +x s; ./s a b; printf '#!/usr/bin/env -S perl -w\nprint "env\\n"' >e; chmod +x e; ./e; printf 'echo no interpreter line\n' >n; chmod +x n; ./n
./missing 2>/dev/null; echo "missing $?"; ./ 2>/dev/null; echo "dir $?"; touch x; ./x 2>/dev/null; echo "not executable $?"; printf '#!/no/such\n' >b; chmod +x b; ./b 2>/dev/null; echo "bad interpreter $?"
