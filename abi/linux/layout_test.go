package linux

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// layout pairs a struct with the C type it stands for. fields are the C names
// of the struct's named fields, in order; a "-" leaves one out of the
// comparison. Without a C type the system's headers do not show the struct.
type layout struct {
	value   any
	headers string
	c       string
	fields  string
}

var layouts = []layout{
	{OpenHow{}, "linux/openat2.h", "struct open_how", "flags mode resolve"},
	{Flock{}, "linux/fcntl.h", "struct flock", "l_type l_whence l_start l_len l_pid"},
	{FOwnerEx{}, "linux/fcntl.h", "struct f_owner_ex", "type pid"},
	{FileHandle{}, "fcntl.h", "struct file_handle", "handle_bytes handle_type"},
	{Stat{}, "asm/stat.h", "struct stat", "st_dev st_ino st_nlink st_mode st_uid st_gid st_rdev st_size st_blksize st_blocks st_atime st_mtime st_ctime"},
	{StatxTimestamp{}, "linux/stat.h", "struct statx_timestamp", "tv_sec tv_nsec"},
	{Statx{}, "linux/stat.h", "struct statx", "stx_mask stx_blksize stx_attributes stx_nlink stx_uid stx_gid stx_mode stx_ino stx_size stx_blocks stx_attributes_mask stx_atime stx_btime stx_ctime stx_mtime stx_rdev_major stx_rdev_minor stx_dev_major stx_dev_minor stx_mnt_id stx_dio_mem_align stx_dio_offset_align"},
	{Statfs{}, "asm/statfs.h", "struct statfs", "f_type f_bsize f_blocks f_bfree f_bavail f_files f_ffree f_fsid f_namelen f_frsize f_flags"},
	{MountAttr{}, "linux/mount.h", "struct mount_attr", "attr_set attr_clr propagation userns_fd"},
	{Dirent64{}, "", "", ""},
	{FileCloneRange{}, "linux/fs.h", "struct file_clone_range", "src_fd src_offset src_length dest_offset"},
	{CloneArgs{}, "linux/sched.h", "struct clone_args", "flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup"},
	{SchedParam{}, "sched.h", "struct sched_param", "sched_priority"},
	{SchedAttr{}, "linux/types.h linux/sched/types.h", "struct sched_attr", "size sched_policy sched_flags sched_nice sched_priority sched_runtime sched_deadline sched_period sched_util_min sched_util_max"},
	{SigAction{}, "asm/signal.h", "struct sigaction", "sa_handler sa_flags sa_restorer sa_mask"},
	{StackT{}, "asm/signal.h", "stack_t", "ss_sp ss_flags ss_size"},
	{SigEvent{}, "asm/signal.h asm/siginfo.h", "struct sigevent", "sigev_value sigev_signo sigev_notify sigev_notify_thread_id"},
	{SigInfo{}, "asm/signal.h asm/siginfo.h", "siginfo_t", "si_signo si_errno si_code si_pid"},
	{SignalfdSiginfo{}, "linux/types.h linux/signalfd.h", "struct signalfd_siginfo", "ssi_signo ssi_errno ssi_code ssi_pid ssi_uid ssi_fd ssi_tid ssi_band ssi_overrun ssi_trapno ssi_status ssi_int ssi_ptr ssi_utime ssi_stime ssi_addr ssi_addr_lsb ssi_syscall ssi_call_addr ssi_arch"},
	{UContext{}, "asm/signal.h asm/sigcontext.h asm/ucontext.h", "struct ucontext", "uc_flags uc_link uc_stack uc_mcontext uc_sigmask"},
	{SigContext{}, "asm/sigcontext.h", "struct sigcontext", "r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags cs gs fs ss err trapno oldmask cr2 fpstate"},
	{FPState{}, "asm/sigcontext.h", "struct _fpstate_64", "cwd swd twd fop rip rdp mxcsr mxcsr_mask st_space xmm_space sw_reserved"},
	{FPXSWBytes{}, "asm/sigcontext.h", "struct _fpx_sw_bytes", "magic1 extended_size xfeatures xstate_size"},
	{XStateHeader{}, "asm/sigcontext.h", "struct _header", "xfeatures reserved1"},
	{Timespec{}, "time.h", "struct timespec", "tv_sec tv_nsec"},
	{Timeval{}, "sys/time.h", "struct timeval", "tv_sec tv_usec"},
	{Itimerspec{}, "time.h", "struct itimerspec", "it_interval it_value"},
	{Itimerval{}, "sys/time.h", "struct itimerval", "it_interval it_value"},
	{Timezone{}, "sys/time.h", "struct timezone", "tz_minuteswest tz_dsttime"},
	{Tms{}, "sys/times.h", "struct tms", "tms_utime tms_stime tms_cutime tms_cstime"},
	{Timex{}, "sys/timex.h", "struct timex", "modes offset freq maxerror esterror status constant precision tolerance time tick ppsfreq jitter shift stabil jitcnt calcnt errcnt stbcnt tai"},
	{Rlimit{}, "sys/resource.h", "struct rlimit", "rlim_cur rlim_max"},
	{Rusage{}, "sys/resource.h", "struct rusage", "ru_utime ru_stime ru_maxrss ru_ixrss ru_idrss ru_isrss ru_minflt ru_majflt ru_nswap ru_inblock ru_oublock ru_msgsnd ru_msgrcv ru_nsignals ru_nvcsw ru_nivcsw"},
	{PollFD{}, "poll.h", "struct pollfd", "fd events revents"},
	{SigSetArg{}, "", "", ""},
	{EpollEvent{}, "sys/epoll.h", "struct epoll_event", "events data"},
	{FutexWaitv{}, "linux/futex.h", "struct futex_waitv", "val uaddr flags"},
	{RobustListHead{}, "linux/futex.h", "struct robust_list_head", "list futex_offset list_op_pending"},
	{Termios{}, "asm/termbits.h", "struct termios", "c_iflag c_oflag c_cflag c_lflag c_line c_cc"},
	{Termios2{}, "asm/termbits.h", "struct termios2", "c_iflag c_ispeed c_ospeed"},
	{Termio{}, "asm/termios.h", "struct termio", "c_iflag c_oflag c_cflag c_lflag c_line c_cc"},
	{Winsize{}, "asm/termios.h", "struct winsize", "ws_row ws_col ws_xpixel ws_ypixel"},
	{Msghdr{}, "sys/socket.h", "struct msghdr", "msg_name msg_namelen msg_iov msg_iovlen msg_control msg_controllen msg_flags"},
	{Mmsghdr{}, "sys/socket.h", "struct mmsghdr", "msg_hdr msg_len"},
	{Cmsghdr{}, "sys/socket.h", "struct cmsghdr", "cmsg_len cmsg_level cmsg_type"},
	{SockaddrUn{}, "sys/un.h", "struct sockaddr_un", "sun_family sun_path"},
	{SockaddrIn{}, "netinet/in.h", "struct sockaddr_in", "sin_family sin_port sin_addr"},
	{SockaddrIn6{}, "netinet/in.h", "struct sockaddr_in6", "sin6_family sin6_port sin6_flowinfo sin6_addr sin6_scope_id"},
	{SockaddrNl{}, "linux/netlink.h", "struct sockaddr_nl", "nl_family nl_pid nl_groups"},
	{Ucred{}, "sys/socket.h", "struct ucred", "pid uid gid"},
	{Linger{}, "sys/socket.h", "struct linger", "l_onoff l_linger"},
	{Ifreq{}, "net/if.h", "struct ifreq", "ifr_name ifr_addr"},
	{Ifconf{}, "net/if.h", "struct ifconf", "ifc_len ifc_buf"},
	{Iovec{}, "sys/uio.h", "struct iovec", "iov_base iov_len"},
	{Utsname{}, "linux/utsname.h", "struct new_utsname", "sysname nodename release version machine domainname"},
	{PrctlMMMap{}, "linux/prctl.h", "struct prctl_mm_map", "start_code end_code start_data end_data start_brk brk start_stack arg_start arg_end env_start env_end auxv auxv_size exe_fd"},
	{CapUserHeader{}, "linux/capability.h", "struct __user_cap_header_struct", "version pid"},
	{CapUserData{}, "linux/capability.h", "struct __user_cap_data_struct", "effective permitted inheritable"},
	{Ehdr{}, "elf.h", "Elf64_Ehdr", "e_ident e_type e_machine e_version e_entry e_phoff e_shoff e_flags e_ehsize e_phentsize e_phnum e_shentsize e_shnum e_shstrndx"},
	{Phdr{}, "elf.h", "Elf64_Phdr", "p_type p_flags p_offset p_vaddr p_paddr p_filesz p_memsz p_align"},
	{AuxEntry{}, "elf.h", "Elf64_auxv_t", "a_type a_un"},
	{InotifyEvent{}, "sys/inotify.h", "struct inotify_event", "wd mask cookie len"},
	{IPCPerm{}, "asm/ipcbuf.h", "struct ipc64_perm", "key uid gid cuid cgid mode seq"},
	{SemidDS{}, "asm/sembuf.h", "struct semid64_ds", "sem_perm sem_otime sem_ctime sem_nsems"},
	{Sembuf{}, "linux/sem.h", "struct sembuf", "sem_num sem_op sem_flg"},
	{Seminfo{}, "linux/sem.h", "struct seminfo", "semmap semmni semmns semmnu semmsl semopm semume semusz semvmx semaem"},
	{MsqidDS{}, "asm/msgbuf.h", "struct msqid64_ds", "msg_perm msg_stime msg_rtime msg_ctime msg_cbytes msg_qnum msg_qbytes msg_lspid msg_lrpid"},
	{Msginfo{}, "linux/msg.h", "struct msginfo", "msgpool msgmap msgmax msgmnb msgmni msgssz msgtql msgseg"},
	{ShmidDS{}, "asm/shmbuf.h", "struct shmid64_ds", "shm_perm shm_segsz shm_atime shm_dtime shm_ctime shm_cpid shm_lpid shm_nattch"},
	{ShmInfo{}, "linux/shm.h", "struct shm_info", "used_ids shm_tot shm_rss shm_swp swap_attempts swap_successes"},
	{ShmParams{}, "linux/shm.h", "struct shminfo64", "shmmax shmmin shmmni shmseg shmall"},
	{MqAttr{}, "linux/types.h linux/mqueue.h", "struct mq_attr", "mq_flags mq_maxmsg mq_msgsize mq_curmsgs"},
	{Sysinfo{}, "linux/sysinfo.h", "struct sysinfo", "uptime loads totalram freeram sharedram bufferram totalswap freeswap procs totalhigh freehigh mem_unit"},
	{SeccompData{}, "linux/seccomp.h", "struct seccomp_data", "nr arch instruction_pointer args"},
	{SeccompNotifSizes{}, "linux/seccomp.h", "struct seccomp_notif_sizes", "seccomp_notif seccomp_notif_resp seccomp_data"},
	{SockFilter{}, "linux/filter.h", "struct sock_filter", "code jt jf k"},
	{SockFprog{}, "linux/filter.h", "struct sock_fprog", "len filter"},
	{PtracePeekSiginfoArgs{}, "sys/ptrace.h", "struct __ptrace_peeksiginfo_args", "off flags nr"},
	{PtraceSyscallInfo{}, "linux/ptrace.h", "struct ptrace_syscall_info", "op arch instruction_pointer stack_pointer entry"},
	{UserRegs{}, "sys/user.h", "struct user_regs_struct", "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs"},
	{Rseq{}, "", "", ""},
	{RseqCS{}, "linux/rseq.h", "struct rseq_cs", "version flags start_ip post_commit_offset abort_ip"},
}

