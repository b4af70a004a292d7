// execve(2), execveat(2): loading, errors, what survives and what does not.
// calls: execve, execveat
#include "case.h"
#include <sys/auxv.h>
#include <sys/prctl.h>

HELPER(exit_with)
{
	return argc > 0 ? atoi(argv[0]) : 0;
}

CASE(exec_runs)
{
	pid_t pid = CHILD
	{
		case_exec_helper("exit_with", "33");
	}
	CHECK_EXITS(pid, 33);
}

CASE(exec_keeps_pid)
{
	pid_t pid = CHILD
	{
		char mine[32];
		snprintf(mine, sizeof mine, "%d", getpid());
		case_exec_helper("pid_is", mine);
	}
	CHECK_EXITS(pid, 0);
}

HELPER(pid_is)
{
	return getpid() == atoi(argv[0]) ? 0 : 1;
}

HELPER(show_args)
{
	extern char **environ;
	for (int i = 0; i < argc; i++)
		printf("[%s]", argv[i]);
	for (char **e = environ; *e; e++)
		printf("{%s}", *e);
	fflush(stdout);
	return 0;
}

static char *output_of(char *const argv[], char *const envp[], const char *path)
{
	static char buf[4096];
	int p[2];
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		execve(path, argv, envp);
		dprintf(1, "exec: %s", case_errno_name(errno));
	}
	close(p[1]);
	size_t len = 0;
	ssize_t n;
	while ((n = read(p[0], buf + len, sizeof buf - 1 - len)) > 0)
		len += n;
	buf[len] = 0;
	close(p[0]);
	CHECK_EXITS(pid, 0);
	return buf;
}

CASE(exec_args_and_environment)
{
	char *argv[] = {case_self, "--helper", "show_args", "a", "", "b c", NULL};
	char *envp[] = {"X=1", "EMPTY=", NULL};
	CHECK_STR(output_of(argv, envp, case_self), "[a][][b c]{X=1}{EMPTY=}");
}

CASE(exec_null_environment)
{
	char *argv[] = {case_self, "--helper", "show_args", "a", NULL};
	CHECK_STR(output_of(argv, NULL, case_self), "[a]");
}

CASE(exec_missing)
{
	char *argv[] = {"x", NULL};
	CHECK_ERRNO(execve("/no/such/file", argv, NULL), ENOENT);
	CHECK_ERRNO(execve("", argv, NULL), ENOENT);
}

CASE(exec_not_executable)
{
	char *argv[] = {"x", NULL};
	case_write_file("f", "#!/bin/sh\n");
	CHECK_ERRNO(execve("./f", argv, NULL), EACCES);
}

CASE(exec_directory)
{
	char *argv[] = {"x", NULL};
	CHECK_ERRNO(execve("/", argv, NULL), EACCES);
}

CASE(exec_through_file)
{
	char *argv[] = {"x", NULL};
	case_write_file("f", "");
	CHECK_ERRNO(execve("f/x", argv, NULL), ENOTDIR);
}

CASE(exec_no_format)
{
	char *argv[] = {"x", NULL};
	case_write_file("f", "neither ELF nor script\n");
	CHECK_OK(chmod("f", 0755));
	CHECK_ERRNO(execve("./f", argv, NULL), ENOEXEC);
	case_write_file("empty", "");
	CHECK_OK(chmod("empty", 0755));
	CHECK_ERRNO(execve("./empty", argv, NULL), ENOEXEC);
}

