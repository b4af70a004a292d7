// Clocks, sleeping, interval timers and POSIX timers.
// calls: clock_gettime, clock_getres, clock_nanosleep, nanosleep, gettimeofday, time,
// calls: times, getitimer, setitimer, alarm, timer_create, timer_settime, timer_gettime,
// calls: timer_getoverrun, timer_delete, clock_settime, settimeofday, getrusage, getcpu
#include "case.h"
#include <sys/times.h>

CASE(clock_gettime_clocks)
{
	int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
			CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME};
	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
		struct timespec a, b, res;
		if (syscall(SYS_clock_gettime, clocks[i], &a) != 0)
			FAIL("clock %d: %s", clocks[i], case_errno_name(errno));
		CHECK_OK(clock_gettime(clocks[i], &b));
		CHECK(a.tv_nsec >= 0 && a.tv_nsec < 1000000000);
		CHECK(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
		CHECK_OK(clock_getres(clocks[i], &res));
		CHECK(res.tv_sec == 0 && res.tv_nsec > 0);
	}
	struct timespec ts;
	CHECK_ERRNO(syscall(SYS_clock_gettime, 99, &ts), EINVAL);
	CHECK_ERRNO(syscall(SYS_clock_gettime, CLOCK_REALTIME, BAD_POINTER), EFAULT);
	CHECK_ERRNO(clock_getres(99, &ts), EINVAL);
	CHECK_OK(clock_getres(CLOCK_REALTIME, NULL));
}

CASE(clock_vdso_agrees_with_call)
{
	for (int i = 0; i < 20; i++) {
		struct timespec a, b, c;
		CHECK_OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &a));
		CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &b));
		CHECK_OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &c));
		int64_t x = a.tv_sec * 1000000000LL + a.tv_nsec, y = b.tv_sec * 1000000000LL + b.tv_nsec, z = c.tv_sec * 1000000000LL + c.tv_nsec;
		if (!(x <= y && y <= z))
			FAIL("call %ld, vdso %ld, call %ld", (long)x, (long)y, (long)z);
	}
}

CASE(clock_realtime_agrees_with_others)
{
	struct timespec ts;
	struct timeval tv;
	CHECK_OK(clock_gettime(CLOCK_REALTIME, &ts));
	CHECK_OK(syscall(SYS_gettimeofday, &tv, NULL));
	time_t t = syscall(SYS_time, NULL);
	CHECK(labs(ts.tv_sec - tv.tv_sec) <= 1);
	CHECK(labs(ts.tv_sec - t) <= 1);
	time_t stored = 0;
	t = syscall(SYS_time, &stored);
	CHECK_EQ(t, stored);
}

CASE(clock_cpu_time_grows_with_work)
{
	struct timespec a, b;
	CHECK_OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a));
	int64_t end = case_now_ms() + 50;
	while (case_now_ms() < end)
		for (volatile int i = 0; i < 100000; i++)
			;
	CHECK_OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b));
	int64_t ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	CHECK(ms >= 3);
	CHECK(ms <= 2000);
}

CASE(clock_cpu_time_stands_still_asleep)
{
	struct timespec a, b;
	CHECK_OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a));
	case_sleep_ms(100);
	CHECK_OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b));
	int64_t ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	CHECK(ms < 50);
}

CASE(clock_of_other_process)
{
	clockid_t c;
	struct timespec ts;
	CHECK_EQ(clock_getcpuclockid(getpid(), &c), 0);
	CHECK_OK(clock_gettime(c, &ts));
	CHECK(clock_getcpuclockid(4000000, &c) != 0);
}

CASE(clock_set_needs_privilege)
{
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	struct timespec ts;
	CHECK_OK(clock_gettime(CLOCK_REALTIME, &ts));
	CHECK_ERRNO(clock_settime(CLOCK_REALTIME, &ts), EPERM);
	CHECK_ERRNO(clock_settime(CLOCK_MONOTONIC, &ts), EINVAL);
}

