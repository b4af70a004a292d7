// The frame every conformance case stands in.
//
// A file declares cases and ends nothing: main is here.
//
//     // calls: pipe, pipe2
//     #include "case.h"
//
//     CASE(pipe2_rejects_unknown_flags) {
//         int fds[2];
//         CHECK_ERRNO(pipe2(fds, 0x1), EINVAL);
//     }
//
// A case is run in a child process of its own, in an empty directory of its
// own, with a time limit. It passes by returning. What it learns goes to
// standard output, one line a case:
//
//     ok NAME
//     not ok NAME: pipe.c:7: pipe2(fds, 0x1): expected EINVAL, got 0
//     skip NAME: why
//
// The runner itself needs little of the kernel (fork, wait4, kill, alarm,
// write, mkdir), so that a kernel that has little can be tested early.
#ifndef CASE_H
#define CASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CASE_TIMEOUT_SECONDS 20
#define CASE_EXIT_FAILED 101
#define CASE_EXIT_SKIPPED 102

struct case_entry {
	const char *name;
	void (*run)(void);
};

struct case_helper {
	const char *name;
	int (*run)(int argc, char **argv);
};

// CASE declares a case. The section keeps them in the order of the file.
#define CASE(n)                                                                \
	static void case_run_##n(void);                                        \
	static const struct case_entry case_entry_##n                          \
	    __attribute__((used, section("case_entries"), aligned(8))) = {     \
	        #n, case_run_##n};                                             \
	static void case_run_##n(void)

// HELPER declares what this same program does when a case executes it as
// `case_self --helper NAME ARG...` (see case_exec_helper).
#define HELPER(n)                                                              \
	static int case_help_##n(int argc, char **argv);                       \
	static const struct case_helper case_helper_##n                        \
	    __attribute__((used, section("case_helpers"), aligned(8))) = {     \
	        #n, case_help_##n};                                            \
	static int case_help_##n(int argc __attribute__((unused)),             \
				 char **argv __attribute__((unused)))

// Weak: a file may have no helper, and then the section does not exist.
extern const struct case_entry __start_case_entries[] __attribute__((weak)),
    __stop_case_entries[] __attribute__((weak));
extern const struct case_helper __start_case_helpers[] __attribute__((weak)),
    __stop_case_helpers[] __attribute__((weak));

static const char *case_name __attribute__((unused)) = "";
static char case_self[PATH_MAX] __attribute__((unused));
static int case_out __attribute__((unused)) = 1;

// An address nothing is mapped at; volatile, or the compiler warns of it.
static void *volatile case_bad_pointer __attribute__((unused)) = (void *)8;
#define BAD_POINTER ((void *)case_bad_pointer)

// case_say writes one whole line in one write, past stdio: cases close
// descriptors, fork and die at will.
static void __attribute__((unused, format(printf, 1, 2)))
case_say(const char *format, ...)
{
	char line[2048];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	if (n > (int)sizeof line - 2)
		n = sizeof line - 2;
	for (int i = 0; i < n; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[n++] = '\n';
	if (write(case_out, line, n) != n)
		_exit(CASE_EXIT_FAILED);
}

static const char *__attribute__((unused)) case_errno_name(int e)
{
	const char *n = e == 0 ? "0" : strerrorname_np(e);
	return n ? n : "unknown errno";
}

#define FAIL(format, ...)                                                      \
	do {                                                                   \
		case_say("not ok %s: %s:%d: " format, case_name,               \
			 strrchr("/" __FILE__, '/') + 1, __LINE__,             \
			 ##__VA_ARGS__);                                       \
		_exit(CASE_EXIT_FAILED);                                       \
	} while (0)

#define SKIP(format, ...)                                                      \
	do {                                                                   \
		case_say("skip %s: " format, case_name, ##__VA_ARGS__);        \
		_exit(CASE_EXIT_SKIPPED);                                      \
	} while (0)

#define NEED_ROOT()                                                            \
	do {                                                                   \
		if (geteuid() != 0)                                            \
			SKIP("needs root");                                    \
	} while (0)

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			FAIL("expected %s", #cond);                            \
	} while (0)

#define CHECK_EQ(got, want)                                                    \
	do {                                                                   \
		long long got_ = (long long)(got), want_ = (long long)(want);  \
		if (got_ != want_)                                             \
			FAIL("%s: expected %s = %lld (%#llx), got %lld "       \
			     "(%#llx)",                                        \
			     #got, #want, want_, want_, got_, got_);           \
	} while (0)

// CHECK_OK fails when a call answers -1 and gives its value otherwise.
#define CHECK_OK(call)                                                         \
	({                                                                     \
		errno = 0;                                                     \
		__typeof__(call) ok_ = (call);                                 \
		if (ok_ == (__typeof__(call))-1)                               \
			FAIL("%s: expected success, got %s", #call,            \
			     case_errno_name(errno));                          \
		ok_;                                                           \
	})

#define CHECK_ERRNO(call, want)                                                \
	do {                                                                   \
		errno = 0;                                                     \
		long got_ = (long)(call);                                      \
		int e_ = errno;                                                \
		if (got_ != -1)                                                \
			FAIL("%s: expected %s, got success (%ld)", #call,      \
			     #want, got_);                                     \
		if (e_ != (want))                                              \
			FAIL("%s: expected %s, got %s", #call, #want,          \
			     case_errno_name(e_));                             \
	} while (0)

// CHECK_THREAD is for the pthread family, which returns the errno.
#define CHECK_THREAD(call)                                                     \
	do {                                                                   \
		int e_ = (call);                                               \
		if (e_ != 0)                                                   \
			FAIL("%s: expected success, got %s", #call,            \
			     case_errno_name(e_));                             \
	} while (0)

#define CHECK_STR(got, want)                                                   \
	do {                                                                   \
		const char *got_ = (got), *want_ = (want);                     \
		if (strcmp(got_, want_) != 0)                                  \
			FAIL("%s: expected \"%s\", got \"%s\"", #got, want_,   \
			     got_);                                            \
	} while (0)

// CHECK_EXITS waits for a child and expects that exit status.
#define CHECK_EXITS(pid, want)                                                 \
	do {                                                                   \
		int st_;                                                       \
		pid_t p_ = (pid);                                              \
		if (waitpid(p_, &st_, 0) != p_)                                \
			FAIL("waitpid(%s): %s", #pid, case_errno_name(errno)); \
		if (!WIFEXITED(st_) || WEXITSTATUS(st_) != (want))             \
			FAIL("%s: expected exit status %d, got wait status "   \
			     "%#x",                                            \
			     #pid, (int)(want), st_);                          \
	} while (0)

#define CHECK_KILLED(pid, want)                                                \
	do {                                                                   \
		int st_;                                                       \
		pid_t p_ = (pid);                                              \
		if (waitpid(p_, &st_, 0) != p_)                                \
			FAIL("waitpid(%s): %s", #pid, case_errno_name(errno)); \
		if (!WIFSIGNALED(st_) || WTERMSIG(st_) != (want))              \
			FAIL("%s: expected death by signal %d, got wait "      \
			     "status %#x",                                     \
			     #pid, (int)(want), st_);                          \
	} while (0)

// CHILD { ... } runs a block in a forked child that exits 0 at its end.
#define CHILD                                                                  \
	case_fork();                                                           \
	for (int again_ = (case_forked == 0); case_forked == 0;                \
	     again_ ? (void)(again_ = 0) : _exit(0))                           \
		for (; again_; again_ = 0)

static pid_t case_forked __attribute__((unused));

static pid_t __attribute__((unused)) case_fork(void)
{
	case_forked = fork();
	if (case_forked < 0)
		FAIL("fork: %s", case_errno_name(errno));
	return case_forked;
}

static void __attribute__((unused)) case_sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
	while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

static int64_t __attribute__((unused)) case_now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

// case_wait_state waits until a task of ours shows one of these letters in
// /proc/PID/stat, so that a case need not guess how long blocking takes.
static void __attribute__((unused))
case_wait_state(pid_t tid, const char *letters)
{
	char path[64], buf[512];
	snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
	for (int i = 0; i < 2500; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			ssize_t n = read(fd, buf, sizeof buf - 1);
			close(fd);
			buf[n > 0 ? n : 0] = 0;
			char *p = strrchr(buf, ')');
			if (p && p[1] == ' ' && strchr(letters, p[2]))
				return;
		}
		case_sleep_ms(2);
	}
	FAIL("task %d never reached state [%s]: %s", (int)tid, letters, buf);
}

// case_exec_helper replaces the process by this program's helper.
static void __attribute__((unused))
case_exec_helper(const char *name, const char *arg)
{
	char *argv[] = {case_self, "--helper", (char *)name, (char *)arg, NULL};
	execv(case_self, argv);
	FAIL("execv %s: %s", case_self, case_errno_name(errno));
}

// case_write_file makes a file with this text.
static void __attribute__((unused))
case_write_file(const char *path, const char *text)
{
	int fd = CHECK_OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	CHECK_OK(close(fd));
}

// case_read_file gives the text of a file, in a buffer the next call reuses.
static char __attribute__((unused)) *case_read_file(const char *path)
{
	static char buf[65536];
	int fd = CHECK_OK(open(path, O_RDONLY | O_CLOEXEC));
	size_t len = 0;
	for (;;) {
		ssize_t n = CHECK_OK(read(fd, buf + len, sizeof buf - 1 - len));
		if (n == 0)
			break;
		len += n;
	}
	close(fd);
	buf[len] = 0;
	return buf;
}

static void __attribute__((unused)) case_remove_tree(const char *path)
{
	DIR *d = opendir(path);
	if (!d)
		return;
	struct dirent *e;
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		char sub[PATH_MAX];
		if (snprintf(sub, sizeof sub, "%s/%s", path, e->d_name) >= (int)sizeof sub)
			continue;
		struct stat st;
		if (lstat(sub, &st) == 0 && S_ISDIR(st.st_mode)) {
			chmod(sub, 0700);
			case_remove_tree(sub);
		} else {
			unlink(sub);
		}
	}
	closedir(d);
	rmdir(path);
}

static volatile sig_atomic_t case_timed_out __attribute__((unused));

static void __attribute__((unused)) case_on_alarm(int sig)
{
	(void)sig;
	case_timed_out = 1;
}

static void __attribute__((unused)) case_in_child(const struct case_entry *c, const char *dir)
{
	// A group of its own: what a case leaves running dies with it.
	setpgid(0, 0);
	signal(SIGALRM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGTTOU, SIG_DFL);
	case_name = c->name;
	if (mkdir(dir, 0755) != 0 || chdir(dir) != 0)
		FAIL("enter %s: %s", dir, case_errno_name(errno));
	c->run();
	_exit(0);
}

static int __attribute__((unused)) case_run_one(const struct case_entry *c, const char *base)
{
	char dir[PATH_MAX];
	if (snprintf(dir, sizeof dir, "%s/%s", base, c->name) >= (int)sizeof dir)
		return 1;
	case_timed_out = 0;
	pid_t pid = fork();
	if (pid < 0) {
		case_say("not ok %s: fork: %s", c->name, case_errno_name(errno));
		return 1;
	}
	if (pid == 0)
		case_in_child(c, dir);
	setpgid(pid, pid);

	struct sigaction sa = {.sa_handler = case_on_alarm};
	sigaction(SIGALRM, &sa, NULL);
	alarm(CASE_TIMEOUT_SECONDS);
	int status = 0;
	pid_t got;
	while ((got = waitpid(pid, &status, 0)) != pid) {
		if (got < 0 && errno == EINTR && case_timed_out) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			continue;
		}
		if (got < 0 && errno == EINTR)
			continue;
		case_say("not ok %s: waitpid: %s", c->name, case_errno_name(errno));
		return 1;
	}
	alarm(0);
	kill(-pid, SIGKILL);
	chdir("/");
	chmod(dir, 0700);
	case_remove_tree(dir);

	if (WIFEXITED(status)) {
		int code = WEXITSTATUS(status);
		if (code == CASE_EXIT_SKIPPED)
			return 0;
		if (code == 0) {
			case_say("ok %s", c->name);
			return 0;
		}
		if (code != CASE_EXIT_FAILED)
			case_say("not ok %s: exited with status %d", c->name, code);
		return 1;
	}
	if (case_timed_out)
		case_say("not ok %s: no end within %d s", c->name, CASE_TIMEOUT_SECONDS);
	else
		case_say("not ok %s: killed by signal %d", c->name, WTERMSIG(status));
	return 1;
}

static int __attribute__((unused)) case_wanted(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return 1;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return 0;
}

#ifndef CASE_NO_MAIN
int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "--helper")) {
		case_name = argv[2];
		snprintf(case_self, sizeof case_self, "%s", argv[0]);
		for (const struct case_helper *h = __start_case_helpers; h < __stop_case_helpers; h++)
			// A script hands over its path, so a folder may stand before.
			if (!strcmp(h->name, strrchr(argv[2], '/') ? strrchr(argv[2], '/') + 1 : argv[2]))
				return h->run(argc - 3, argv + 3);
		return 126;
	}
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (const struct case_entry *c = __start_case_entries; c < __stop_case_entries; c++)
			case_say("%s", c->name);
		return 0;
	}
	if (argv[0][0] == '/' || !realpath(argv[0], case_self))
		snprintf(case_self, sizeof case_self, "%s", argv[0]);

	// Cases count descriptors, so none but the standard three may come in.
	for (int fd = 3; fd < 256; fd++)
		close(fd);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	const char *tmp = getenv("TMPDIR");
	char base[PATH_MAX];
	snprintf(base, sizeof base, "%s/case.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(base)) {
		case_say("not ok: mkdtemp %s: %s", base, case_errno_name(errno));
		return 1;
	}
	chmod(base, 0755);
	case_out = fcntl(1, F_DUPFD_CLOEXEC, 900);
	if (case_out < 0)
		case_out = 1;
	int failed = 0;
	for (const struct case_entry *c = __start_case_entries; c < __stop_case_entries; c++)
		if (case_wanted(c->name, argc, argv))
			failed |= case_run_one(c, base);
	case_remove_tree(base);
	return failed;
}
#endif
#endif
