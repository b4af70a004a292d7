// User and group ids, supplementary groups, capabilities, limits, prctl.
// calls: getuid, geteuid, getgid, getegid, getresuid, getresgid, setuid, setgid,
// calls: setreuid, setregid, setresuid, setresgid, setfsuid, setfsgid, getgroups,
// calls: setgroups, capget, capset, prctl, getrlimit, setrlimit, prlimit64, arch_prctl
#include "case.h"
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static void check_uids(uid_t r, uid_t e, uid_t s)
{
	uid_t gr, ge, gs;
	CHECK_OK(getresuid(&gr, &ge, &gs));
	if (gr != r || ge != e || gs != s)
		FAIL("expected uids %u %u %u, got %u %u %u", r, e, s, gr, ge, gs);
}

CASE(creds_agree)
{
	uid_t r, e, s;
	CHECK_OK(getresuid(&r, &e, &s));
	CHECK_EQ(getuid(), r);
	CHECK_EQ(geteuid(), e);
	gid_t gr, ge, gs;
	CHECK_OK(getresgid(&gr, &ge, &gs));
	CHECK_EQ(getgid(), gr);
	CHECK_EQ(getegid(), ge);
	CHECK_ERRNO(syscall(SYS_getresuid, BAD_POINTER, &e, &s), EFAULT);
}

CASE(setresuid_as_root)
{
	NEED_ROOT();
	CHECK_OK(syscall(SYS_setresuid, 100, 200, 300));
	check_uids(100, 200, 300);
	CHECK_OK(syscall(SYS_setresuid, 300, 100, -1));
	check_uids(300, 100, 300);
	CHECK_ERRNO(syscall(SYS_setresuid, 400, -1, -1), EPERM);
	CHECK_ERRNO(syscall(SYS_setresuid, -1, 0, -1), EPERM);
}

CASE(setuid_as_root_sets_all)
{
	NEED_ROOT();
	CHECK_OK(syscall(SYS_setuid, 500));
	check_uids(500, 500, 500);
	CHECK_ERRNO(syscall(SYS_setuid, 0), EPERM);
	CHECK_ERRNO(syscall(SYS_setuid, -1), EINVAL);
}

CASE(setuid_as_user_sets_effective)
{
	NEED_ROOT();
	CHECK_OK(syscall(SYS_setresuid, 100, 100, 200));
	CHECK_OK(syscall(SYS_setuid, 200));
	check_uids(100, 200, 200);
}

CASE(setreuid_saves)
{
	NEED_ROOT();
	CHECK_OK(syscall(SYS_setreuid, 100, 200));
	check_uids(100, 200, 200);
	CHECK_OK(syscall(SYS_setreuid, 200, 100));
	check_uids(200, 100, 100);
}

CASE(setresgid_as_user)
{
	NEED_ROOT();
	CHECK_OK(syscall(SYS_setresgid, 10, 20, 30));
	CHECK_OK(syscall(SYS_setresuid, 100, 100, 100));
	CHECK_OK(syscall(SYS_setresgid, 20, 30, 10));
	CHECK_EQ(getgid(), 20);
	CHECK_EQ(getegid(), 30);
	CHECK_ERRNO(syscall(SYS_setresgid, 40, -1, -1), EPERM);
	CHECK_ERRNO(syscall(SYS_setgid, 50), EPERM);
	CHECK_OK(syscall(SYS_setregid, -1, 10));
	CHECK_EQ(getegid(), 10);
}

CASE(setfsuid_is_for_files)
{
	NEED_ROOT();
	case_write_file("f", "x");
	CHECK_OK(chmod("f", 0600));
	CHECK_EQ(setfsuid(1234), 0);
	CHECK_EQ(setfsuid(-1), 1234);
	CHECK_ERRNO(open("f", O_RDONLY), EACCES);
	CHECK_EQ(setfsuid(0), 1234);
	CHECK_OK(open("f", O_RDONLY));
	CHECK_EQ(setfsgid(5), 0);
	CHECK_EQ(setfsgid(-1), 5);
}

