package futex

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// The fields of FUTEX_WAKE_OP's last argument (futex(2)).
const (
	opSet, opAdd, opOr, opAndNot, opXor = 0, 1, 2, 3, 4
	opShift                             = 8 // use 1 << oparg

	cmpEQ, cmpNE, cmpLT, cmpLE, cmpGT, cmpGE = 0, 1, 2, 3, 4, 5
)

// WakeOp changes the word at second as op says, wakes at most n1 waiters of
// first, and if the old value compares as op says at most n2 of second.
//
// Errors: ENOSYS for an operation or comparison that does not exist; EINVAL;
// EFAULT.
func (t *Manager) WakeOp(m Memory, first, second Word, n1, n2 int, op uint32) (int, error) {
	k1, k2, err := keys(m, first, second)
	if err != nil {
		return 0, err
	}
	b1, b2, unlock := t.lockTwo(k1, k2)
	defer unlock()
	old, err := change(m, second.Addr, op)
	if err != nil {
		return 0, err
	}
	again, err := compares(old, op)
	if err != nil {
		return 0, err
	}
	woken, err := b1.wakeKeyLocked(k1, n1, MatchAny)
	if err != nil || !again {
		return woken, err
	}
	more, err := b2.wakeKeyLocked(k2, n2, MatchAny)
	return woken + more, err
}

// change does op's operation in one step and returns the word that it replaced.
func change(m Memory, addr usermem.Addr, op uint32) (uint32, error) {
	arg := signExtend12(op >> 12)
	kind := op >> 28 & 0xf
	if kind&opShift != 0 {
		arg = 1 << (uint32(arg) & 31)
	}
	old, err := m.LoadWord(addr)
	for err == nil {
		v := old
		switch kind &^ opShift {
		case opSet:
			v = uint32(arg)
		case opAdd:
			v += uint32(arg)
		case opOr:
			v |= uint32(arg)
		case opAndNot:
			v &^= uint32(arg)
		case opXor:
			v ^= uint32(arg)
		default:
			return 0, errno.ENOSYS
		}
		var found uint32
		found, err = m.CompareAndSwapWord(addr, old, v)
		if err == nil && found == old {
			return old, nil
		}
		old = found
	}
	return 0, err
}

func compares(old, op uint32) (bool, error) {
	v, arg := int32(old), signExtend12(op)
	switch op >> 24 & 0xf {
	case cmpEQ:
		return v == arg, nil
	case cmpNE:
		return v != arg, nil
	case cmpLT:
		return v < arg, nil
	case cmpLE:
		return v <= arg, nil
	case cmpGT:
		return v > arg, nil
	case cmpGE:
		return v >= arg, nil
	}
	return false, errno.ENOSYS
}

func signExtend12(v uint32) int32 { return int32(v<<20) >> 20 }
