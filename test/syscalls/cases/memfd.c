// memfd_create(2) with seals, and POSIX shared memory.
// calls: memfd_create, fcntl, ftruncate, memfd_secret
#include "case.h"

CASE(memfd_is_a_file)
{
	int fd = CHECK_OK(memfd_create("name", MFD_CLOEXEC));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(write(fd, "hello", 5), 5);
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(st.st_mode, S_IFREG | 0777);
	CHECK_EQ(st.st_nlink, 0);
	char path[64], link[64] = {0};
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(readlink(path, link, sizeof link - 1) > 0);
	CHECK_STR(link, "/memfd:name (deleted)");
}

CASE(memfd_mapped_and_shared)
{
	int fd = CHECK_OK(memfd_create("m", 0));
	CHECK_OK(ftruncate(fd, 4096));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	pid_t pid = CHILD
	{
		m[0] = 'c';
		CHECK_EQ(pwrite(fd, "d", 1, 1), 1);
	}
	CHECK_EXITS(pid, 0);
	CHECK_EQ(m[0], 'c');
	CHECK_EQ(m[1], 'd');
}

CASE(memfd_errors)
{
	char name[300];
	memset(name, 'a', sizeof name);
	name[250] = 0;
	CHECK_ERRNO(memfd_create(name, 0), EINVAL);
	name[249] = 0;
	CHECK_OK(memfd_create(name, 0));
	CHECK_ERRNO(memfd_create("x", 0x8000), EINVAL);
	CHECK_ERRNO(memfd_create(BAD_POINTER, 0), EFAULT);
}

CASE(memfd_sealing_off)
{
	int fd = CHECK_OK(memfd_create("m", 0));
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	int f = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_ERRNO(fcntl(f, F_GET_SEALS), EINVAL);
}

CASE(memfd_seal_size)
{
	int fd = CHECK_OK(memfd_create("m", MFD_ALLOW_SEALING));
	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	CHECK_OK(ftruncate(fd, 100));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	CHECK_ERRNO(ftruncate(fd, 50), EPERM);
	CHECK_OK(ftruncate(fd, 200));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	CHECK_ERRNO(ftruncate(fd, 300), EPERM);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_ERRNO(pwrite(fd, "x", 1, 200), EPERM);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
}

CASE(memfd_seal_write)
{
	int fd = CHECK_OK(memfd_create("m", MFD_ALLOW_SEALING));
	CHECK_OK(ftruncate(fd, 4096));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	CHECK_OK(munmap(m, 4096));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	CHECK_ERRNO(write(fd, "x", 1), EPERM);
	CHECK(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EPERM);
	CHECK(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	CHECK(mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
}

CASE(memfd_seal_future_write)
{
	int fd = CHECK_OK(memfd_create("m", MFD_ALLOW_SEALING));
	CHECK_OK(ftruncate(fd, 4096));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, 0x10));
	m[0] = 1;
	CHECK_ERRNO(write(fd, "x", 1), EPERM);
	CHECK(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
}

CASE(memfd_seal_seal)
{
	int fd = CHECK_OK(memfd_create("m", MFD_ALLOW_SEALING));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, 0x1000), EINVAL);
}

CASE(memfd_executed)
{
	int in = CHECK_OK(open("/proc/self/exe", O_RDONLY)), fd = CHECK_OK(memfd_create("x", MFD_CLOEXEC));
	char buf[65536];
	ssize_t n;
	while ((n = read(in, buf, sizeof buf)) > 0)
		CHECK_EQ(write(fd, buf, n), n);
	pid_t pid = CHILD
	{
		char *argv[] = {"x", "--helper", "nine", NULL}, *envp[] = {NULL};
		fexecve(fd, argv, envp);
	}
	CHECK_EXITS(pid, 9);
}

HELPER(nine)
{
	return 9;
}

CASE(shm_open_between_processes)
{
	int fd = shm_open("/bulkhead-case", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 && errno == EEXIST) {
		shm_unlink("/bulkhead-case");
		fd = shm_open("/bulkhead-case", O_RDWR | O_CREAT | O_EXCL, 0600);
	}
	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, 4096));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t pid = CHILD
	{
		int fd2 = CHECK_OK(shm_open("/bulkhead-case", O_RDWR, 0));
		char *n = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd2, 0);
		n[7] = 77;
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(shm_unlink("/bulkhead-case"));
	CHECK_EQ(m[7], 77);
}