func TestEveryStructIsListed(t *testing.T) {
	listed := map[string]bool{}
	for _, l := range layouts {
		listed[reflect.TypeOf(l.value).Name()] = true
	}
	paths, err := filepath.Glob("*.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("list the package's files: %v", err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				return true
			}
			if _, ok := spec.Type.(*ast.StructType); ok && !listed[spec.Name.Name] {
				t.Errorf("%s: struct %s is not in layouts", path, spec.Name)
			}
			return true
		})
	}
}

func TestStructsHaveNoImplicitPadding(t *testing.T) {
	for _, l := range layouts {
		typ := reflect.TypeOf(l.value)
		if err := checkPlain(typ); err != nil {
			t.Errorf("%s: %v", typ.Name(), err)
		}
	}
}

// checkPlain reports why the bytes of a typ would not all be its fields' own.
func checkPlain(typ reflect.Type) error {
	switch typ.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	case reflect.Array:
		return checkPlain(typ.Elem())
	case reflect.Struct:
	default:
		return fmt.Errorf("kind %v is not of a fixed size", typ.Kind())
	}
	end := uintptr(0)
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Offset != end {
			return fmt.Errorf("%d bytes of padding before field %s", f.Offset-end, f.Name)
		}
		if err := checkPlain(f.Type); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
		end = f.Offset + f.Type.Size()
	}
	if end != typ.Size() {
		return fmt.Errorf("%d bytes of padding at the end", typ.Size()-end)
	}
	return nil
}