CASE(groups_set_and_get)
{
	NEED_ROOT();
	gid_t g[3] = {5, 3, 9}, got[10];
	CHECK_OK(syscall(SYS_setgroups, 3, g));
	CHECK_EQ(getgroups(0, NULL), 3);
	CHECK_EQ(getgroups(10, got), 3);
	int sum = got[0] + got[1] + got[2];
	CHECK_EQ(sum, 17);
	CHECK_ERRNO(getgroups(2, got), EINVAL);
	CHECK_ERRNO(syscall(SYS_setgroups, 70000, g), EINVAL);
	CHECK_OK(syscall(SYS_setgroups, 0, NULL));
	CHECK_EQ(getgroups(0, NULL), 0);
	CHECK_OK(syscall(SYS_setresuid, 100, 100, 100));
	CHECK_ERRNO(syscall(SYS_setgroups, 0, NULL), EPERM);
}

CASE(groups_give_access)
{
	NEED_ROOT();
	case_write_file("f", "x");
	CHECK_OK(chown("f", 0, 777));
	CHECK_OK(chmod("f", 0640));
	gid_t g = 777;
	CHECK_OK(syscall(SYS_setgroups, 1, &g));
	CHECK_OK(syscall(SYS_setresgid, 100, 100, 100));
	CHECK_OK(syscall(SYS_setresuid, 100, 100, 100));
	CHECK_OK(open("f", O_RDONLY));
	CHECK_ERRNO(open("f", O_RDWR), EACCES);
}

static void *own_ids(void *arg)
{
	// The bare call is of the thread alone.
	CHECK_OK(syscall(SYS_setresuid, -1, 1234, -1));
	*(uid_t *)arg = geteuid();
	return NULL;
}

CASE(creds_are_per_thread)
{
	NEED_ROOT();
	pthread_t t;
	uid_t seen = 0;
	CHECK_THREAD(pthread_create(&t, NULL, own_ids, &seen));
	CHECK_THREAD(pthread_join(t, NULL));
	CHECK_EQ(seen, 1234);
	CHECK_EQ(geteuid(), 0);
}

static void caps(struct __user_cap_data_struct d[2])
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	CHECK_OK(syscall(SYS_capget, &h, d));
}

CASE(caps_lost_with_root)
{
	NEED_ROOT();
	struct __user_cap_data_struct d[2];
	caps(d);
	CHECK(d[0].permitted != 0);
	CHECK_OK(syscall(SYS_setresuid, 0, 100, 0));
	caps(d);
	CHECK_EQ(d[0].effective, 0);
	CHECK(d[0].permitted != 0);
	CHECK_OK(syscall(SYS_setresuid, 0, 0, 0));
	caps(d);
	CHECK(d[0].effective != 0);
	CHECK_OK(syscall(SYS_setresuid, 100, 100, 100));
	caps(d);
	CHECK_EQ(d[0].effective | d[0].permitted, 0);
}

CASE(caps_keepcaps)
{
	NEED_ROOT();
	struct __user_cap_data_struct d[2];
	CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
	CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
	CHECK_OK(syscall(SYS_setresuid, 100, 100, 100));
	caps(d);
	CHECK_EQ(d[0].effective, 0);
	CHECK(d[0].permitted != 0);
}

CASE(caps_drop_one)
{
	NEED_ROOT();
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	caps(d);
	case_write_file("f", "x");
	d[0].effective &= ~(1 << CAP_CHOWN);
	CHECK_OK(syscall(SYS_capset, &h, d));
	CHECK_ERRNO(chown("f", 5, 5), EPERM);
	d[0].effective |= 1 << CAP_CHOWN;
	CHECK_OK(syscall(SYS_capset, &h, d));
	CHECK_OK(chown("f", 5, 5));
	d[0].effective &= ~(1 << CAP_CHOWN);
	d[0].permitted &= ~(1 << CAP_CHOWN);
	CHECK_OK(syscall(SYS_capset, &h, d));
	d[0].permitted |= 1 << CAP_CHOWN;
	CHECK_ERRNO(syscall(SYS_capset, &h, d), EPERM);
	d[0].permitted &= ~(1 << CAP_CHOWN);
	d[0].effective |= 1 << CAP_CHOWN;
	CHECK_ERRNO(syscall(SYS_capset, &h, d), EPERM);
}

