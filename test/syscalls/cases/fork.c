// fork(2), vfork(2) and clone(2) used as fork: what is copied and what shared.
// calls: fork, vfork, clone, getpid, getppid, gettid, exit, exit_group
#include "case.h"

CASE(fork_ids)
{
	pid_t parent = getpid();
	int p[2];
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		pid_t ids[2] = {getpid(), getppid()};
		CHECK_EQ(write(p[1], ids, sizeof ids), sizeof ids);
		CHECK_EQ(syscall(SYS_gettid), getpid());
	}
	pid_t ids[2];
	CHECK_EQ(read(p[0], ids, sizeof ids), sizeof ids);
	CHECK_EQ(ids[0], pid);
	CHECK_EQ(ids[1], parent);
	CHECK_EXITS(pid, 0);
}

CASE(fork_copies_memory)
{
	static int data = 1;
	int stack = 1;
	int *heap = malloc(sizeof *heap);
	*heap = 1;
	pid_t pid = CHILD
	{
		CHECK_EQ(data + stack + *heap, 3);
		data = stack = *heap = 2;
		CHECK_EQ(data + stack + *heap, 6);
	}
	CHECK_EXITS(pid, 0);
	CHECK_EQ(data + stack + *heap, 3);
}

CASE(fork_parent_writes_are_not_seen)
{
	volatile int *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int go[2];
	char c;
	*page = 1;
	CHECK_OK(pipe(go));
	pid_t pid = CHILD
	{
		CHECK_EQ(read(go[0], &c, 1), 1);
		CHECK_EQ(*page, 1);
	}
	*page = 2;
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EXITS(pid, 0);
}

CASE(fork_shares_shared_memory)
{
	volatile int *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = CHILD
	{
		*page = 7;
	}
	CHECK_EXITS(pid, 0);
	CHECK_EQ(*page, 7);
}

CASE(fork_shares_file_offset)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	pid_t pid = CHILD
	{
		CHECK_EQ(write(fd, "abcd", 4), 4);
	}
	CHECK_EXITS(pid, 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
}

CASE(fork_copies_descriptor_table)
{
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	pid_t pid = CHILD
	{
		CHECK_OK(close(fd));
		CHECK_EQ(dup2(1, 77), 77);
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(fcntl(fd, F_GETFD));
	CHECK_ERRNO(fcntl(77, F_GETFD), EBADF);
}

CASE(fork_copies_cwd_and_umask)
{
	CHECK_OK(mkdir("sub", 0755));
	umask(0);
	pid_t pid = CHILD
	{
		CHECK_OK(chdir("sub"));
		CHECK_EQ(umask(077), 0);
	}
	CHECK_EXITS(pid, 0);
	CHECK_EQ(umask(022), 0);
	CHECK_OK(access("sub", F_OK));
}

CASE(fork_keeps_handlers_and_mask_but_not_pending)
{
	sigset_t set, got;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK_OK(raise(SIGUSR1));
	CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
	pid_t pid = CHILD
	{
		CHECK_OK(sigpending(&got));
		CHECK(!sigismember(&got, SIGUSR1));
		CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &got));
		CHECK(sigismember(&got, SIGUSR1));
		struct sigaction sa;
		CHECK_OK(sigaction(SIGUSR2, NULL, &sa));
		CHECK(sa.sa_handler == SIG_IGN);
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(sigpending(&got));
	CHECK(sigismember(&got, SIGUSR1));
}

CASE(fork_clears_alarm)
{
	alarm(100);
	pid_t pid = CHILD
	{
		CHECK_EQ(alarm(0), 0);
	}
	CHECK_EXITS(pid, 0);
	CHECK(alarm(0) > 90);
}

CASE(fork_many)
{
	pid_t pids[40];
	for (int i = 0; i < 40; i++) {
		pids[i] = CHILD
		{
			_exit(i);
		}
	}
	for (int i = 0; i < 40; i++)
		CHECK_EXITS(pids[i], i);
}

CASE(fork_deep)
{
	int depth = 0;
	while (depth < 15) {
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid > 0) {
			CHECK_EXITS(pid, depth == 14 ? 42 : 42);
			if (depth == 0)
				return;
			_exit(42);
		}
		depth++;
	}
	_exit(42);
}