CASE(exec_truncated_elf)
{
	char *argv[] = {"x", NULL};
	int fd = CHECK_OK(open("f", O_WRONLY | O_CREAT, 0755));
	CHECK_EQ(write(fd, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\76\0", 20), 20);
	close(fd);
	CHECK_ERRNO(execve("./f", argv, NULL), ENOEXEC);
}

CASE(exec_symlink_loop)
{
	char *argv[] = {"x", NULL};
	CHECK_OK(symlink("loop", "loop"));
	CHECK_ERRNO(execve("./loop", argv, NULL), ELOOP);
}

CASE(exec_bad_pointers)
{
	char *argv[] = {"x", NULL};
	CHECK_ERRNO(execve(BAD_POINTER, argv, NULL), EFAULT);
	CHECK_ERRNO(execve(case_self, BAD_POINTER, NULL), EFAULT);
	CHECK_ERRNO(execve(case_self, argv, BAD_POINTER), EFAULT);
	char *bad[] = {"x", BAD_POINTER, NULL};
	CHECK_ERRNO(execve(case_self, bad, NULL), EFAULT);
}

CASE(exec_argument_too_long)
{
	// One string may have 32 pages, with its null.
	char *big = malloc(131073);
	memset(big, 'x', 131072);
	big[131072] = 0;
	char *argv[] = {case_self, "--helper", "exit_with", "3", big, NULL};
	CHECK_ERRNO(execve(case_self, argv, NULL), E2BIG);
	big[131071] = 0;
	pid_t pid = CHILD
	{
		execve(case_self, argv, NULL);
	}
	CHECK_EXITS(pid, 3);
}

CASE(exec_arguments_too_many)
{
	// A quarter of the stack limit at most, strings and pointers together.
	struct rlimit rl;
	CHECK_OK(getrlimit(RLIMIT_STACK, &rl));
	rl.rlim_cur = 1 << 20;
	CHECK_OK(setrlimit(RLIMIT_STACK, &rl));
	char *block = malloc(100001);
	memset(block, 'y', 100000);
	block[100000] = 0;
	char *argv[] = {"x", block, block, block, block, NULL};
	CHECK_ERRNO(execve(case_self, argv, NULL), E2BIG);
}

static void script(const char *path, const char *text)
{
	case_write_file(path, text);
	CHECK_OK(chmod(path, 0755));
}

CASE(exec_script)
{
	char text[PATH_MAX + 64];
	snprintf(text, sizeof text, "#!%s --helper\n", case_self);
	// The interpreter gets one optional argument, then the script's path.
	script("show_args", text);
	char *argv[] = {"ignored", "one", "two", NULL};
	CHECK_STR(output_of(argv, NULL, "show_args"), "[one][two]");
}

CASE(exec_script_white_space)
{
	char text[PATH_MAX + 64];
	snprintf(text, sizeof text, "#! \t %s   --helper  \t\nrest", case_self);
	script("show_args", text);
	char *argv[] = {"ignored", "one", NULL};
	CHECK_STR(output_of(argv, NULL, "show_args"), "[one]");
}

CASE(exec_script_chain)
{
	char text[PATH_MAX + 64];
	snprintf(text, sizeof text, "#!%s --helper\n", case_self);
	script("show_args", text);
	script("second", "#!./show_args X\n");
	char *argv[] = {"ignored", "one", NULL};
	CHECK_STR(output_of(argv, NULL, "./second"), "[X][./second][one]");
}

CASE(exec_script_loop)
{
	script("self", "#!./self\n");
	char *argv[] = {"x", NULL};
	CHECK_ERRNO(execve("./self", argv, NULL), ELOOP);
}

CASE(exec_script_missing_interpreter)
{
	script("s", "#!/no/such/interpreter\n");
	char *argv[] = {"x", NULL};
	CHECK_ERRNO(execve("./s", argv, NULL), ENOENT);
}

CASE(exec_script_without_interpreter)
{
	script("s", "#!\n");
	char *argv[] = {"x", NULL};
	CHECK_ERRNO(execve("./s", argv, NULL), ENOEXEC);
}

HELPER(fds_open)
{
	// Which of the descriptors 3..9 are open, as a bit set.
	int set = 0;
	for (int i = 3; i < 10; i++)
		if (fcntl(i, F_GETFD) >= 0)
			set |= 1 << (i - 3);
	return set;
}

CASE(exec_closes_cloexec)
{
	CHECK_EQ(open("/dev/null", O_RDONLY), 3);
	CHECK_EQ(open("/dev/null", O_RDONLY | O_CLOEXEC), 4);
	CHECK_EQ(dup(3), 5);
	CHECK_OK(fcntl(5, F_SETFD, FD_CLOEXEC));
	pid_t pid = CHILD
	{
		case_exec_helper("fds_open", NULL);
	}
	CHECK_EXITS(pid, 1);
	// Only the new image lost them.
	CHECK_OK(fcntl(4, F_GETFD));
}

CASE(exec_failure_keeps_cloexec_open)
{
	CHECK_EQ(open("/dev/null", O_RDONLY | O_CLOEXEC), 3);
	char *argv[] = {"x", NULL};
	CHECK_ERRNO(execve("/no/such", argv, NULL), ENOENT);
	CHECK_OK(fcntl(3, F_GETFD));
}

static void on_signal(int sig)
{
	(void)sig;
}

HELPER(signal_state)
{
	struct sigaction a, b;
	sigset_t mask, pend;
	sigaction(SIGUSR1, NULL, &a);
	sigaction(SIGUSR2, NULL, &b);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	sigpending(&pend);
	stack_t ss;
	sigaltstack(NULL, &ss);
	return (a.sa_handler == SIG_DFL) | (b.sa_handler == SIG_IGN) << 1 |
	       sigismember(&mask, SIGHUP) << 2 | sigismember(&pend, SIGHUP) << 3 |
	       (ss.ss_flags == SS_DISABLE) << 4;
}

CASE(exec_signal_state)
{
	pid_t pid = CHILD
	{
		signal(SIGUSR1, on_signal);
		signal(SIGUSR2, SIG_IGN);
		sigset_t s;
		sigemptyset(&s);
		sigaddset(&s, SIGHUP);
		sigprocmask(SIG_BLOCK, &s, NULL);
		raise(SIGHUP);
		stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
		CHECK_OK(sigaltstack(&ss, NULL));
		case_exec_helper("signal_state", NULL);
	}
	CHECK_EXITS(pid, 31);
}

HELPER(alarm_left)
{
	return alarm(0) > 50 ? 0 : 1;
}

CASE(exec_keeps_alarm)
{
	pid_t pid = CHILD
	{
		alarm(100);
		case_exec_helper("alarm_left", NULL);
	}
	CHECK_EXITS(pid, 0);
}

HELPER(auxv)
{
	if (getauxval(AT_PAGESZ) != 4096)
		return 1;
	if (getauxval(AT_UID) != getuid() || getauxval(AT_EUID) != geteuid() ||
	    getauxval(AT_GID) != getgid() || getauxval(AT_EGID) != getegid())
		return 2;
	if (getauxval(AT_SECURE) != 0)
		return 3;
	if (getauxval(AT_PHDR) == 0 || getauxval(AT_PHENT) != 56 || getauxval(AT_PHNUM) == 0)
		return 4;
	if (getauxval(AT_ENTRY) == 0)
		return 5;
	if (getauxval(AT_RANDOM) == 0)
		return 6;
	const char *fn = (const char *)getauxval(AT_EXECFN);
	if (!fn || strcmp(fn, argv[0]))
		return 7;
	const char *platform = (const char *)getauxval(AT_PLATFORM);
	if (!platform || strcmp(platform, "x86_64"))
		return 8;
	if (getauxval(AT_CLKTCK) != 100)
		return 9;
	if (getauxval(AT_HWCAP) == 0)
		return 10;
	if (getauxval(AT_MINSIGSTKSZ) < 512)
		return 11;
	return 0;
}

CASE(exec_auxv)
{
	pid_t pid = CHILD
	{
		case_exec_helper("auxv", case_self);
	}
	CHECK_EXITS(pid, 0);
}

HELPER(comm_is)
{
	char name[16];
	prctl(PR_GET_NAME, name);
	return strcmp(name, argv[0]) ? 1 : 0;
}

CASE(exec_sets_comm)
{
	char *base = strrchr(case_self, '/') + 1;
	char want[16];
	snprintf(want, sizeof want, "%s", base);
	pid_t pid = CHILD
	{
		prctl(PR_SET_NAME, "other");
		case_exec_helper("comm_is", want);
	}
	CHECK_EXITS(pid, 0);
}

CASE(execveat_descriptor)
{
	pid_t pid = CHILD
	{
		int fd = open(case_self, O_PATH);
		char *argv[] = {case_self, "--helper", "exit_with", "21", NULL};
		syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
	}
	CHECK_EXITS(pid, 21);
}

CASE(execveat_relative_to_directory)
{
	pid_t pid = CHILD
	{
		char dir[PATH_MAX];
		strcpy(dir, case_self);
		char *slash = strrchr(dir, '/');
		*slash = 0;
		int fd = open(dir, O_RDONLY | O_DIRECTORY);
		char *argv[] = {case_self, "--helper", "exit_with", "22", NULL};
		syscall(SYS_execveat, fd, slash + 1, argv, NULL, 0);
	}
	CHECK_EXITS(pid, 22);
}

CASE(execveat_errors)
{
	char *argv[] = {"x", NULL};
	CHECK_OK(symlink(case_self, "link"));
	CHECK_ERRNO(syscall(SYS_execveat, AT_FDCWD, "link", argv, NULL, AT_SYMLINK_NOFOLLOW), ELOOP);
	CHECK_ERRNO(syscall(SYS_execveat, AT_FDCWD, "x", argv, NULL, 0x4), EINVAL);
	CHECK_ERRNO(syscall(SYS_execveat, 99, "x", argv, NULL, 0), EBADF);
	CHECK_ERRNO(syscall(SYS_execveat, AT_FDCWD, "", argv, NULL, 0), ENOENT);
}

CASE(execveat_script_behind_cloexec)
{
	script("s", "#!/bin/sh\nexit 0\n");
	int fd = CHECK_OK(open("s", O_RDONLY | O_CLOEXEC));
	char *argv[] = {"x", NULL};
	CHECK_ERRNO(syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH), ENOENT);
}

CASE(exec_text_busy)
{
	char *argv[] = {"x", NULL};
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0755));
	CHECK_EQ(write(fd, "#!/bin/sh\n", 10), 10);
	CHECK_ERRNO(execve("./f", argv, NULL), ETXTBSY);
}

