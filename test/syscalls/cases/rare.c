// Calls that few programs make: what they answer when they are there, and that
// they fail in the way Linux does when they are not.
// calls: restart_syscall, syslog, ustat, sysfs, modify_ldt, set_thread_area,
// calls: get_thread_area, adjtimex, clock_adjtime, acct, swapon, swapoff, reboot, iopl,
// calls: ioperm, quotactl, io_setup, io_destroy, io_submit, io_getevents, io_cancel,
// calls: remap_file_pages, mbind, set_mempolicy, get_mempolicy, migrate_pages,
// calls: move_pages, set_mempolicy_home_node, add_key, request_key, keyctl, pkey_alloc, pkey_free, pkey_mprotect,
// calls: process_madvise, futex_waitv, name_to_handle_at, open_by_handle_at,
// calls: userfaultfd, bpf, perf_event_open, fanotify_init, init_module, delete_module,
// calls: finit_module, kexec_load, lookup_dcookie, uselib, io_uring_setup, cachestat
#include "case.h"
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <sys/timex.h>

CASE(rare_calls_that_are_gone)
{
	int gone[] = {SYS_create_module, SYS_get_kernel_syms, SYS_query_module, SYS_nfsservctl, SYS_getpmsg, SYS_putpmsg,
		      SYS_afs_syscall, SYS_tuxcall, SYS_security, SYS_vserver, SYS_epoll_ctl_old, SYS_epoll_wait_old,
		      SYS__sysctl, SYS_lookup_dcookie};
	for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
		errno = 0;
		long r = syscall(gone[i], 0, 0, 0, 0, 0, 0);
		if (r != -1 || errno != ENOSYS)
			FAIL("call %d: %ld %s", gone[i], r, case_errno_name(errno));
	}
}

CASE(rare_restart_without_anything_to_restart)
{
	CHECK_ERRNO(syscall(SYS_restart_syscall), EINTR);
}

CASE(rare_privileged_calls_refuse)
{
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL), EPERM);
	// Left out of many kernels.
	CHECK(syscall(SYS_swapon, "/tmp", 0) == -1 && (errno == EPERM || errno == ENOSYS));
	CHECK(syscall(SYS_swapoff, "/tmp") == -1 && (errno == EPERM || errno == ENOSYS));
	CHECK(syscall(SYS_iopl, 3) == -1 && (errno == EPERM || errno == ENOSYS));
	CHECK(syscall(SYS_ioperm, 0, 1, 1) == -1 && (errno == EPERM || errno == ENOSYS));
	CHECK(syscall(SYS_syslog, 5, NULL, 0) == -1 && (errno == EPERM || errno == ENOSYS));
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	errno = 0;
	CHECK(syscall(SYS_open_by_handle_at, fd, BAD_POINTER, 0) == -1 && (errno == EPERM || errno == EFAULT || errno == ENOSYS || errno == EOPNOTSUPP));
}

CASE(rare_adjtimex_reads)
{
	struct timex tx = {0};
	CHECK(adjtimex(&tx) >= 0);
	CHECK(tx.time.tv_sec > 1000000);
	memset(&tx, 0, sizeof tx);
	CHECK(clock_adjtime(CLOCK_REALTIME, &tx) >= 0);
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	tx.modes = ADJ_FREQUENCY;
	CHECK_ERRNO(adjtimex(&tx), EPERM);
}

CASE(rare_get_mempolicy)
{
	int mode = -1;
	long r = syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0);
	if (r == -1 && errno == ENOSYS)
		SKIP("no NUMA policies");
	CHECK_EQ(r, 0);
	CHECK_EQ(mode, 0);
	CHECK_ERRNO(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0x100), EINVAL);
	CHECK_OK(syscall(SYS_set_mempolicy, 0, NULL, 0));
	CHECK_ERRNO(syscall(SYS_set_mempolicy, 99, NULL, 0), EINVAL);
}

