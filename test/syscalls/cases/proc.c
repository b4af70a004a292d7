// What programs read in /proc and /sys, and other facts about the system.
// calls: sysinfo, getrandom, sched_getaffinity, readlink, personality
#include "case.h"
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/prctl.h>

static char *field(const char *file, const char *name)
{
	static char value[256];
	char *text = case_read_file(file), want[64];
	snprintf(want, sizeof want, "%s:", name);
	for (char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (!strncmp(line, want, strlen(want))) {
			char *v = line + strlen(want);
			while (*v == ' ' || *v == '\t')
				v++;
			snprintf(value, sizeof value, "%.*s", (int)strcspn(v, "\n"), v);
			return value;
		}
	}
	FAIL("%s has no line %s", file, name);
}

CASE(proc_self_is_us)
{
	char link[64] = {0}, want[64];
	CHECK(readlink("/proc/self", link, sizeof link - 1) > 0);
	snprintf(want, sizeof want, "%d", getpid());
	CHECK_STR(link, want);
	memset(link, 0, sizeof link);
	CHECK(readlink("/proc/thread-self", link, sizeof link - 1) > 0);
	snprintf(want, sizeof want, "%d/task/%d", getpid(), getpid());
	CHECK_STR(link, want);
}

CASE(proc_status)
{
	char want[64];
	snprintf(want, sizeof want, "%d", getpid());
	CHECK_STR(field("/proc/self/status", "Pid"), want);
	CHECK_STR(field("/proc/self/status", "Tgid"), want);
	snprintf(want, sizeof want, "%d", getppid());
	CHECK_STR(field("/proc/self/status", "PPid"), want);
	snprintf(want, sizeof want, "%d\t%d\t%d\t%d", getuid(), geteuid(), geteuid(), geteuid());
	CHECK_STR(field("/proc/self/status", "Uid"), want);
	CHECK_STR(field("/proc/self/status", "Threads"), "1");
	CHECK_EQ(field("/proc/self/status", "State")[0], 'R');
	CHECK(strlen(field("/proc/self/status", "SigBlk")) == 16);
	CHECK(strlen(field("/proc/self/status", "CapEff")) == 16);
	CHECK(atol(field("/proc/self/status", "VmRSS")) > 0);
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGHUP);
	sigprocmask(SIG_BLOCK, &s, NULL);
	CHECK_STR(field("/proc/self/status", "SigBlk"), "0000000000000001");
	signal(SIGINT, SIG_IGN);
	CHECK(strtoul(field("/proc/self/status", "SigIgn"), NULL, 16) & 2);
	umask(027);
	CHECK_STR(field("/proc/self/status", "Umask"), "0027");
}

CASE(proc_stat_line)
{
	prctl(PR_SET_NAME, "a) (b");
	char *text = case_read_file("/proc/self/stat");
	CHECK_EQ(atoi(text), getpid());
	CHECK(strstr(text, "(a) (b)"));
	char state;
	int ppid, pgrp, session;
	CHECK_EQ(sscanf(strrchr(text, ')') + 1, " %c %d %d %d", &state, &ppid, &pgrp, &session), 4);
	CHECK_EQ(state, 'R');
	CHECK_EQ(ppid, getppid());
	CHECK_EQ(pgrp, getpgrp());
	CHECK_EQ(session, getsid(0));
	int fields = 1;
	for (char *p = strrchr(text, ')'); *p; p++)
		fields += *p == ' ';
	CHECK_EQ(fields, 51);
}

CASE(proc_states_of_child)
{
	int st;
	pid_t pid = CHILD
	{
		for (;;)
			pause();
	}
	case_wait_state(pid, "S");
	kill(pid, SIGSTOP);
	CHECK_EQ(waitpid(pid, &st, WUNTRACED), pid);
	case_wait_state(pid, "T");
	kill(pid, SIGKILL);
	case_wait_state(pid, "Z");
	CHECK_KILLED(pid, SIGKILL);
}