CASE(fork_orphan_goes_to_init)
{
	int p[2], go[2];
	CHECK_OK(pipe(p));
	CHECK_OK(pipe(go));
	pid_t pid = CHILD
	{
		pid_t mid = getpid();
		pid_t grandchild = CHILD
		{
			char c;
			close(go[1]);
			CHECK_EQ(read(go[0], &c, 1), 0);
			while (getppid() == mid)
				case_sleep_ms(1);
			pid_t now = getppid();
			CHECK_EQ(write(p[1], &now, sizeof now), sizeof now);
		}
		(void)grandchild;
	}
	CHECK_EXITS(pid, 0);
	close(go[1]);
	pid_t now;
	CHECK_EQ(read(p[0], &now, sizeof now), sizeof now);
	CHECK(now != pid);
	CHECK(now != getpid());
}

CASE(vfork_parent_waits_for_exit)
{
	volatile int seen = 0;
	pid_t pid = vfork();
	if (pid == 0) {
		seen = 5;
		_exit(3);
	}
	CHECK(pid > 0);
	// The child ran in our memory before we went on.
	CHECK_EQ(seen, 5);
	CHECK_EXITS(pid, 3);
}

HELPER(exit_seven)
{
	return 7;
}

CASE(vfork_parent_waits_for_exec)
{
	char *argv[] = {case_self, "--helper", "exit_seven", NULL};
	pid_t pid = vfork();
	if (pid == 0) {
		execv(case_self, argv);
		_exit(99);
	}
	CHECK_EXITS(pid, 7);
}

CASE(fork_in_thread_copies_only_that_thread)
{
	// The child has one task: its group's directory shows it.
	pid_t pid = CHILD
	{
		int n = 0;
		DIR *d = opendir("/proc/self/task");
		CHECK(d);
		struct dirent *e;
		while ((e = readdir(d)))
			n += e->d_name[0] != '.';
		CHECK_EQ(n, 1);
	}
	CHECK_EXITS(pid, 0);
}

static void *sleeper(void *arg)
{
	(void)arg;
	pause();
	return NULL;
}

CASE(fork_with_threads_running)
{
	pthread_t t;
	CHECK_THREAD(pthread_create(&t, NULL, sleeper, NULL));
	pid_t pid = CHILD
	{
		CHECK_EQ(syscall(SYS_gettid), getpid());
		_exit(9);
	}
	CHECK_EXITS(pid, 9);
}

CASE(exit_group_ends_all_threads)
{
	pid_t pid = CHILD
	{
		pthread_t t;
		for (int i = 0; i < 4; i++)
			CHECK_THREAD(pthread_create(&t, NULL, sleeper, NULL));
		syscall(SYS_exit_group, 11);
	}
	CHECK_EXITS(pid, 11);
}

static void *exits_group(void *arg)
{
	(void)arg;
	syscall(SYS_exit_group, 12);
	return NULL;
}

CASE(exit_group_from_a_thread)
{
	pid_t pid = CHILD
	{
		pthread_t t;
		CHECK_THREAD(pthread_create(&t, NULL, exits_group, NULL));
		for (;;)
			pause();
	}
	CHECK_EXITS(pid, 12);
}

static void *exits_later(void *arg)
{
	pthread_t *main_thread = arg;
	pthread_join(*main_thread, NULL);
	syscall(SYS_exit, 0);
	return NULL;
}

CASE(exit_of_leader_leaves_the_rest_running)
{
	pid_t pid = CHILD
	{
		static pthread_t self;
		self = pthread_self();
		pthread_t t;
		CHECK_THREAD(pthread_create(&t, NULL, exits_later, &self));
		pthread_exit(NULL);
	}
	CHECK_EXITS(pid, 0);
}

CASE(exit_status_keeps_low_byte)
{
	pid_t pid = CHILD
	{
		_exit(0x1234);
	}
	CHECK_EXITS(pid, 0x34);
}

CASE(fork_eagain_at_process_limit)
{
	if (geteuid() == 0) {
		// root has no limit, an ordinary user does.
		CHECK_OK(setresuid(54321, 54321, 54321));
	}
	struct rlimit rl = {0, 0};
	CHECK_OK(setrlimit(RLIMIT_NPROC, &rl));
	CHECK_ERRNO(fork(), EAGAIN);
}

CASE(fork_large_memory_is_quickly_copied)
{
	size_t size = 64 << 20;
	char *m = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(m != MAP_FAILED);
	for (size_t i = 0; i < size; i += 4096)
		m[i] = i >> 12;
	for (int round = 0; round < 3; round++) {
		pid_t pid = CHILD
		{
			for (size_t i = 0; i < size; i += 4096 * 64)
				CHECK_EQ(m[i], (char)(i >> 12));
			m[0] = 99;
		}
		CHECK_EXITS(pid, 0);
	}
	CHECK_EQ(m[0], 0);
}
