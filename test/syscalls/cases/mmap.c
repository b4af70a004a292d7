// mmap(2), munmap(2), mprotect(2), mremap(2), madvise(2), brk(2), mincore(2), mlock(2).
// calls: mmap, munmap, mprotect, mremap, madvise, brk, mincore, msync, mlock, mlock2,
// calls: munlock, mlockall, munlockall, process_vm_readv, process_vm_writev
#include "case.h"
#include <setjmp.h>

static sigjmp_buf back;

static void jump(int sig)
{
	siglongjmp(back, sig);
}

// faults tells which signal reading or writing this byte raises, 0 for none.
static int faults(volatile char *at, int write)
{
	struct sigaction sa = {.sa_handler = jump}, segv, bus;
	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGBUS, &sa, &bus);
	int sig = sigsetjmp(back, 1);
	if (sig == 0) {
		if (write)
			*at = *at;
		else
			(void)*at;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

static char *anon(size_t size)
{
	char *m = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(m != MAP_FAILED);
	return m;
}

#define CHECK_MAP_ERRNO(call, want)                                            \
	do {                                                                   \
		errno = 0;                                                     \
		void *m_ = (call);                                             \
		int e_ = errno;                                                \
		if (m_ != MAP_FAILED)                                          \
			FAIL("%s: expected %s, got success", #call, #want);    \
		if (e_ != (want))                                              \
			FAIL("%s: expected %s, got %s", #call, #want,          \
			     case_errno_name(e_));                             \
	} while (0)

CASE(mmap_anonymous_is_zero)
{
	char *m = anon(1 << 20);
	for (int i = 0; i < 1 << 20; i += 1000)
		CHECK_EQ(m[i], 0);
	m[12345] = 1;
	CHECK_EQ(m[12345], 1);
}

CASE(mmap_errors)
{
	CHECK_MAP_ERRNO(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_MAP_ERRNO(mmap(0, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_MAP_ERRNO(mmap(0, 4096, PROT_READ, MAP_PRIVATE, 99, 0), EBADF);
	CHECK_MAP_ERRNO(mmap((void *)1, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
	CHECK_MAP_ERRNO(mmap(0, (size_t)-4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	case_write_file("f", "x");
	int r = CHECK_OK(open("f", O_RDONLY)), w = CHECK_OK(open("f", O_WRONLY));
	CHECK_MAP_ERRNO(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0), EACCES);
	CHECK_MAP_ERRNO(mmap(0, 4096, PROT_READ, MAP_PRIVATE, w, 0), EACCES);
	CHECK_MAP_ERRNO((void *)syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, r, 1), EINVAL);
	int d = CHECK_OK(open(".", O_RDONLY));
	CHECK_MAP_ERRNO(mmap(0, 4096, PROT_READ, MAP_PRIVATE, d, 0), ENODEV);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_MAP_ERRNO(mmap(0, 4096, PROT_READ, MAP_PRIVATE, p[0], 0), ENODEV);
}

CASE(mmap_hint_and_fixed)
{
	char *m = anon(3 * 4096);
	CHECK_OK(munmap(m, 3 * 4096));
	char *n = mmap(m, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(n == m);
	// A hint that is taken gives another place, MAP_FIXED replaces.
	char *o = mmap(m, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(o != m && o != MAP_FAILED);
	o = mmap(m, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(o == m);
	o[0] = 1;
	CHECK_MAP_ERRNO(mmap(m, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK_EQ(o[0], 1);
}

CASE(mmap_32bit)
{
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	CHECK(m != MAP_FAILED);
	CHECK((uintptr_t)m < 1UL << 31);
	m[0] = 1;
}

CASE(mmap_low_address_is_refused)
{
	if (geteuid() == 0) {
		CHECK_OK(setresuid(1234, 1234, 1234));
	}
	CHECK_MAP_ERRNO(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EPERM);
}

CASE(mmap_file_private)
{
	case_write_file("f", "hello");
	int fd = CHECK_OK(open("f", O_RDONLY));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK_OK(close(fd));
	CHECK_STR(m, "hello");
	m[0] = 'j';
	CHECK_STR(m, "jello");
	CHECK_STR(case_read_file("f"), "hello");
}

CASE(mmap_file_shared)
{
	case_write_file("f", "hello");
	int fd = CHECK_OK(open("f", O_RDWR));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	m[0] = 'j';
	CHECK_STR(case_read_file("f"), "jello");
	CHECK_EQ(pwrite(fd, "p", 1, 4), 1);
	CHECK_STR(m, "jellp");
	CHECK_OK(msync(m, 4096, MS_SYNC));
}

CASE(mmap_file_shared_by_two)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_OK(ftruncate(fd, 4096));
	pid_t pid = CHILD
	{
		int fd2 = CHECK_OK(open("f", O_RDWR));
		char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd2, 0);
		m[100] = 'c';
	}
	CHECK_EXITS(pid, 0);
	char *m = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CHECK_EQ(m[100], 'c');
}

CASE(mmap_file_offset)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_OK(ftruncate(fd, 12288));
	CHECK_EQ(pwrite(fd, "two", 3, 8192), 3);
	char *m = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 8192);
	CHECK(m != MAP_FAILED);
	CHECK_STR(m, "two");
}

CASE(mmap_file_truncated_under_us)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_OK(ftruncate(fd, 8192));
	char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	m[4096] = 1;
	CHECK_OK(ftruncate(fd, 4096));
	CHECK_EQ(faults(m + 4096, 0), SIGBUS);
	CHECK_EQ(faults(m, 0), 0);
	CHECK_OK(ftruncate(fd, 8192));
	CHECK_EQ(m[4096], 0);
}

CASE(mmap_grows_with_file)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK_EQ(faults(m, 0), SIGBUS);
	CHECK_EQ(pwrite(fd, "abc", 3, 4096), 3);
	CHECK_EQ(m[4096], 'a');
}

CASE(mmap_of_unlinked_file)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_OK(unlink("f"));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK_OK(close(fd));
	CHECK_STR(m, "abc");
	m[0] = 'x';
	CHECK_STR(m, "xbc");
}

CASE(mmap_as_buffer_of_system_calls)
{
	case_write_file("f", "0123456789");
	int fd = CHECK_OK(open("f", O_RDWR));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_EQ(write(p[1], m, 10), 10);
	CHECK_EQ(read(p[0], m + 3, 4), 4);
	CHECK_STR(case_read_file("f"), "0120123789");
	char *r = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_ERRNO(read(p[0], r, 1), EFAULT);
}

CASE(mmap_dev_zero)
{
	int fd = CHECK_OK(open("/dev/zero", O_RDWR));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK_EQ(m[0], 0);
	m[0] = 1;
	char *s = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(s != MAP_FAILED);
	pid_t pid = CHILD
	{
		s[0] = 4;
	}
	CHECK_EXITS(pid, 0);
	CHECK_EQ(s[0], 4);
}

CASE(munmap_makes_holes)
{
	char *m = anon(3 * 4096);
	m[0] = m[4096] = m[8192] = 1;
	CHECK_OK(munmap(m + 4096, 4096));
	CHECK_EQ(m[0], 1);
	CHECK_EQ(m[8192], 1);
	CHECK_EQ(faults(m + 4096, 0), SIGSEGV);
	// Nothing there is no error.
	CHECK_OK(munmap(m + 4096, 4096));
	CHECK_OK(munmap(m, 3 * 4096));
	CHECK_EQ(faults(m, 0), SIGSEGV);
}

CASE(munmap_errors)
{
	char *m = anon(4096);
	CHECK_ERRNO(munmap(m + 1, 4096), EINVAL);
	CHECK_ERRNO(munmap(m, 0), EINVAL);
	CHECK_ERRNO(munmap((void *)-4096L, 4096), EINVAL);
}

CASE(mprotect_changes_rights)
{
	char *m = anon(3 * 4096);
	m[4096] = 7;
	CHECK_OK(mprotect(m + 4096, 4096, PROT_READ));
	CHECK_EQ(faults(m + 4096, 1), SIGSEGV);
	CHECK_EQ(faults(m + 4096, 0), 0);
	CHECK_EQ(faults(m, 1), 0);
	CHECK_OK(mprotect(m + 4096, 4096, PROT_NONE));
	CHECK_EQ(faults(m + 4096, 0), SIGSEGV);
	CHECK_OK(mprotect(m, 3 * 4096, PROT_READ | PROT_WRITE));
	CHECK_EQ(m[4096], 7);
	CHECK_EQ(faults(m + 4096, 1), 0);
}

CASE(mprotect_errors)
{
	char *m = anon(2 * 4096);
	CHECK_ERRNO(mprotect(m + 1, 4096, PROT_READ), EINVAL);
	CHECK_OK(mprotect(m, 0, PROT_READ));
	CHECK_OK(munmap(m + 4096, 4096));
	CHECK_ERRNO(mprotect(m, 8192, PROT_READ), ENOMEM);
	CHECK_ERRNO(mprotect(m, 4096, 0x100), EINVAL);
	case_write_file("f", "x");
	int fd = CHECK_OK(open("f", O_RDONLY));
	char *s = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CHECK_ERRNO(mprotect(s, 4096, PROT_READ | PROT_WRITE), EACCES);
}

CASE(mprotect_execute)
{
	unsigned char code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3}; // mov $42, %eax; ret
	unsigned char *m = (unsigned char *)anon(4096);
	memcpy(m, code, sizeof code);
	CHECK_OK(mprotect(m, 4096, PROT_READ | PROT_EXEC));
	CHECK_EQ(((int (*)(void))m)(), 42);
	CHECK_OK(mprotect(m, 4096, PROT_READ | PROT_WRITE));
	m[1] = 43;
	CHECK_OK(mprotect(m, 4096, PROT_READ | PROT_EXEC));
	CHECK_EQ(((int (*)(void))m)(), 43);
}

CASE(mmap_system_calls_respect_protection)
{
	char *m = anon(4096);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_EQ(write(p[1], "abcd", 4), 4);
	CHECK_OK(mprotect(m, 4096, PROT_READ));
	CHECK_ERRNO(read(p[0], m, 4), EFAULT);
	CHECK_OK(mprotect(m, 4096, PROT_NONE));
	CHECK_ERRNO(write(p[1], m, 4), EFAULT);
	CHECK_OK(mprotect(m, 4096, PROT_READ | PROT_WRITE));
	CHECK_EQ(read(p[0], m, 4), 4);
}

CASE(mremap_grows_and_shrinks)
{
	char *m = anon(4 * 4096);
	memset(m, 'a', 4 * 4096);
	char *n = mremap(m, 4 * 4096, 2 * 4096, 0);
	CHECK(n == m);
	CHECK_EQ(faults(m + 2 * 4096, 0), SIGSEGV);
	n = mremap(m, 2 * 4096, 64 * 4096, MREMAP_MAYMOVE);
	CHECK(n != MAP_FAILED);
	CHECK_EQ(n[0], 'a');
	CHECK_EQ(n[8191], 'a');
	CHECK_EQ(n[8192], 0);
	n[63 * 4096] = 1;
}

CASE(mremap_in_place_when_there_is_room)
{
	char *m = anon(4 * 4096);
	CHECK_OK(munmap(m + 4096, 3 * 4096));
	char *n = mremap(m, 4096, 3 * 4096, 0);
	CHECK(n == m);
	n[2 * 4096] = 1;
}

CASE(mremap_cannot_grow)
{
	char *m = anon(3 * 4096);
	CHECK_OK(mprotect(m + 4096, 4096, PROT_READ));
	CHECK_MAP_ERRNO(mremap(m, 4096, 8192, 0), ENOMEM);
}

CASE(mremap_fixed)
{
	char *m = anon(4096), *target = anon(8192);
	m[0] = 'm';
	target[0] = 't';
	char *n = mremap(m, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	CHECK(n == target);
	CHECK_EQ(target[0], 'm');
	CHECK_EQ(faults(m, 0), SIGSEGV);
}

CASE(mremap_dontunmap)
{
	char *m = anon(4096);
	m[0] = 'm';
	char *n = mremap(m, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	CHECK(n != MAP_FAILED);
	CHECK_EQ(n[0], 'm');
	CHECK_EQ(m[0], 0);
}

CASE(mremap_errors)
{
	char *m = anon(8192);
	CHECK_MAP_ERRNO(mremap(m + 1, 4096, 8192, MREMAP_MAYMOVE), EINVAL);
	CHECK_MAP_ERRNO(mremap(m, 4096, 0, MREMAP_MAYMOVE), EINVAL);
	CHECK_MAP_ERRNO(mremap(m, 4096, 4096, 0x100), EINVAL);
	CHECK_MAP_ERRNO(mremap(m, 4096, 4096, MREMAP_FIXED, m), EINVAL);
	CHECK_MAP_ERRNO(mremap(m, 8192, 8192, MREMAP_FIXED | MREMAP_MAYMOVE, m + 4096), EINVAL);
	CHECK_OK(munmap(m, 8192));
	CHECK_MAP_ERRNO(mremap(m, 4096, 8192, MREMAP_MAYMOVE), EFAULT);
}

CASE(mremap_of_shared_duplicates)
{
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *n = mremap(m, 0, 4096, MREMAP_MAYMOVE);
	CHECK(n != MAP_FAILED && n != m);
	m[0] = 5;
	CHECK_EQ(n[0], 5);
}

CASE(mremap_of_file)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_OK(ftruncate(fd, 8192));
	CHECK_EQ(pwrite(fd, "second", 6, 4096), 6);
	char *m = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	char *n = mremap(m, 4096, 8192, MREMAP_MAYMOVE);
	CHECK(n != MAP_FAILED);
	CHECK_STR(n + 4096, "second");
}

CASE(madvise_dontneed)
{
	char *m = anon(8192);
	m[0] = m[4096] = 1;
	CHECK_OK(madvise(m, 4096, MADV_DONTNEED));
	CHECK_EQ(m[0], 0);
	CHECK_EQ(m[4096], 1);
}

CASE(madvise_dontneed_of_file_shows_file_again)
{
	case_write_file("f", "abc");
	int fd = CHECK_OK(open("f", O_RDONLY));
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	m[0] = 'x';
	CHECK_OK(madvise(m, 4096, MADV_DONTNEED));
	CHECK_EQ(m[0], 'a');
}

CASE(madvise_dontneed_of_shared_keeps)
{
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	m[0] = 1;
	CHECK_OK(madvise(m, 4096, MADV_DONTNEED));
	CHECK_EQ(m[0], 1);
}

CASE(madvise_others)
{
	char *m = anon(8192);
	int advice[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP};
	for (size_t i = 0; i < sizeof advice / sizeof *advice; i++)
		if (madvise(m, 8192, advice[i]) != 0)
			FAIL("madvise %d: %s", advice[i], case_errno_name(errno));
	CHECK_ERRNO(madvise(m + 1, 4096, MADV_NORMAL), EINVAL);
	CHECK_ERRNO(madvise(m, 4096, 9999), EINVAL);
	CHECK_OK(munmap(m + 4096, 4096));
	CHECK_ERRNO(madvise(m, 8192, MADV_DONTNEED), ENOMEM);
}

CASE(madvise_dontfork)
{
	char *m = anon(4096);
	CHECK_OK(madvise(m, 4096, MADV_DONTFORK));
	pid_t pid = CHILD
	{
		CHECK_EQ(faults(m, 0), SIGSEGV);
	}
	CHECK_EXITS(pid, 0);
}

CASE(madvise_wipeonfork)
{
	char *m = anon(4096);
	m[0] = 9;
	CHECK_OK(madvise(m, 4096, MADV_WIPEONFORK));
	pid_t pid = CHILD
	{
		CHECK_EQ(m[0], 0);
	}
	CHECK_EXITS(pid, 0);
	CHECK_EQ(m[0], 9);
}

CASE(brk_moves)
{
	char *start = (char *)syscall(SYS_brk, 0);
	CHECK_EQ(syscall(SYS_brk, start + 100000), (long)start + 100000);
	start[99999] = 1;
	CHECK_EQ(syscall(SYS_brk, 0), (long)start + 100000);
	// Refused: the old end comes back.
	CHECK_EQ(syscall(SYS_brk, 4096), (long)start + 100000);
	CHECK_EQ(syscall(SYS_brk, start), (long)start);
}

CASE(brk_is_zero_again)
{
	char *start = (char *)syscall(SYS_brk, 0);
	char *page = (char *)(((uintptr_t)start + 4095) & ~4095UL);
	CHECK_EQ(syscall(SYS_brk, page + 8192), (long)page + 8192);
	page[4096] = 1;
	CHECK_EQ(syscall(SYS_brk, page + 4096), (long)page + 4096);
	CHECK_EQ(syscall(SYS_brk, page + 8192), (long)page + 8192);
	CHECK_EQ(page[4096], 0);
}

CASE(mmap_address_space_limit)
{
	struct rlimit rl = {256 << 20, 256 << 20};
	CHECK_OK(setrlimit(RLIMIT_AS, &rl));
	CHECK_MAP_ERRNO(mmap(0, 300 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK(mmap(0, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

CASE(mmap_noreserve_large)
{
	size_t size = 64UL << 30;
	char *m = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(m != MAP_FAILED);
	m[size - 1] = 1;
	CHECK_OK(munmap(m, size));
}

CASE(mmap_growsdown)
{
	char *m = mmap(0, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK, -1, 0);
	CHECK(m != MAP_FAILED);
	m[0] = 1;
}

CASE(mincore_tells)
{
	char *m = anon(4 * 4096);
	unsigned char vec[4];
	m[0] = 1;
	CHECK_OK(mincore(m, 4096, vec));
	CHECK_EQ(vec[0] & 1, 1);
	CHECK_ERRNO(mincore(m + 1, 4096, vec), EINVAL);
	CHECK_OK(munmap(m + 8192, 4096));
	CHECK_ERRNO(mincore(m, 4 * 4096, vec), ENOMEM);
	CHECK_ERRNO(mincore(m, 4096, BAD_POINTER), EFAULT);
}

CASE(msync_errors)
{
	char *m = anon(8192);
	CHECK_OK(msync(m, 8192, MS_ASYNC));
	CHECK_ERRNO(msync(m + 1, 4096, MS_SYNC), EINVAL);
	CHECK_ERRNO(msync(m, 4096, MS_SYNC | MS_ASYNC), EINVAL);
	CHECK_OK(munmap(m + 4096, 4096));
	CHECK_ERRNO(msync(m, 8192, MS_SYNC), ENOMEM);
}

CASE(mlock_basics)
{
	char *m = anon(8192);
	CHECK_OK(mlock(m, 8192));
	CHECK_OK(munlock(m, 8192));
	CHECK_OK(syscall(SYS_mlock2, m, 4096, 1));
	CHECK_ERRNO(syscall(SYS_mlock2, m, 4096, 8), EINVAL);
	CHECK_OK(munmap(m + 4096, 4096));
	CHECK_ERRNO(mlock(m, 8192), ENOMEM);
	CHECK_ERRNO(mlockall(0), EINVAL);
	CHECK_OK(munlockall());
}

CASE(mlock_limit)
{
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	struct rlimit rl = {0, 0};
	CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &rl));
	CHECK_ERRNO(mlock(anon(4096), 4096), EPERM);
}

CASE(mmap_thread_stacks_and_guards)
{
	char *m = mmap(0, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	CHECK_OK(mprotect(m + 4096, 61440, PROT_READ | PROT_WRITE));
	CHECK_EQ(faults(m + 4095, 1), SIGSEGV);
	CHECK_EQ(faults(m + 4096, 1), 0);
}

CASE(mmap_many_mappings)
{
	char *m = anon(512 * 4096);
	for (int i = 0; i < 512; i += 2)
		CHECK_OK(mprotect(m + i * 4096, 4096, PROT_READ));
	for (int i = 0; i < 512; i += 2)
		CHECK_EQ(m[i * 4096], 0);
	for (int i = 1; i < 512; i += 2)
		m[i * 4096] = 1;
	CHECK_OK(munmap(m, 512 * 4096));
}

CASE(process_vm_of_child)
{
	static char remote[] = "remote bytes";
	char buf[32] = {0};
	pid_t pid = CHILD
	{
		strcpy(remote, "child's data");
		pause();
	}
	case_wait_state(pid, "S");
	struct iovec l = {buf, 12}, r = {remote, 12};
	CHECK_EQ(process_vm_readv(pid, &l, 1, &r, 1, 0), 12);
	CHECK_STR(buf, "child's data");
	CHECK_STR(remote, "remote bytes");
	memcpy(buf, "written here", 12);
	CHECK_EQ(process_vm_writev(pid, &l, 1, &r, 1, 0), 12);
	memset(buf, 0, sizeof buf);
	CHECK_EQ(process_vm_readv(pid, &l, 1, &r, 1, 0), 12);
	CHECK_STR(buf, "written here");
	r.iov_base = BAD_POINTER;
	CHECK_ERRNO(process_vm_readv(pid, &l, 1, &r, 1, 0), EFAULT);
	CHECK_ERRNO(process_vm_readv(4000000, &l, 1, &r, 1, 0), ESRCH);
	CHECK_ERRNO(process_vm_readv(pid, &l, 1, &r, 1, 1), EINVAL);
	kill(pid, SIGKILL);
}

CASE(mmap_stack_grows)
{
	volatile char big[1 << 20];
	for (size_t i = 0; i < sizeof big; i += 4096)
		big[i] = 1;
	CHECK_EQ(big[0], 1);
}

static int recurse(int n)
{
	volatile char pad[4096];
	pad[0] = n;
	return n == 0 ? 0 : recurse(n - 1) + pad[0] * 0 + 1;
}

CASE(mmap_stack_grows_by_recursion)
{
	CHECK_EQ(recurse(1500), 1500);
}