CASE(nanosleep_sleeps)
{
	struct timespec ts = {0, 30000000};
	int64_t start = case_now_ms();
	CHECK_EQ(nanosleep(&ts, NULL), 0);
	CHECK(case_now_ms() - start >= 29);
	ts.tv_nsec = 1000000000;
	CHECK_ERRNO(nanosleep(&ts, NULL), EINVAL);
	ts.tv_nsec = 0;
	ts.tv_sec = -1;
	CHECK_ERRNO(nanosleep(&ts, NULL), EINVAL);
	CHECK_ERRNO(syscall(SYS_nanosleep, BAD_POINTER, NULL), EFAULT);
}

CASE(clock_nanosleep_absolute)
{
	struct timespec ts;
	CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &ts));
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	int64_t start = case_now_ms();
	ts.tv_nsec += 30000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	CHECK(case_now_ms() - start >= 28);
	CHECK_EQ(clock_nanosleep(99, 0, &ts, NULL), EINVAL);
}

static volatile int hits;
static volatile siginfo_t info;

static void count(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	memcpy((void *)&info, si, sizeof *si);
	hits++;
}

static void catch(int sig)
{
	struct sigaction sa = {.sa_sigaction = count, .sa_flags = SA_SIGINFO | SA_RESTART};
	CHECK_OK(sigaction(sig, &sa, NULL));
}

static void wait_for_hits(int n)
{
	for (int i = 0; i < 5000 && hits < n; i++)
		case_sleep_ms(1);
	CHECK(hits >= n);
}

CASE(alarm_rings)
{
	catch(SIGALRM);
	CHECK_EQ(alarm(100), 0);
	unsigned left = alarm(1);
	CHECK(left == 100 || left == 99);
	pause();
	CHECK_EQ(hits, 1);
	CHECK_EQ(alarm(0), 0);
	CHECK_EQ(info.si_code, SI_KERNEL);
}

CASE(itimer_real_repeats)
{
	catch(SIGALRM);
	struct itimerval it = {{0, 5000}, {0, 5000}}, now;
	CHECK_OK(setitimer(ITIMER_REAL, &it, NULL));
	wait_for_hits(3);
	CHECK_OK(getitimer(ITIMER_REAL, &now));
	CHECK_EQ(now.it_interval.tv_usec, 5000);
	it.it_value.tv_usec = it.it_interval.tv_usec = 0;
	CHECK_OK(setitimer(ITIMER_REAL, &it, &now));
	int seen = hits;
	case_sleep_ms(20);
	CHECK_EQ(hits, seen);
}

CASE(itimer_virtual_counts_work)
{
	catch(SIGVTALRM);
	struct itimerval it = {{0, 0}, {0, 10000}};
	CHECK_OK(setitimer(ITIMER_VIRTUAL, &it, NULL));
	int64_t end = case_now_ms() + 10000;
	while (!hits && case_now_ms() < end)
		for (volatile int i = 0; i < 100000; i++)
			;
	CHECK_EQ(hits, 1);
}

CASE(itimer_prof_counts_work)
{
	catch(SIGPROF);
	struct itimerval it = {{0, 0}, {0, 10000}};
	CHECK_OK(setitimer(ITIMER_PROF, &it, NULL));
	int64_t end = case_now_ms() + 10000;
	while (!hits && case_now_ms() < end)
		for (volatile int i = 0; i < 100000; i++)
			;
	CHECK_EQ(hits, 1);
}

CASE(itimer_errors)
{
	struct itimerval it = {{0, 0}, {0, 1000000}};
	CHECK_ERRNO(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
	CHECK_ERRNO(setitimer(99, &it, NULL), EINVAL);
	CHECK_ERRNO(getitimer(99, &it), EINVAL);
	CHECK_ERRNO(getitimer(ITIMER_REAL, BAD_POINTER), EFAULT);
}

CASE(timer_signals)
{
	catch(SIGRTMIN);
	timer_t t;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 55};
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	struct itimerspec it = {{0, 0}, {0, 5000000}}, now;
	CHECK_OK(timer_settime(t, 0, &it, NULL));
	wait_for_hits(1);
	CHECK_EQ(info.si_code, SI_TIMER);
	CHECK_EQ(info.si_value.sival_int, 55);
	CHECK_OK(timer_gettime(t, &now));
	CHECK_EQ(now.it_value.tv_sec + now.it_value.tv_nsec, 0);
	CHECK_OK(timer_delete(t));
	CHECK_ERRNO(timer_delete(t), EINVAL);
}