CASE(caps_errors)
{
	struct __user_cap_header_struct h = {0x1234, 0};
	struct __user_cap_data_struct d[2];
	CHECK_ERRNO(syscall(SYS_capget, &h, d), EINVAL);
	CHECK_EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
	CHECK_OK((h.version = 0, syscall(SYS_capget, &h, NULL)));
	h.version = _LINUX_CAPABILITY_VERSION_3;
	h.pid = 4000000;
	CHECK_ERRNO(syscall(SYS_capget, &h, d), ESRCH);
	h.pid = 1;
	CHECK_OK(syscall(SYS_capget, &h, d));
	if (getpid() != 1)
		CHECK_ERRNO(syscall(SYS_capset, &h, d), EPERM);
	CHECK_ERRNO(syscall(SYS_capget, BAD_POINTER, d), EFAULT);
}

CASE(caps_bounding_set)
{
	NEED_ROOT();
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 1);
	CHECK_OK(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
	CHECK_ERRNO(prctl(PR_CAPBSET_READ, 99), EINVAL);
	pid_t pid = CHILD
	{
		case_exec_helper("has_chown", NULL);
	}
	CHECK_EXITS(pid, 0);
}

HELPER(has_chown)
{
	struct __user_cap_data_struct d[2];
	caps(d);
	return (d[0].effective >> CAP_CHOWN) & 1;
}

CASE(caps_ambient)
{
	NEED_ROOT();
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	CHECK_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), EPERM);
	caps(d);
	d[0].inheritable |= 1 << CAP_CHOWN;
	CHECK_OK(syscall(SYS_capset, &h, d));
	CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 1);
	pid_t pid = CHILD
	{
		CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
		// Losing the effective root id does not clear the ambient set with SECBIT_KEEP_CAPS.
		CHECK_OK(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
		CHECK_OK(syscall(SYS_setresuid, 100, 100, 100));
		case_exec_helper("has_chown", NULL);
	}
	CHECK_EXITS(pid, 1);
	CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
}

HELPER(show_ids)
{
	return geteuid() == (uid_t)atoi(argv[0]) ? 0 : 1;
}

CASE(exec_setuid_program)
{
	NEED_ROOT();
	// A copy of this program, set-user-ID to another user.
	char buf[65536];
	int in = CHECK_OK(open(case_self, O_RDONLY)), out = CHECK_OK(open("prog", O_WRONLY | O_CREAT, 0755));
	ssize_t n;
	while ((n = read(in, buf, sizeof buf)) > 0)
		CHECK_EQ(write(out, buf, n), n);
	CHECK_OK(close(out));
	CHECK_OK(chown("prog", 4321, 4321));
	CHECK_OK(chmod("prog", 04755));
	pid_t pid = CHILD
	{
		CHECK_OK(syscall(SYS_setresuid, 100, 100, 100));
		execl("prog", "prog", "--helper", "show_ids", "4321", NULL);
	}
	int st;
	CHECK_EQ(waitpid(pid, &st, 0), pid);
	if (st == 256)
		SKIP("set-user-ID is off on this mount");
	CHECK_EQ(st, 0);
	pid = CHILD
	{
		CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		CHECK_OK(syscall(SYS_setresuid, 100, 100, 100));
		execl("prog", "prog", "--helper", "show_ids", "100", NULL);
	}
	CHECK_EXITS(pid, 0);
}

CASE(prctl_name)
{
	char name[32];
	CHECK_OK(prctl(PR_SET_NAME, "a name longer than fifteen"));
	CHECK_OK(prctl(PR_GET_NAME, name));
	CHECK_STR(name, "a name longer t");
	CHECK_STR(case_read_file("/proc/self/comm"), "a name longer t\n");
	CHECK_ERRNO(prctl(PR_SET_NAME, BAD_POINTER), EFAULT);
}

