# A project of several files, built in parallel, rebuilt in part; a shared library.
# needs: gcc make
# limit: 180
mkdir src; cat >src/a.c <<'C'
#include "a.h"
#include <stdio.h>
int main(void) { printf("%d %s\n", twice(21), name()); return 0; }
C
cat >src/a.h <<'C'
int twice(int); const char *name(void);
C
echo '#include "a.h"
int twice(int x) { return 2 * x; }' >src/b.c
echo '#include "a.h"
const char *name(void) { return "made"; }' >src/c.c
cat >Makefile <<'M'
OBJ = src/a.o src/b.o src/c.o
CFLAGS = -O2 -Wall
prog: $(OBJ)
	$(CC) -o $@ $^
src/%.o: src/%.c src/a.h
	$(CC) $(CFLAGS) -c -o $@ $<
clean:
	rm -f prog $(OBJ)
M
make -j2 | sort; ./prog; make; touch -d '+1 minute' src/b.c; make 2>/dev/null; ./prog; make clean; ls src
gcc -shared -fPIC -o libx.so src/b.c src/c.c && gcc -o dyn src/a.c -L. -lx -Wl,-rpath,"$PWD" && ./dyn; gcc -static -o st src/*.c && ./st; ldd dyn | grep -c libx
echo 'int main(void) { return x; }' | gcc -x c - -o /dev/null 2>&1 | grep -c error; echo "gcc ${PIPESTATUS[1]}"
printf 'fail:\n\t@false\n' | make -f - 2>&1 | grep -o 'Error 1'; gcc -g -pthread -x c - -o t <<'C' && ./t
#include <pthread.h>
#include <stdio.h>
static void *f(void *a) { return (void *)((long)a * 3); }
int main(void) { pthread_t t[4]; long s = 0; void *r; for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, f, (void *)i); for (int i = 0; i < 4; i++) { pthread_join(t[i], &r); s += (long)r; } printf("threads %ld\n", s); }
C
g++ -O1 -x c++ - -o cpp 2>/dev/null <<'C' && ./cpp
#include <iostream>
#include <map>
#include <stdexcept>
#include <thread>
int main() { std::map<std::string, int> m{{"a", 1}}; try { m.at("b"); } catch (const std::out_of_range &) { std::cout << "caught\n"; } std::thread([] { std::cout << "thread\n"; }).join(); }
C
ar rcs lib.a src/b.o 2>/dev/null; echo "ar $?"
