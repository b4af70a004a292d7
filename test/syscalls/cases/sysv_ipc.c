// System V shared memory, semaphores, message queues; POSIX message queues.
// calls: shmget, shmat, shmdt, shmctl, semget, semop, semtimedop, semctl, msgget,
// calls: msgsnd, msgrcv, msgctl, mq_open, mq_unlink, mq_timedsend, mq_timedreceive,
// calls: mq_notify, mq_getsetattr
#include "case.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

CASE(shm_shares)
{
	int id = CHECK_OK(shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600));
	char *m = shmat(id, NULL, 0);
	CHECK(m != (void *)-1);
	CHECK_OK(shmctl(id, IPC_RMID, NULL));
	CHECK_EQ(m[0], 0);
	pid_t pid = CHILD
	{
		m[5] = 9;
	}
	CHECK_EXITS(pid, 0);
	CHECK_EQ(m[5], 9);
	CHECK_OK(shmdt(m));
	CHECK_ERRNO(shmdt(m), EINVAL);
	CHECK_ERRNO(shmctl(id, IPC_RMID, NULL), EINVAL);
}

CASE(shm_stat)
{
	int id = CHECK_OK(shmget(IPC_PRIVATE, 5000, IPC_CREAT | 0640));
	struct shmid_ds ds;
	CHECK_OK(shmctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_segsz, 5000);
	CHECK_EQ(ds.shm_perm.mode & 0777, 0640);
	CHECK_EQ(ds.shm_nattch, 0);
	CHECK_EQ(ds.shm_cpid, getpid());
	void *m = shmat(id, NULL, SHM_RDONLY);
	CHECK_OK(shmctl(id, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_nattch, 1);
	CHECK_OK(shmdt(m));
	CHECK_OK(shmctl(id, IPC_RMID, NULL));
}

CASE(shm_keys)
{
	key_t key = 0x5eed0000 + getpid() % 10000;
	CHECK_ERRNO(shmget(key, 4096, 0600), ENOENT);
	int id = CHECK_OK(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600));
	CHECK_ERRNO(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	CHECK_EQ(shmget(key, 4096, 0600), id);
	CHECK_ERRNO(shmget(key, 8192, 0600), EINVAL);
	CHECK_OK(shmctl(id, IPC_RMID, NULL));
	CHECK_ERRNO(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
}

CASE(sem_values)
{
	int id = CHECK_OK(semget(IPC_PRIVATE, 3, IPC_CREAT | 0600));
	union semun u = {.val = 5};
	CHECK_OK(semctl(id, 1, SETVAL, u));
	CHECK_EQ(semctl(id, 1, GETVAL), 5);
	CHECK_EQ(semctl(id, 0, GETVAL), 0);
	unsigned short a[3] = {1, 2, 3};
	u.array = a;
	CHECK_OK(semctl(id, 0, SETALL, u));
	CHECK_EQ(semctl(id, 2, GETVAL), 3);
	CHECK_ERRNO(semctl(id, 9, GETVAL), EINVAL);
	struct sembuf down = {0, -1, IPC_NOWAIT};
	CHECK_OK(semop(id, &down, 1));
	CHECK_ERRNO(semop(id, &down, 1), EAGAIN);
	struct sembuf far = {9, 1, 0};
	CHECK_ERRNO(semop(id, &far, 1), EFBIG);
	CHECK_OK(semctl(id, 0, IPC_RMID));
	CHECK_ERRNO(semctl(id, 0, GETVAL), EINVAL);
}

CASE(sem_waits)
{
	int id = CHECK_OK(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
	pid_t pid = CHILD
	{
		struct sembuf down = {0, -2, 0};
		CHECK_OK(semop(id, &down, 1));
	}
	case_wait_state(pid, "S");
	CHECK_EQ(semctl(id, 0, GETNCNT), 1);
	struct sembuf up = {0, 2, 0};
	CHECK_OK(semop(id, &up, 1));
	CHECK_EXITS(pid, 0);
	CHECK_EQ(semctl(id, 0, GETPID), pid);
	struct timespec ts = {0, 20000000};
	struct sembuf down = {0, -1, 0};
	CHECK_ERRNO(semtimedop(id, &down, 1, &ts), EAGAIN);
	CHECK_OK(semctl(id, 0, IPC_RMID));
}

CASE(sem_undo)
{
	int id = CHECK_OK(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
	pid_t pid = CHILD
	{
		struct sembuf up = {0, 3, SEM_UNDO};
		CHECK_OK(semop(id, &up, 1));
		CHECK_EQ(semctl(id, 0, GETVAL), 3);
	}
	CHECK_EXITS(pid, 0);
	CHECK_EQ(semctl(id, 0, GETVAL), 0);
	CHECK_OK(semctl(id, 0, IPC_RMID));
}

CASE(sem_removed_under_waiter)
{
	int id = CHECK_OK(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
	pid_t pid = CHILD
	{
		struct sembuf down = {0, -1, 0};
		CHECK_ERRNO(semop(id, &down, 1), EIDRM);
	}
	case_wait_state(pid, "S");
	CHECK_OK(semctl(id, 0, IPC_RMID));
	CHECK_EXITS(pid, 0);
}

struct message {
	long type;
	char text[32];
};

CASE(msg_types)
{
	int id = CHECK_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	struct message m = {2, "two"}, n = {1, "one"}, got;
	CHECK_OK(msgsnd(id, &m, 4, 0));
	CHECK_OK(msgsnd(id, &n, 4, 0));
	CHECK_EQ(msgrcv(id, &got, 32, 1, 0), 4);
	CHECK_STR(got.text, "one");
	CHECK_ERRNO(msgrcv(id, &got, 32, 1, IPC_NOWAIT), ENOMSG);
	CHECK_ERRNO(msgrcv(id, &got, 2, 0, 0), E2BIG);
	CHECK_EQ(msgrcv(id, &got, 2, 0, MSG_NOERROR), 2);
	m.type = 0;
	CHECK_ERRNO(msgsnd(id, &m, 4, 0), EINVAL);
	CHECK_OK(msgctl(id, IPC_RMID, NULL));
	CHECK_ERRNO(msgsnd(id, &n, 4, 0), EINVAL);
}

CASE(msg_waits)
{
	int id = CHECK_OK(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	pid_t pid = CHILD
	{
		struct message got;
		CHECK_EQ(msgrcv(id, &got, 32, 0, 0), 3);
	}
	case_wait_state(pid, "S");
	struct message m = {7, "ab"};
	CHECK_OK(msgsnd(id, &m, 3, 0));
	CHECK_EXITS(pid, 0);
	CHECK_OK(msgctl(id, IPC_RMID, NULL));
}

CASE(mq_priorities)
{
	char name[64];
	snprintf(name, sizeof name, "/bulkhead-case-%d", getpid());
	struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 16};
	mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attr);
	if (q == (mqd_t)-1 && errno == ENOSYS)
		SKIP("no POSIX message queues");
	CHECK(q != (mqd_t)-1);
	CHECK_OK(mq_unlink(name));
	unsigned prio;
	char buf[16];
	CHECK_OK(mq_send(q, "low", 3, 1));
	CHECK_OK(mq_send(q, "high", 4, 9));
	CHECK_EQ(mq_receive(q, buf, 16, &prio), 4);
	CHECK_EQ(prio, 9);
	CHECK_EQ(mq_receive(q, buf, 16, &prio), 3);
	CHECK_ERRNO(mq_receive(q, buf, 16, &prio), EAGAIN);
	CHECK_ERRNO(mq_receive(q, buf, 4, &prio), EMSGSIZE);
	CHECK_ERRNO(mq_send(q, buf, 17, 0), EMSGSIZE);
	CHECK_OK(mq_getattr(q, &attr));
	CHECK_EQ(attr.mq_maxmsg, 4);
	CHECK_EQ(attr.mq_curmsgs, 0);
}