static void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

HELPER(count_tasks)
{
	int n = 0;
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	return n;
}

CASE(exec_ends_other_threads)
{
	pid_t pid = CHILD
	{
		pthread_t t;
		for (int i = 0; i < 3; i++)
			CHECK_THREAD(pthread_create(&t, NULL, sleeper, NULL));
		case_exec_helper("count_tasks", NULL);
	}
	CHECK_EXITS(pid, 1);
}

static void *execs(void *arg)
{
	case_exec_helper("pid_is", arg);
	return NULL;
}

CASE(exec_from_a_thread_takes_the_leaders_id)
{
	pid_t pid = CHILD
	{
		char mine[32];
		snprintf(mine, sizeof mine, "%d", getpid());
		pthread_t t;
		CHECK_THREAD(pthread_create(&t, NULL, execs, mine));
		for (;;)
			pause();
	}
	CHECK_EXITS(pid, 0);
}

HELPER(secure_bits)
{
	return prctl(PR_GET_DUMPABLE);
}

CASE(exec_resets_dumpable)
{
	pid_t pid = CHILD
	{
		prctl(PR_SET_DUMPABLE, 0);
		case_exec_helper("secure_bits", NULL);
	}
	CHECK_EXITS(pid, 1);
}

HELPER(rlimit_and_umask)
{
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	return rl.rlim_cur == 123 && umask(0) == 027 ? 0 : 1;
}

CASE(exec_keeps_limits_and_umask)
{
	pid_t pid = CHILD
	{
		struct rlimit rl = {123, 200};
		setrlimit(RLIMIT_NOFILE, &rl);
		umask(027);
		case_exec_helper("rlimit_and_umask", NULL);
	}
	CHECK_EXITS(pid, 0);
}

CASE(exec_bin_sh)
{
	pid_t pid = CHILD
	{
		execl("/bin/sh", "sh", "-c", "exit 13", NULL);
	}
	CHECK_EXITS(pid, 13);
}

CASE(exec_proc_self_exe)
{
	char link[PATH_MAX] = {0}, want[PATH_MAX];
	CHECK(readlink("/proc/self/exe", link, sizeof link - 1) > 0);
	CHECK(realpath(case_self, want));
	CHECK_STR(link, want);
	pid_t pid = CHILD
	{
		execl("/proc/self/exe", "x", "--helper", "exit_with", "5", NULL);
	}
	CHECK_EXITS(pid, 5);
}