CASE(prctl_various)
{
	int v = -1;
	CHECK_ERRNO(prctl(99999), EINVAL);
	CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	CHECK_OK(prctl(PR_GET_PDEATHSIG, &v));
	CHECK_EQ(v, SIGUSR1);
	CHECK_ERRNO(prctl(PR_SET_PDEATHSIG, 99), EINVAL);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
	CHECK_OK(prctl(PR_SET_DUMPABLE, 0));
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	CHECK_ERRNO(prctl(PR_SET_DUMPABLE, 2), EINVAL);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	CHECK(prctl(PR_GET_TIMERSLACK) > 0);
	CHECK_OK(prctl(PR_SET_TIMERSLACK, 12345));
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 12345);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
}

CASE(prctl_parent_death_signal)
{
	int p[2];
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		pid_t child = CHILD
		{
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			write(p[1], "r", 1);
			pause();
		}
		(void)child;
		char c;
		CHECK_EQ(read(p[0], &c, 1), 1);
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(close(p[1]));
	// The last writer dies with its parent.
	char c;
	CHECK_EQ(read(p[0], &c, 1), 0);
}

CASE(prctl_child_subreaper)
{
	int v = -1;
	CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	CHECK_OK(prctl(PR_GET_CHILD_SUBREAPER, &v));
	CHECK_EQ(v, 1);
	pid_t reaper = getpid();
	pid_t pid = CHILD
	{
		pid_t grandchild = CHILD
		{
			while (getppid() != reaper)
				case_sleep_ms(1);
			_exit(33);
		}
		(void)grandchild;
	}
	CHECK_EXITS(pid, 0);
	int st;
	CHECK(wait(&st) > 0);
	CHECK_EQ(WEXITSTATUS(st), 33);
}

CASE(rlimit_get_and_set)
{
	struct rlimit rl;
	for (int i = 0; i < 16; i++)
		CHECK_OK(getrlimit(i, &rl));
	CHECK_ERRNO(getrlimit(99, &rl), EINVAL);
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &rl));
	rl.rlim_cur = 50;
	rl.rlim_max = 100;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &rl));
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &rl));
	CHECK_EQ(rl.rlim_cur, 50);
	CHECK_EQ(rl.rlim_max, 100);
	rl.rlim_cur = 200;
	CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, &rl), EINVAL);
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	rl.rlim_cur = 50;
	rl.rlim_max = 101;
	CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, &rl), EPERM);
	CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, BAD_POINTER), EFAULT);
}

CASE(prlimit_of_child)
{
	pid_t pid = CHILD
	{
		pause();
	}
	struct rlimit rl = {77, 99}, old;
	CHECK_OK(prlimit(pid, RLIMIT_NOFILE, &rl, &old));
	CHECK_OK(prlimit(pid, RLIMIT_NOFILE, NULL, &rl));
	CHECK_EQ(rl.rlim_cur, 77);
	CHECK(old.rlim_cur != 77);
	CHECK_ERRNO(prlimit(4000000, RLIMIT_NOFILE, NULL, &rl), ESRCH);
	kill(pid, SIGKILL);
}

CASE(rlimit_inherited)
{
	struct rlimit rl = {64, 64};
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &rl));
	pid_t pid = CHILD
	{
		struct rlimit got;
		CHECK_OK(getrlimit(RLIMIT_NOFILE, &got));
		CHECK_EQ(got.rlim_cur, 64);
	}
	CHECK_EXITS(pid, 0);
}

CASE(rlimit_cpu_signals)
{
	pid_t pid = CHILD
	{
		struct rlimit rl = {1, 2};
		setrlimit(RLIMIT_CPU, &rl);
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		for (;;)
			;
	}
	CHECK_KILLED(pid, SIGXCPU);
}

CASE(arch_prctl_fs_and_gs)
{
	unsigned long fs = 0, gs = 1;
	CHECK_OK(syscall(SYS_arch_prctl, 0x1003, &fs));
	CHECK(fs != 0);
	CHECK_OK(syscall(SYS_arch_prctl, 0x1001, 0x123000));
	CHECK_OK(syscall(SYS_arch_prctl, 0x1004, &gs));
	CHECK_EQ(gs, 0x123000);
	CHECK_ERRNO(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_arch_prctl, 0x1001, 0x8000000000000000), EPERM);
}
