// futex(2), set_robust_list(2) and what threads make of them.
// calls: futex, set_robust_list, get_robust_list, set_tid_address, futex_wake,
// calls: futex_wait, futex_requeue
#include "case.h"
#include <linux/futex.h>

static long futex(volatile void *at, int op, uint32_t val, const void *timeout, volatile void *at2, uint32_t val3)
{
	return syscall(SYS_futex, at, op, val, timeout, at2, val3);
}

static uint32_t *shared_word(void)
{
	uint32_t *w = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(w != MAP_FAILED);
	return w;
}

CASE(futex_wait_value_differs)
{
	uint32_t w = 1;
	CHECK_ERRNO(futex(&w, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
	CHECK_ERRNO(futex(&w, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0), EAGAIN);
}

CASE(futex_errors)
{
	uint32_t w[2] = {0};
	struct timespec bad = {0, 1000000000};
	CHECK_ERRNO(futex((char *)w + 1, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERRNO(futex(BAD_POINTER, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERRNO(futex(w, FUTEX_WAIT, 0, &bad, NULL, 0), EINVAL);
	CHECK_ERRNO(futex(w, FUTEX_WAIT, 0, BAD_POINTER, NULL, 0), EFAULT);
	CHECK_ERRNO(futex(w, 99, 0, NULL, NULL, 0), ENOSYS);
	CHECK_ERRNO(futex(w, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERRNO(futex(w, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
}

CASE(futex_wake_nobody)
{
	uint32_t w = 0;
	CHECK_EQ(futex(&w, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&w, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0), 0);
}

CASE(futex_wait_times_out)
{
	uint32_t w = 0;
	struct timespec ts = {0, 30000000};
	int64_t start = case_now_ms();
	CHECK_ERRNO(futex(&w, FUTEX_WAIT, 0, &ts, NULL, 0), ETIMEDOUT);
	CHECK(case_now_ms() - start >= 29);
}

CASE(futex_wait_bitset_absolute)
{
	uint32_t w = 0;
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += 30000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	int64_t start = case_now_ms();
	CHECK_ERRNO(futex(&w, FUTEX_WAIT_BITSET, 0, &ts, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
	CHECK(case_now_ms() - start >= 28);
	// Past already.
	CHECK_ERRNO(futex(&w, FUTEX_WAIT_BITSET, 0, &ts, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
	clock_gettime(CLOCK_REALTIME, &ts);
	CHECK_ERRNO(futex(&w, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &ts, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
}

CASE(futex_between_processes)
{
	uint32_t *w = shared_word();
	pid_t pid = CHILD
	{
		while (futex(w, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 && *w == 0)
			;
		CHECK_EQ(*w, 1);
	}
	case_wait_state(pid, "S");
	*w = 1;
	CHECK_EQ(futex(w, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	CHECK_EXITS(pid, 0);
}

CASE(futex_in_mapped_file)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_OK(ftruncate(fd, 4096));
	uint32_t *a = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t *b = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t pid = CHILD
	{
		CHECK_EQ(futex(a, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
	}
	case_wait_state(pid, "S");
	// Another address of the same word.
	CHECK_EQ(futex(b, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	CHECK_EXITS(pid, 0);
}

CASE(futex_private_memory_is_not_shared_by_fork)
{
	static uint32_t w;
	pid_t pid = CHILD
	{
		struct timespec ts = {0, 300000000};
		CHECK_ERRNO(futex(&w, FUTEX_WAIT, 0, &ts, NULL, 0), ETIMEDOUT);
	}
	case_wait_state(pid, "S");
	CHECK_EQ(futex(&w, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	CHECK_EXITS(pid, 0);
}

struct waiters {
	uint32_t word, other;
	volatile int woken;
	volatile pid_t tid[8];
	uint32_t bits[8];
	pthread_t thread[8];
};

struct start {
	struct waiters *w;
	int i;
};

static void *waits(void *arg)
{
	struct start s = *(struct start *)arg;
	free(arg);
	s.w->tid[s.i] = syscall(SYS_gettid);
	long r = futex(&s.w->word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, s.w->bits[s.i]);
	__atomic_add_fetch(&s.w->woken, 1, __ATOMIC_SEQ_CST);
	return (void *)r;
}

static void start_waiters(struct waiters *w, int n)
{
	for (int i = 0; i < n; i++) {
		struct start *s = malloc(sizeof *s);
		s->w = w;
		s->i = i;
		if (!w->bits[i])
			w->bits[i] = FUTEX_BITSET_MATCH_ANY;
		CHECK_THREAD(pthread_create(&w->thread[i], NULL, waits, s));
		while (!w->tid[i])
			case_sleep_ms(1);
		case_wait_state(w->tid[i], "S");
	}
}

static void join_waiters(struct waiters *w, int n)
{
	for (int i = 0; i < n; i++) {
		void *r;
		CHECK_THREAD(pthread_join(w->thread[i], &r));
		CHECK_EQ((long)r, 0);
	}
}

CASE(futex_wake_counts)
{
	static struct waiters w;
	start_waiters(&w, 5);
	CHECK_EQ(futex(&w.word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2);
	while (w.woken != 2)
		case_sleep_ms(1);
	CHECK_EQ(futex(&w.word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 3);
	join_waiters(&w, 5);
}

CASE(futex_bitset_selects)
{
	static struct waiters w = {.bits = {1, 2, 4}};
	start_waiters(&w, 3);
	CHECK_EQ(futex(&w.word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 8), 0);
	CHECK_EQ(futex(&w.word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2), 1);
	CHECK_THREAD(pthread_join(w.thread[1], NULL));
	CHECK_EQ(w.woken, 1);
	CHECK_EQ(futex(&w.word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 5), 2);
	CHECK_THREAD(pthread_join(w.thread[0], NULL));
	CHECK_THREAD(pthread_join(w.thread[2], NULL));
}

CASE(futex_requeue)
{
	static struct waiters w;
	start_waiters(&w, 4);
	CHECK_EQ(futex(&w.word, FUTEX_REQUEUE_PRIVATE, 1, (void *)2, &w.other, 0), 3);
	CHECK_EQ(futex(&w.other, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 2);
	CHECK_EQ(futex(&w.word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 1);
	join_waiters(&w, 4);
}

CASE(futex_cmp_requeue)
{
	static struct waiters w;
	start_waiters(&w, 3);
	CHECK_ERRNO(futex(&w.word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &w.other, 1), EAGAIN);
	CHECK_EQ(futex(&w.word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &w.other, 0), 3);
	CHECK_EQ(futex(&w.other, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 2);
	join_waiters(&w, 3);
}

CASE(futex_wake_op)
{
	static struct waiters w;
	start_waiters(&w, 2);
	w.other = 5;
	// other += 3, and wake there too if it was 5.
	uint32_t op = FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5);
	CHECK_EQ(futex(&w.word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)10, &w.other, op), 1);
	CHECK_EQ(w.other, 8);
	CHECK_EQ(futex(&w.other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)10, &w.word, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0)), 1);
	join_waiters(&w, 2);
}

static volatile int hits;

static void count(int sig)
{
	(void)sig;
	hits++;
}

CASE(futex_wait_interrupted)
{
	uint32_t *w = shared_word();
	struct sigaction sa = {.sa_handler = count};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
	}
	CHECK_ERRNO(futex(w, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
	CHECK_EQ(hits, 1);
	CHECK_EXITS(pid, 0);
}

CASE(futex_wait_restarted)
{
	uint32_t *w = shared_word();
	struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
		case_sleep_ms(20);
		case_wait_state(parent, "S");
		*w = 1;
		futex(w, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
	CHECK_EQ(futex(w, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
	CHECK_EQ(hits, 1);
	CHECK_EXITS(pid, 0);
}

// Threads.

static void *returns_arg(void *arg)
{
	return arg;
}

CASE(thread_create_and_join)
{
	pthread_t t[20];
	void *r;
	for (long i = 0; i < 20; i++)
		CHECK_THREAD(pthread_create(&t[i], NULL, returns_arg, (void *)i));
	for (long i = 0; i < 20; i++) {
		CHECK_THREAD(pthread_join(t[i], &r));
		CHECK_EQ((long)r, i);
	}
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *adds(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&lock);
		counter++;
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

CASE(thread_mutex_contended)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		CHECK_THREAD(pthread_create(&t[i], NULL, adds, NULL));
	for (int i = 0; i < 4; i++)
		CHECK_THREAD(pthread_join(t[i], NULL));
	CHECK_EQ(counter, 8000);
}

static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn;

static void *ping(void *arg)
{
	int me = (long)arg;
	for (int i = 0; i < 200; i++) {
		pthread_mutex_lock(&lock);
		while (turn != me)
			pthread_cond_wait(&cond, &lock);
		turn = !me;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

CASE(thread_condition_ping_pong)
{
	pthread_t a, b;
	CHECK_THREAD(pthread_create(&a, NULL, ping, (void *)0));
	CHECK_THREAD(pthread_create(&b, NULL, ping, (void *)1));
	CHECK_THREAD(pthread_join(a, NULL));
	CHECK_THREAD(pthread_join(b, NULL));
	CHECK_EQ(turn, 0);
}

CASE(thread_cond_timedwait)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 20000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	pthread_mutex_lock(&lock);
	CHECK_EQ(pthread_cond_timedwait(&cond, &lock, &ts), ETIMEDOUT);
}

CASE(thread_process_shared_mutex)
{
	struct {
		pthread_mutex_t m;
		long n;
	} *s = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	CHECK_THREAD(pthread_mutex_init(&s->m, &a));
	pid_t pids[3];
	for (int i = 0; i < 3; i++) {
		pids[i] = CHILD
		{
			for (int n = 0; n < 1000; n++) {
				pthread_mutex_lock(&s->m);
				s->n++;
				pthread_mutex_unlock(&s->m);
			}
		}
	}
	for (int i = 0; i < 3; i++)
		CHECK_EXITS(pids[i], 0);
	CHECK_EQ(s->n, 3000);
}

CASE(thread_robust_mutex_of_dead_process)
{
	pthread_mutex_t *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	CHECK_THREAD(pthread_mutex_init(m, &a));
	pid_t pid = CHILD
	{
		pthread_mutex_lock(m);
		raise(SIGKILL);
	}
	CHECK_KILLED(pid, SIGKILL);
	CHECK_EQ(pthread_mutex_lock(m), EOWNERDEAD);
	CHECK_THREAD(pthread_mutex_consistent(m));
	CHECK_THREAD(pthread_mutex_unlock(m));
	CHECK_THREAD(pthread_mutex_lock(m));
}

CASE(thread_robust_mutex_wakes_waiter)
{
	pthread_mutex_t *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	CHECK_THREAD(pthread_mutex_init(m, &a));
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		pthread_mutex_lock(m);
		write(p[1], "l", 1);
		case_sleep_ms(5);
		case_wait_state(parent, "S");
		raise(SIGKILL);
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(pthread_mutex_lock(m), EOWNERDEAD);
	CHECK_KILLED(pid, SIGKILL);
}

CASE(thread_robust_list_errors)
{
	CHECK_ERRNO(syscall(SYS_set_robust_list, 0, 23), EINVAL);
	struct robust_list_head head = {{&head.list}, 0, NULL};
	CHECK_OK(syscall(SYS_set_robust_list, &head, sizeof head));
	void *got = NULL;
	size_t len = 0;
	CHECK_OK(syscall(SYS_get_robust_list, 0, &got, &len));
	CHECK(got == &head);
	CHECK_EQ(len, sizeof head);
}

CASE(thread_pi_mutex)
{
	pthread_mutexattr_t a;
	pthread_mutex_t m;
	pthread_mutexattr_init(&a);
	CHECK_THREAD(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
	int e = pthread_mutex_init(&m, &a);
	CHECK_EQ(e, 0);
	CHECK_THREAD(pthread_mutex_lock(&m));
	CHECK_THREAD(pthread_mutex_unlock(&m));
}

static void *takes_pi(void *arg)
{
	pthread_mutex_lock(arg);
	counter++;
	pthread_mutex_unlock(arg);
	return NULL;
}

CASE(thread_pi_mutex_contended)
{
	pthread_mutexattr_t a;
	static pthread_mutex_t m;
	pthread_mutexattr_init(&a);
	CHECK_THREAD(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
	CHECK_THREAD(pthread_mutex_init(&m, &a));
	CHECK_THREAD(pthread_mutex_lock(&m));
	pthread_t t[3];
	for (int i = 0; i < 3; i++)
		CHECK_THREAD(pthread_create(&t[i], NULL, takes_pi, &m));
	case_sleep_ms(20);
	CHECK_EQ(counter, 0);
	CHECK_THREAD(pthread_mutex_unlock(&m));
	for (int i = 0; i < 3; i++)
		CHECK_THREAD(pthread_join(t[i], NULL));
	CHECK_EQ(counter, 3);
}

CASE(thread_barrier_and_rwlock)
{
	pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
	CHECK_THREAD(pthread_rwlock_rdlock(&rw));
	CHECK_EQ(pthread_rwlock_trywrlock(&rw), EBUSY);
	CHECK_THREAD(pthread_rwlock_unlock(&rw));
	CHECK_THREAD(pthread_rwlock_wrlock(&rw));
	CHECK_EQ(pthread_rwlock_tryrdlock(&rw), EBUSY);
}

CASE(thread_set_tid_address)
{
	int word = 0;
	CHECK_EQ(syscall(SYS_set_tid_address, &word), syscall(SYS_gettid));
}

CASE(thread_clear_child_tid)
{
	// What pthread_join waits for: the word is zeroed and woken at the end.
	static char stack[65536] __attribute__((aligned(16)));
	static volatile pid_t word = -1;
	extern int clone_thread(void *);
	pid_t tid = clone(clone_thread, stack + sizeof stack,
			  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
			  NULL, &word, NULL, &word);
	CHECK(tid > 0);
	pid_t seen;
	while ((seen = word) != 0) {
		CHECK_EQ(seen, tid);
		futex(&word, FUTEX_WAIT, seen, NULL, NULL, 0);
	}
}

int clone_thread(void *arg)
{
	(void)arg;
	struct timespec ts = {0, 10000000};
	syscall(SYS_nanosleep, &ts, NULL);
	syscall(SYS_exit, 0);
	return 0;
}

// The calls of Linux 6.7 that do one thing each; glibc here has no numbers.
#define FUTEX2_U32 2
#define FUTEX2_PRIVATE_ 128

static long futex_wake_(volatile void *at, unsigned long mask, int n, unsigned flags)
{
	return syscall(454, at, mask, n, flags);
}

static long futex_wait_(volatile void *at, unsigned long val, unsigned long mask, unsigned flags, void *timeout, int clock)
{
	return syscall(455, at, val, mask, flags, timeout, clock);
}

CASE(futex2_wait_and_wake)
{
	uint32_t *w = shared_word();
	if (futex_wake_(w, 1, 1, FUTEX2_U32) == -1 && errno == ENOSYS)
		SKIP("no futex_wake");
	CHECK_ERRNO(futex_wait_(w, 1, ~0U, FUTEX2_U32, NULL, 0), EAGAIN);
	CHECK_ERRNO(futex_wait_(w, 0, 0, FUTEX2_U32, NULL, 0), EINVAL);
	CHECK_ERRNO(futex_wait_(w, 0, ~0U, 0x1000, NULL, 0), EINVAL);
	pid_t pid = CHILD
	{
		CHECK_EQ(futex_wait_(w, 0, ~0U, FUTEX2_U32, NULL, 0), 0);
	}
	case_wait_state(pid, "S");
	CHECK_EQ(futex_wake_(w, ~0U, 5, FUTEX2_U32), 1);
	CHECK_EXITS(pid, 0);
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	CHECK_ERRNO(futex_wait_(w, 0, ~0U, FUTEX2_U32, &ts, CLOCK_MONOTONIC), ETIMEDOUT);
}

CASE(futex2_requeue)
{
	static struct waiters w;
	struct futex_waitv from[2] = {
	    {.val = 0, .uaddr = (uintptr_t)&w.word, .flags = FUTEX2_U32 | FUTEX2_PRIVATE_},
	    {.val = 0, .uaddr = (uintptr_t)&w.other, .flags = FUTEX2_U32 | FUTEX2_PRIVATE_},
	};
	if (syscall(456, from, 0, 0, 0) == -1 && errno == ENOSYS)
		SKIP("no futex_requeue");
	start_waiters(&w, 3);
	CHECK_EQ(syscall(456, from, 0, 1, 10), 3);
	CHECK_EQ(futex_wake_(&w.other, ~0U, 10, FUTEX2_U32 | FUTEX2_PRIVATE_), 2);
	join_waiters(&w, 3);
}