CASE(proc_cmdline_and_environ)
{
	char path[64], buf[512];
	pid_t pid = CHILD
	{
		char *argv[] = {case_self, "--helper", "sleep", "a b", NULL}, *envp[] = {"ONE=1", "TWO=2", NULL};
		execve(case_self, argv, envp);
	}
	snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
	ssize_t n = 0;
	for (int i = 0; i < 5000; i++) {
		int fd = CHECK_OK(open(path, O_RDONLY));
		n = CHECK_OK(read(fd, buf, sizeof buf));
		close(fd);
		if (n >= 20 && !strcmp(buf + n - 4, "a b"))
			break;
		case_sleep_ms(1);
	}
	CHECK(!strcmp(buf, case_self));
	CHECK(!strcmp(buf + n - 4, "a b"));
	snprintf(path, sizeof path, "/proc/%d/environ", pid);
	int fd = CHECK_OK(open(path, O_RDONLY));
	CHECK_EQ(read(fd, buf, sizeof buf), 12);
	CHECK(!memcmp(buf, "ONE=1\0TWO=2\0", 12));
	kill(pid, SIGKILL);
}

HELPER(sleep)
{
	while (pause() == -1)
		;
	return 0;
}

CASE(proc_maps)
{
	char *m = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_OK(mprotect(m, 4096, PROT_READ | PROT_WRITE));
	char want[64], *text = case_read_file("/proc/self/maps");
	snprintf(want, sizeof want, "%lx-%lx rw-p 00000000 00:00 0", (long)m, (long)m + 4096);
	if (!strstr(text, want))
		FAIL("no line %s", want);
	CHECK(strstr(text, "[stack]"));
	CHECK(strstr(text, "[vdso]"));
	CHECK(strstr(text, "[heap]"));
	CHECK(strstr(text, case_self));
	case_write_file("f", "x");
	int fd = CHECK_OK(open("f", O_RDONLY));
	CHECK(mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	text = case_read_file("/proc/self/maps");
	CHECK(strstr(text, "/proc_maps/f\n"));
}

CASE(proc_smaps_and_statm)
{
	long size, resident;
	CHECK_EQ(sscanf(case_read_file("/proc/self/statm"), "%ld %ld", &size, &resident), 2);
	CHECK(size > resident && resident > 0);
	CHECK(strstr(case_read_file("/proc/self/smaps"), "\nRss:"));
}

CASE(proc_fd_and_fdinfo)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(write(fd, "abc", 3), 3);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	CHECK_STR(field(path, "pos"), "3");
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	while ((e = readdir(d)))
		n += !strcmp(e->d_name, "3");
	CHECK_EQ(n, 1);
	struct stat st;
	CHECK_OK(lstat("/proc/self/fd/3", &st));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_EQ(st.st_mode & 0777, 0700);
}

CASE(proc_cwd_and_root)
{
	char a[PATH_MAX] = {0}, b[PATH_MAX];
	CHECK(readlink("/proc/self/cwd", a, sizeof a - 1) > 0);
	CHECK(getcwd(b, sizeof b));
	CHECK_STR(a, b);
	memset(a, 0, sizeof a);
	CHECK(readlink("/proc/self/root", a, sizeof a - 1) > 0);
	CHECK_STR(a, "/");
}

CASE(proc_mem)
{
	static char text[] = "find me";
	char buf[8] = {0};
	int fd = CHECK_OK(open("/proc/self/mem", O_RDWR));
	CHECK_EQ(pread(fd, buf, 7, (off_t)(uintptr_t)text), 7);
	CHECK_STR(buf, "find me");
	CHECK_EQ(pwrite(fd, "lost", 4, (off_t)(uintptr_t)text), 4);
	CHECK_STR(text, "lost me");
	CHECK_ERRNO(pread(fd, buf, 7, 8), EIO);
}

CASE(proc_limits)
{
	struct rlimit rl = {111, 222};
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &rl));
	char *line = strstr(case_read_file("/proc/self/limits"), "Max open files");
	CHECK(line);
	long soft, hard;
	CHECK_EQ(sscanf(line + 14, "%ld %ld", &soft, &hard), 2);
	CHECK_EQ(soft, 111);
	CHECK_EQ(hard, 222);
}

CASE(proc_task_lists_threads)
{
	int n = 0, self = 0;
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	while ((e = readdir(d))) {
		n += e->d_name[0] != '.';
		self += atoi(e->d_name) == getpid();
	}
	CHECK_EQ(n, 1);
	CHECK_EQ(self, 1);
}

CASE(proc_lists_processes)
{
	pid_t pid = CHILD
	{
		pause();
	}
	int found = 0;
	DIR *d = opendir("/proc");
	struct dirent *e;
	while ((e = readdir(d)))
		found += atoi(e->d_name) == pid;
	CHECK_EQ(found, 1);
	kill(pid, SIGKILL);
	CHECK_KILLED(pid, SIGKILL);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d", pid);
	CHECK_ERRNO(access(path, F_OK), ENOENT);
}