CASE(rare_numa_policies)
{
	int mode = -1, status = -1;
	unsigned long nodes = 1, got[16] = {0}, none = 0;
	if (syscall(SYS_get_mempolicy, &mode, got, 1024, NULL, 4) == -1 && errno == ENOSYS)
		SKIP("no NUMA policies");
	CHECK_EQ(got[0] & 1, 1);
	CHECK_OK(syscall(SYS_set_mempolicy, 2, &nodes, 64));
	CHECK_OK(syscall(SYS_get_mempolicy, &mode, got, 1024, NULL, 0));
	CHECK_EQ(mode, 2);
	CHECK_EQ(got[0], 1);
	CHECK_ERRNO(syscall(SYS_set_mempolicy, 2, &none, 64), EINVAL);
	CHECK_ERRNO(syscall(SYS_set_mempolicy, 0, &nodes, 64), EINVAL);
	CHECK_ERRNO(syscall(SYS_get_mempolicy, &mode, NULL, 0, &mode, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_get_mempolicy, &mode, NULL, 0, (void *)4096, 2), EFAULT);
	CHECK_OK(syscall(SYS_set_mempolicy, 0, NULL, 0));
	char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(m != MAP_FAILED);
	CHECK_ERRNO(syscall(SYS_mbind, m + 1, 4096, 2, &nodes, 64, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_mbind, m, 4096, 2, &nodes, 64, 0x100), EINVAL);
	CHECK_ERRNO(syscall(SYS_set_mempolicy_home_node, m, 8192, 0, 0), ENOENT);
	CHECK_OK(syscall(SYS_mbind, m, 8192, 2, &nodes, 64, 0));
	*m = 1;
	void *page = m;
	CHECK_OK(syscall(SYS_move_pages, 0, 1L, &page, NULL, &status, 0));
	CHECK_EQ(status, 0);
	CHECK_OK(munmap(m, 8192));
	CHECK_ERRNO(syscall(SYS_mbind, m, 8192, 2, &nodes, 64, 0), EFAULT);
	CHECK_OK(syscall(SYS_migrate_pages, 0, 64, &nodes, &nodes));
}

CASE(rare_futex_waitv)
{
	uint32_t w = 1;
	struct futex_waitv v = {.val = 0, .uaddr = (uintptr_t)&w, .flags = 2};
	long r = syscall(SYS_futex_waitv, &v, 1, 0, NULL, 0);
	if (r == -1 && errno == ENOSYS)
		SKIP("no futex_waitv");
	CHECK_EQ(r, -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_ERRNO(syscall(SYS_futex_waitv, &v, 0, 0, NULL, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_futex_waitv, &v, 1, 1, NULL, 0), EINVAL);
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	v.val = 1;
	CHECK_ERRNO(syscall(SYS_futex_waitv, &v, 1, 0, &ts, CLOCK_MONOTONIC), ETIMEDOUT);
}

CASE(rare_linux_aio)
{
	aio_context_t ctx = 0;
	long r = syscall(SYS_io_setup, 4, &ctx);
	if (r == -1 && errno == ENOSYS)
		SKIP("no Linux AIO");
	CHECK_EQ(r, 0);
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t) "hello", .aio_nbytes = 5, .aio_data = 77};
	struct iocb *list[] = {&cb};
	CHECK_EQ(syscall(SYS_io_submit, ctx, 1, list), 1);
	struct io_event ev;
	CHECK_EQ(syscall(SYS_io_getevents, ctx, 1, 1, &ev, NULL), 1);
	CHECK_EQ(ev.res, 5);
	CHECK_EQ(ev.data, 77);
	CHECK_STR(case_read_file("f"), "hello");
	CHECK_OK(syscall(SYS_io_destroy, ctx));
	CHECK_ERRNO(syscall(SYS_io_destroy, ctx), EINVAL);
}

CASE(rare_process_madvise_errors)
{
	struct iovec v = {NULL, 0};
	errno = 0;
	long r = syscall(SYS_process_madvise, 99, &v, 1, MADV_COLD, 0);
	CHECK(r == -1 && (errno == EBADF || errno == ENOSYS));
}

CASE(rare_pkeys)
{
	errno = 0;
	int k = syscall(SYS_pkey_alloc, 0, 0);
	// Without hardware there is no key to have.
	CHECK(k > 0 || errno == ENOSPC || errno == ENOSYS || errno == EINVAL);
	if (k > 0)
		CHECK_OK(syscall(SYS_pkey_free, k));
	CHECK(syscall(SYS_pkey_alloc, 1, 0) == -1);
}

CASE(rare_ustat_and_sysfs)
{
	errno = 0;
	CHECK(syscall(SYS_ustat, 0xfffff, BAD_POINTER) == -1);
	CHECK(errno == EINVAL || errno == ENOSYS);
	long n = syscall(SYS_sysfs, 3);
	CHECK(n > 0 || errno == ENOSYS);
}