CASE(timer_overrun)
{
	catch(SIGRTMIN);
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN);
	CHECK_OK(sigprocmask(SIG_BLOCK, &s, NULL));
	timer_t t;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	struct itimerspec it = {{0, 2000000}, {0, 2000000}};
	CHECK_OK(timer_settime(t, 0, &it, NULL));
	case_sleep_ms(30);
	CHECK_OK(sigprocmask(SIG_UNBLOCK, &s, NULL));
	wait_for_hits(1);
	CHECK(info.si_overrun >= 5);
}

CASE(timer_none_and_thread)
{
	timer_t t, u;
	struct sigevent ev = {.sigev_notify = SIGEV_NONE};
	CHECK_OK(timer_create(CLOCK_REALTIME, &ev, &t));
	struct itimerspec it = {{0, 0}, {100, 0}}, now;
	CHECK_OK(timer_settime(t, 0, &it, NULL));
	CHECK_OK(timer_gettime(t, &now));
	CHECK(now.it_value.tv_sec == 99 || now.it_value.tv_sec == 100);
	catch(SIGUSR1);
	struct sigevent tid = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	tid._sigev_un._tid = syscall(SYS_gettid);
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &tid, &u));
	it.it_value.tv_sec = 0;
	it.it_value.tv_nsec = 1000000;
	CHECK_OK(timer_settime(u, 0, &it, NULL));
	wait_for_hits(1);
}

CASE(timer_default_is_sigalrm)
{
	catch(SIGALRM);
	timer_t t;
	CHECK_OK(timer_create(CLOCK_MONOTONIC, NULL, &t));
	struct itimerspec it = {{0, 0}, {0, 1000000}};
	CHECK_OK(timer_settime(t, 0, &it, NULL));
	wait_for_hits(1);
	CHECK_EQ(info.si_code, SI_TIMER);
}

CASE(timer_errors)
{
	timer_t t;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99};
	CHECK_ERRNO(timer_create(CLOCK_MONOTONIC, &ev, &t), EINVAL);
	ev.sigev_signo = SIGUSR1;
	CHECK_ERRNO(timer_create(99, &ev, &t), EINVAL);
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &ev, &t));
	struct itimerspec it = {{0, 0}, {0, 1000000000}};
	CHECK_ERRNO(timer_settime(t, 0, &it, NULL), EINVAL);
	CHECK_EQ(timer_getoverrun(t), 0);
}

CASE(times_and_rusage)
{
	struct tms t;
	struct rusage ru;
	// Linux counts pages in batches, and a small program may show none.
	size_t size = 8 << 20;
	memset(malloc(size), 1, size);
	CHECK(times(&t) != (clock_t)-1);
	CHECK(t.tms_utime >= 0);
	CHECK_OK(getrusage(RUSAGE_SELF, &ru));
	CHECK(ru.ru_maxrss > 0);
	CHECK_OK(getrusage(RUSAGE_CHILDREN, &ru));
	CHECK_OK(getrusage(RUSAGE_THREAD, &ru));
	CHECK_ERRNO(getrusage(99, &ru), EINVAL);
	CHECK_ERRNO(getrusage(RUSAGE_SELF, BAD_POINTER), EFAULT);
}

CASE(getcpu_tells)
{
	unsigned cpu = 99999, node = 99999;
	CHECK_OK(syscall(SYS_getcpu, &cpu, &node, NULL));
	CHECK(cpu < 4096);
	CHECK(node < 64);
}