CASE(proc_system_files)
{
	CHECK(strstr(case_read_file("/proc/cpuinfo"), "processor\t: 0"));
	CHECK(strstr(case_read_file("/proc/cpuinfo"), "flags\t\t:"));
	CHECK(atol(field("/proc/meminfo", "MemTotal")) > 1000);
	CHECK(atol(field("/proc/meminfo", "MemAvailable")) > 1000);
	double up;
	CHECK_EQ(sscanf(case_read_file("/proc/uptime"), "%lf", &up), 1);
	CHECK(up >= 0);
	CHECK(strstr(case_read_file("/proc/stat"), "btime "));
	CHECK(!strncmp(case_read_file("/proc/stat"), "cpu  ", 5));
	CHECK(strstr(case_read_file("/proc/version"), "Linux version"));
	CHECK(strstr(case_read_file("/proc/filesystems"), "nodev\tproc"));
	double load;
	CHECK_EQ(sscanf(case_read_file("/proc/loadavg"), "%lf", &load), 1);
	CHECK(atoi(case_read_file("/proc/sys/kernel/pid_max")) >= 32768);
	CHECK(strstr(case_read_file("/proc/sys/kernel/osrelease"), "."));
	CHECK_EQ(strlen(case_read_file("/proc/sys/kernel/random/uuid")), 37);
	CHECK(atoi(case_read_file("/proc/sys/vm/overcommit_memory")) <= 2);
	CHECK(atol(case_read_file("/proc/sys/fs/file-max")) > 0);
}

CASE(proc_is_read_only_where_it_should)
{
	CHECK_ERRNO(mkdir("/proc/x", 0755), ENOENT);
	CHECK_ERRNO(open("/proc/new", O_RDWR | O_CREAT, 0644), ENOENT);
	CHECK_ERRNO(open("/proc/none", O_RDONLY), ENOENT);
	CHECK(unlink("/proc/self/status") == -1 && (errno == EPERM || errno == EACCES));
}

CASE(proc_comm_is_writable)
{
	int fd = CHECK_OK(open("/proc/self/comm", O_WRONLY));
	CHECK_EQ(write(fd, "renamed", 7), 7);
	char name[16];
	prctl(PR_GET_NAME, name);
	CHECK_STR(name, "renamed");
}

CASE(proc_oom_score_adj)
{
	int fd = CHECK_OK(open("/proc/self/oom_score_adj", O_RDWR));
	CHECK_EQ(write(fd, "500", 3), 3);
	CHECK_STR(case_read_file("/proc/self/oom_score_adj"), "500\n");
	CHECK_ERRNO(write(fd, "5000", 4), EINVAL);
}

CASE(sys_files)
{
	CHECK(strchr("0123456789", case_read_file("/sys/devices/system/cpu/online")[0]));
	CHECK_OK(access("/sys/devices/system/cpu/cpu0", F_OK));
	CHECK(strchr("0123456789", case_read_file("/sys/devices/system/cpu/possible")[0]));
}

CASE(sysinfo_tells)
{
	struct sysinfo si;
	CHECK_OK(sysinfo(&si));
	CHECK(si.uptime >= 0);
	CHECK(si.totalram > 0 && si.freeram <= si.totalram);
	CHECK(si.procs > 0);
	CHECK(si.mem_unit > 0);
	CHECK_ERRNO(syscall(SYS_sysinfo, BAD_POINTER), EFAULT);
}

CASE(getrandom_fills)
{
	char a[64] = {0}, b[64] = {0};
	CHECK_EQ(getrandom(a, sizeof a, 0), sizeof a);
	CHECK_EQ(getrandom(b, sizeof b, GRND_NONBLOCK), sizeof b);
	CHECK(memcmp(a, b, sizeof a));
	CHECK_EQ(getrandom(a, 0, 0), 0);
	CHECK_ERRNO(getrandom(a, 8, 0x100), EINVAL);
	CHECK_ERRNO(getrandom(BAD_POINTER, 8, 0), EFAULT);
}

CASE(personality_query)
{
	CHECK_EQ(personality(0xffffffff), 0);
	CHECK_EQ(personality(ADDR_NO_RANDOMIZE), 0);
	CHECK_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
}
