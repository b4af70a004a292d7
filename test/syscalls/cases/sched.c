// Scheduling: policies, priorities, affinity.
// calls: sched_yield, sched_getscheduler, sched_setscheduler, sched_getparam,
// calls: sched_setparam, sched_get_priority_max, sched_get_priority_min,
// calls: sched_rr_get_interval, sched_setaffinity, sched_getaffinity, sched_getattr,
// calls: sched_setattr, getpriority, setpriority, ioprio_get, ioprio_set, membarrier,
// calls: rseq
#include "case.h"
#include <linux/membarrier.h>

CASE(sched_yield_returns)
{
	CHECK_OK(sched_yield());
}

CASE(sched_policy)
{
	struct sched_param p = {0};
	CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
	CHECK_OK(sched_getparam(0, &p));
	CHECK_EQ(p.sched_priority, 0);
	CHECK_OK(sched_setscheduler(0, SCHED_BATCH, &p));
	CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
	p.sched_priority = 1;
	CHECK_ERRNO(sched_setscheduler(0, SCHED_OTHER, &p), EINVAL);
	CHECK_ERRNO(sched_setscheduler(0, 99, &p), EINVAL);
	CHECK_ERRNO(sched_getscheduler(-1), EINVAL);
	CHECK_ERRNO(sched_getscheduler(4000000), ESRCH);
}

CASE(sched_priorities)
{
	CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
	CHECK_EQ(sched_get_priority_min(SCHED_RR), 1);
	CHECK_EQ(sched_get_priority_max(SCHED_OTHER), 0);
	CHECK_ERRNO(sched_get_priority_max(99), EINVAL);
	struct timespec ts;
	CHECK_OK(sched_rr_get_interval(0, &ts));
}

CASE(sched_affinity)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CHECK_OK(sched_getaffinity(0, sizeof set, &set));
	int n = CPU_COUNT(&set);
	CHECK(n >= 1);
	CHECK_EQ(sysconf(_SC_NPROCESSORS_ONLN) >= n, 1);
	int first = 0;
	while (!CPU_ISSET(first, &set))
		first++;
	CPU_ZERO(&set);
	CPU_SET(first, &set);
	CHECK_OK(sched_setaffinity(0, sizeof set, &set));
	CPU_ZERO(&set);
	CHECK_OK(sched_getaffinity(0, sizeof set, &set));
	CHECK_EQ(CPU_COUNT(&set), 1);
	CHECK(CPU_ISSET(first, &set));
	CPU_ZERO(&set);
	CHECK_ERRNO(sched_setaffinity(0, sizeof set, &set), EINVAL);
	CHECK_ERRNO(syscall(SYS_sched_getaffinity, 0, 1, &set), EINVAL);
	CHECK_ERRNO(sched_getaffinity(4000000, sizeof set, &set), ESRCH);
	CHECK(syscall(SYS_sched_getaffinity, 0, sizeof set, &set) >= 8);
}

CASE(priority_of_process)
{
	errno = 0;
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 0);
	CHECK_OK(setpriority(PRIO_PROCESS, 0, 5));
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
	CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 15);
	CHECK_OK(setpriority(PRIO_PROCESS, 0, 100));
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 19);
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(setpriority(PRIO_PROCESS, 0, 0), EACCES);
	CHECK_ERRNO(getpriority(99, 0), EINVAL);
	CHECK_ERRNO(getpriority(PRIO_PROCESS, 4000000), ESRCH);
}

CASE(priority_inherited)
{
	CHECK_OK(setpriority(PRIO_PROCESS, 0, 3));
	pid_t pid = CHILD
	{
		CHECK_EQ(getpriority(PRIO_PROCESS, 0), 3);
	}
	CHECK_EXITS(pid, 0);
}

CASE(membarrier_commands)
{
	int set = CHECK_OK(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0));
	CHECK(set & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	CHECK_ERRNO(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), EPERM);
	CHECK_OK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	CHECK_OK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	CHECK_ERRNO(syscall(SYS_membarrier, 1 << 30, 0, 0), EINVAL);
}

CASE(ioprio_basics)
{
	CHECK(syscall(SYS_ioprio_get, 1, 0) >= 0);
	CHECK_OK(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 4));
	CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), 2 << 13 | 4);
	CHECK_ERRNO(syscall(SYS_ioprio_get, 99, 0), EINVAL);
}

CASE(unknown_system_calls)
{
	CHECK_ERRNO(syscall(9999), ENOSYS);
	CHECK_ERRNO(syscall(-1), ENOSYS);
	CHECK_ERRNO(syscall(400), ENOSYS);
	// The x32 numbers are off.
	CHECK_ERRNO(syscall(0x40000000 + SYS_getpid), ENOSYS);
	CHECK_ERRNO(syscall(SYS_tuxcall), ENOSYS);
}