func TestCheckPlainSeesFaults(t *testing.T) {
	for _, bad := range []any{
		struct {
			A uint8
			B uint32
		}{},
		struct {
			A uint64
			B uint8
		}{},
		struct{ A bool }{},
		struct{ A *int32 }{},
		struct{ A uintptr }{},
		struct{ A [2]struct{ B int } }{},
	} {
		if checkPlain(reflect.TypeOf(bad)) == nil {
			t.Errorf("%T passes", bad)
		}
	}
}

// TestLayoutsMatchTheHeaders compares sizes and offsets with what the system's
// C compiler makes of its headers.
func TestLayoutsMatchTheHeaders(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("needs a C compiler: ", err)
	}
	byHeaders := map[string][]layout{}
	for _, l := range layouts {
		if l.c != "" {
			byHeaders[l.headers] = append(byHeaders[l.headers], l)
		}
	}
	dir := t.TempDir()
	n := 0
	for headers, group := range byHeaders {
		n++
		compareWithC(t, cc, filepath.Join(dir, fmt.Sprint("layout", n)), headers, group)
	}
}

// compareWithC makes the compiler itself compare: every fact is an assertion,
// so that nothing has to be linked or run.
func compareWithC(t *testing.T, cc, base, headers string, group []layout) {
	t.Helper()
	var src strings.Builder
	src.WriteString("#define _GNU_SOURCE\n#include <stddef.h>\n")
	for _, h := range strings.Fields(headers) {
		fmt.Fprintf(&src, "#include <%s>\n", h)
	}
	for i, l := range group {
		typ := reflect.TypeOf(l.value)
		fmt.Fprintf(&src, "typedef %s type%d;\n", l.c, i)
		fmt.Fprintf(&src, "_Static_assert(sizeof(type%d) == %d, \"%s: size\");\n", i, typ.Size(), typ.Name())
		names := strings.Fields(l.fields)
		for j := range typ.NumField() {
			f := typ.Field(j)
			if f.Name == "_" {
				continue
			}
			if len(names) == 0 {
				t.Errorf("%s: no C name for field %s", typ.Name(), f.Name)
				break
			}
			fmt.Fprintf(&src, "_Static_assert(offsetof(type%d, %s) == %d, \"%s.%s: offset\");\n", i, names[0], f.Offset, typ.Name(), f.Name)
			names = names[1:]
		}
		if len(names) != 0 {
			t.Errorf("%s: no field for C names %v", typ.Name(), names)
		}
	}
	path := base + ".c"
	if err := os.WriteFile(path, []byte(src.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(cc, "-w", "-fsyntax-only", path).CombinedOutput()
	if err == nil {
		return
	}
	if strings.Contains(string(out), "fatal error") {
		t.Skipf("the system's headers lack <%s>: %s", headers, out)
	}
	t.Errorf("<%s>:\n%s", headers, out)
}
