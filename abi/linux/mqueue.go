package linux

// MqAttr is struct mq_attr.
type MqAttr struct {
	Flags   int64
	MaxMsg  int64
	MsgSize int64
	CurMsgs int64
	_       [4]int64
}

// MQ_PRIO_MAX is one more than the highest priority of a message.
const MQ_PRIO_MAX = 32768
